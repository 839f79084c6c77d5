//! The documentation is sound: links lead somewhere, every page is in the book, commands exist,
//! programs are on the path where they are called by name, pages and lines are short.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const LONGEST_LINE: usize = 100;
const LONGEST_PAGE: usize = 250;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Markdown file below a folder, sorted.
fn pages_below(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages.extend(pages_below(&path));
        } else if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

/// The book, the README of every crate and of the examples, and the pages at the top.
fn pages() -> Vec<PathBuf> {
    let folders = ["docs", "crates", "examples", ".github"];
    let files = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "python/README.md",
    ];
    folders
        .iter()
        .flat_map(|folder| pages_below(&root().join(folder)))
        .chain(files.iter().map(|file| root().join(file)))
        .collect()
}

/// A line of a page with its number and the language of the fence that it is in.
struct Line {
    number: usize,
    text: String,
    fence: Option<String>,
}

fn lines(page: &Path) -> Vec<Line> {
    let mut fence: Option<String> = None;
    let mut lines = Vec::new();
    for (at, text) in fs::read_to_string(page).unwrap().lines().enumerate() {
        let opening = text.trim_start().strip_prefix("```");
        let inside = fence.clone();
        if let Some(language) = opening {
            fence = match fence {
                None => Some(language.to_owned()),
                Some(_) => None,
            };
        }
        lines.push(Line {
            number: at + 1,
            text: text.to_owned(),
            fence: if opening.is_some() { None } else { inside },
        });
    }
    assert!(fence.is_none(), "{}: a fence does not end", page.display());
    lines
}

#[test]
fn lines_and_pages_are_short() {
    for page in pages() {
        let lines = lines(&page);
        assert!(
            lines.len() <= LONGEST_PAGE,
            "{}: {} lines",
            page.display(),
            lines.len()
        );
        for line in lines {
            // Files' rows and output are as they are; a table's row and a link cannot be wrapped.
            let exempt = line.text.starts_with(['|', '[', '!'])
                || line.text.contains("http")
                || line.fence.is_some_and(|fence| fence != "sh");
            assert!(
                exempt || line.text.chars().count() <= LONGEST_LINE,
                "{}:{}: {} columns",
                page.display(),
                line.number,
                line.text.chars().count()
            );
        }
    }
}

/// The targets of a line's links that are not addresses.
fn links(line: &str) -> Vec<&str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter(|target| !target.contains("://"))
        .collect()
}

/// The anchors of a page's headings, as mdBook and GitHub make them.
fn anchors(page: &Path) -> BTreeSet<String> {
    lines(page)
        .iter()
        .filter(|line| line.fence.is_none() && line.text.starts_with('#'))
        .map(|line| {
            let title = line.text.trim_start_matches('#').trim().to_lowercase();
            title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    for page in pages() {
        for line in lines(&page).iter().filter(|line| line.fence.is_none()) {
            for target in links(&line.text) {
                let place = format!("{}:{}: {target}", page.display(), line.number);
                let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = match path {
                    "" => page.clone(),
                    path => page.parent().unwrap().join(path),
                };
                assert!(file.exists(), "{place}: no such file");
                assert!(
                    anchor.is_empty() || anchors(&file).contains(anchor),
                    "{place}: no such heading"
                );
            }
        }
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let text = fs::read_to_string(&summary).unwrap();
    let listed: BTreeSet<PathBuf> = text
        .lines()
        .flat_map(links)
        .map(|target| docs.join(target))
        .collect();
    assert!(listed.iter().all(|page| page.is_file()));
    for page in pages_below(&docs) {
        assert!(
            page == summary || listed.contains(&page),
            "{} is not in SUMMARY.md",
            page.display()
        );
    }
}

/// The names of all packages of the workspace.
fn packages() -> BTreeSet<String> {
    let mut packages = BTreeSet::from(["xtask".to_owned()]);
    for group in ["crates", "bins", "examples"] {
        for entry in fs::read_dir(root().join(group)).into_iter().flatten() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            let Ok(text) = fs::read_to_string(manifest) else {
                continue;
            };
            let name = text.lines().find_map(|line| line.strip_prefix("name = "));
            packages.insert(name.unwrap().trim_matches('"').to_owned());
        }
    }
    packages
}

fn programs() -> BTreeSet<String> {
    pages_below(&root().join("docs/reference"))
        .iter()
        .map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name.starts_with("sky-"))
        .collect()
}

/// Whether the program's page in `docs/reference/` has this command.
fn has_command(program: &str, command: &str) -> bool {
    let title = match program {
        "xtask" => "cargo xtask",
        program => program,
    };
    let page = root()
        .join("docs/reference")
        .join(program)
        .with_extension("md");
    let heading = format!("## {title} {command}");
    fs::read_to_string(page)
        .unwrap()
        .lines()
        .any(|line| line == heading)
}

/// A page's commands: lines of `sh` fences, with what a backslash continues, and code in the text
/// that starts with cargo.
fn commands(page: &Path) -> Vec<(usize, String)> {
    let mut commands: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for line in lines(page) {
        match line.fence.as_deref() {
            Some("sh") => {
                let text = line.text.trim_end();
                let (text, more) = match text.strip_suffix('\\') {
                    Some(text) => (text, true),
                    None => (text, false),
                };
                match commands.last_mut().filter(|_| continued) {
                    Some(last) => last.1.push_str(text),
                    None => commands.push((line.number, text.to_owned())),
                }
                continued = more;
            }
            Some(_) => {}
            None => commands.extend(
                line.text
                    .split('`')
                    .skip(1)
                    .step_by(2)
                    .filter(|code| code.starts_with("cargo "))
                    .map(|code| (line.number, code.to_owned())),
            ),
        }
    }
    commands
}

#[test]
fn every_command_names_what_is_there() {
    let (packages, programs) = (packages(), programs());
    for page in pages() {
        for (number, command) in commands(&page) {
            let place = format!("{}:{number}: {command}", page.display());
            let words: Vec<&str> = command.split_whitespace().collect();
            let after = |word: &str| {
                let at = words.iter().position(|found| *found == word)?;
                words.get(at + 1).copied()
            };
            // The command of a program that is named itself, or by its package.
            let command_of = |program: &str| match program {
                program if words.contains(&"-p") => {
                    let package = after("-p")?;
                    (package == format!("{program}-cli")).then(|| after("--"))?
                }
                program => after(program),
            };
            if words.starts_with(&["cargo"]) {
                if let Some(package) = after("-p") {
                    assert!(packages.contains(package), "{place}: no such package");
                    if let Some(example) = after("--example") {
                        let file = root().join(format!("crates/{package}/examples/{example}.rs"));
                        assert!(file.is_file(), "{place}: no such example");
                    }
                }
                if let Some(task) = after("xtask") {
                    let is_name = task.starts_with(|c: char| c.is_ascii_lowercase());
                    assert!(
                        !is_name || has_command("xtask", task),
                        "{place}: no such task"
                    );
                }
            }
            for program in &programs {
                if let Some(name) = command_of(program)
                    && name.chars().all(|c| c.is_ascii_lowercase())
                {
                    assert!(has_command(program, name), "{place}: no such command");
                }
            }
        }
    }
}

/// `sky-train` alone is a command only where the page puts the programs on the path.
#[test]
fn programs_that_are_called_by_name_are_on_the_path() {
    let programs = programs();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (number, command) in commands(&page) {
            let by_name = !command.starts_with("cargo ")
                && command
                    .split_whitespace()
                    .any(|word| programs.contains(word));
            assert!(
                !by_name || text.contains("/target/debug:$PATH"),
                "{}:{number}: {command}: write `cargo run -p ...`, or put the programs on PATH",
                page.display()
            );
        }
    }
}

#[test]
fn command_line_pages_are_as_the_programs_say() {
    if env::var_os("SKY_BIN_DIR").is_none() {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: the programs' command lines; `cargo xtask test` builds the programs and compares them\n");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["docs", "--check"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn comments_of_recipes_are_short() {
    for entry in fs::read_dir(root().join("recipes")).unwrap() {
        let path = entry.unwrap().path();
        for (at, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            assert!(
                !line.trim_start().starts_with('#') || line.chars().count() <= LONGEST_LINE,
                "{}:{}",
                path.display(),
                at + 1
            );
        }
    }
}
