//! Runs the examples with the commands that the documentation prints.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{Exit, workspace::Workspace};

/// How a command of an example begins.
const COMMAND: &str = "cargo run -p example-";
/// How a command begins that starts an example as several ranks.
const LAUNCH: &str = "cargo run -p sky-train-cli -- launch";
/// Where cargo puts the programs that a launch command names.
const PROGRAMS: &str = "target/debug/";

/// One command of the documentation that runs an example.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Printed {
    /// As it stands there.
    line: String,
    program: String,
    arguments: Vec<String>,
}

impl Printed {
    /// The program that it starts as several ranks.
    fn launched(&self) -> Option<&str> {
        let mut words = self.arguments.iter();
        words.find(|word| *word == "--program")?;
        words.next()?.strip_prefix(PROGRAMS)
    }

    fn runs(&self, example: &str) -> bool {
        self.program == example || self.launched() == Some(example)
    }
}

/// Whether a package of this name is an example.
pub(crate) fn is_example(package: &str) -> bool {
    package.starts_with("example-")
}

/// Runs every command of an example that README or the documentation prints; each example must have
/// one.
///
/// It starts the programs that the workspace's build has made: `cargo run -p` would resolve
/// features for one package and build dependencies again.
pub(crate) fn run(workspace: &Workspace, built: &BTreeMap<String, PathBuf>) -> Result<()> {
    let mut commands = BTreeSet::new();
    for page in pages(&workspace.root)? {
        let text = fs::read_to_string(&page)?;
        commands.extend(printed(&text).with_context(|| page.display().to_string())?);
    }
    for name in built.keys().filter(|name| is_example(name)) {
        ensure!(
            commands.iter().any(|command| command.runs(name)),
            "{name}: no page prints a command that runs it; examples/README.md should"
        );
    }
    let mut failed = 0_usize;
    for Printed {
        line,
        program,
        arguments,
    } in commands
    {
        let find = |name: &str| {
            let path = built.get(name);
            path.with_context(|| format!("`{line}`: no program is named {name}"))
        };
        let path = find(&program)?;
        let arguments = arguments
            .iter()
            .map(|word| match word.strip_prefix(PROGRAMS) {
                Some(name) => Ok(find(name)?.clone().into_os_string()),
                None => Ok(word.into()),
            });
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        let started = Instant::now();
        let output = Command::new(path)
            .args(arguments)
            .current_dir(&workspace.root)
            .env("SKY_HOME", &workspace.home)
            .stdin(Stdio::null())
            .output()
            .with_context(|| path.display().to_string())?;
        let seconds = started.elapsed().as_secs_f64();
        if output.status.success() {
            println!("{line}: passed in {seconds:.1} s");
            continue;
        }
        failed += 1;
        println!(
            "{line}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    if failed > 0 {
        return Err(Exit::failed(format!("{failed} examples failed, see above")));
    }
    Ok(())
}

/// README, the pages of `docs/`, and the READMEs of crates and examples.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = vec![root.join("README.md")];
    let mut folders = vec![
        root.join("docs"),
        root.join("examples"),
        root.join("crates"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|end| end == "md") {
                pages.push(entry.path());
            }
        }
    }
    pages.sort();
    Ok(pages)
}

/// The commands of a page. A word in capitals alone stands for something of the reader's, so that
/// such a command is left out.
fn printed(text: &str) -> Result<Vec<Printed>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let starts = line
            .match_indices(COMMAND)
            .chain(line.match_indices(LAUNCH));
        for (at, start) in starts {
            let command = line[at..].split(['`', '#', '|']).next().unwrap_or_default();
            let words = words(command.trim())?;
            let is_placeholder =
                |word: &String| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
            if words.iter().any(is_placeholder) {
                continue;
            }
            // cargo run -p NAME [-- ARGUMENTS]
            let program = match start {
                LAUNCH => "sky-train".to_owned(),
                _ => words.get(3).cloned().unwrap_or_default(),
            };
            let arguments = match words.get(4).map(String::as_str) {
                None => Vec::new(),
                Some("--") => words[5..].to_vec(),
                Some(other) => bail!("`{}`: {other:?} where `--` should be", command.trim()),
            };
            let command = Printed {
                line: command.trim().to_owned(),
                program,
                arguments,
            };
            // Ranks of `sky-train` itself need a model and data.
            if start == COMMAND || command.launched().is_some() {
                found.push(command);
            }
        }
    }
    Ok(found)
}

/// Splits a command at blanks outside double quotes, as a shell would.
fn words(command: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for (index, part) in command.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    ensure!(
        command.matches('"').count().is_multiple_of(2),
        "`{command}`: a quote is not closed"
    );
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_blocks_cells_and_sentences() {
        let page = "```sh\ncargo run -p example-a -- \"1/2 + 1\" 0.75  # compare\n```\n\
                    | a | `cargo run -p example-b`, `cargo run -p example-c -- out` |\n\
                    Or `cargo run -p example-b -- URL MODEL`.\n";
        let found: Vec<(String, Vec<String>)> = printed(page)
            .unwrap()
            .into_iter()
            .map(|command| (command.program, command.arguments))
            .collect();
        let expected = [
            ("example-a", vec!["1/2 + 1", "0.75"]),
            ("example-b", vec![]),
            ("example-c", vec!["out"]),
        ]
        .map(|(name, words)| {
            (
                name.to_owned(),
                words.into_iter().map(str::to_owned).collect(),
            )
        });
        assert_eq!(found, expected);
        assert!(printed("cargo run -p example-a --release").is_err());
        let page = "cargo run -p sky-train-cli -- launch -n 2 --program target/debug/example-a -- out\n\
                    cargo run -p sky-train-cli -- launch -n 2 -- --recipe a.toml\n";
        let launched = printed(page).unwrap();
        assert_eq!(launched.len(), 1);
        assert!(launched[0].program == "sky-train" && launched[0].runs("example-a"));
    }

    #[test]
    fn every_example_of_the_workspace_has_a_command() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let commands: Vec<Printed> = pages(root)
            .unwrap()
            .iter()
            .flat_map(|page| printed(&fs::read_to_string(page).unwrap()).unwrap())
            .collect();
        for entry in fs::read_dir(root.join("examples")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                let name = format!("example-{}", entry.file_name().into_string().unwrap());
                assert!(commands.iter().any(|command| command.runs(&name)), "{name}");
            }
        }
    }
}
