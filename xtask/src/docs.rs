//! `cargo xtask docs`: the pages of `docs/reference/` that give each program's command line, from
//! its `--help`.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{Exit, build, stages::PROGRAMS, workspace::Workspace};

/// Columns of a page; fits the fences of the book.
const COLUMNS: &str = "98";

/// Writes the pages, or with `check` says which are not as the programs say.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    let programs = programs(workspace)?;
    let mut stale = Vec::new();
    for (name, program) in &programs {
        let path = workspace
            .root
            .join("docs/reference")
            .join(name)
            .with_extension("md");
        let text = page(name, program)?;
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if check {
            stale.push(workspace.short(&path));
        } else {
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            println!("wrote {}", workspace.short(&path));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(Exit::failed(format!(
        "{} differ from the programs' --help; run `cargo xtask docs`",
        stale.join(", ")
    )))
}

/// Every program with a page: those in `SKY_BIN_DIR` when a caller has built them, else built here.
fn programs(workspace: &Workspace) -> Result<BTreeMap<String, PathBuf>> {
    // Asked before the build, which may put another file in this one's place.
    let xtask = env::current_exe()?;
    let mut programs = match env::var_os("SKY_BIN_DIR") {
        Some(folder) => PROGRAMS
            .iter()
            .map(|name| ((*name).to_owned(), Path::new(&folder).join(name)))
            .collect(),
        None => build::programs(workspace)?,
    };
    programs.retain(|name, _| PROGRAMS.contains(&name.as_str()));
    programs.insert("xtask".to_owned(), xtask);
    Ok(programs)
}

/// One program's page: its own help, then that of each command.
fn page(name: &str, program: &Path) -> Result<String> {
    let title = match name {
        "xtask" => "cargo xtask".to_owned(),
        name => name.to_owned(),
    };
    // The examples below call the programs by name.
    let by_name = match name {
        "xtask" => "",
        _ => "To call a program by name: [setup](../setup.md#programs-by-name).\n",
    };
    let whole = help(program, &[])?;
    let mut text = format!(
        "# {title}: command line\n\n\
         After reading this page you know every command and option of `{title}`.\n\
         `cargo xtask docs` writes this page from `--help`; do not edit it.\n{by_name}\n\
         ```text\n{whole}\n```\n"
    );
    for command in commands(&whole) {
        let help = help(program, &[command])?;
        write!(text, "\n## {title} {command}\n\n```text\n{help}\n```\n")?;
    }
    Ok(text)
}

/// The commands that a help text lists.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A description's further lines are indented more.
        .filter_map(|line| {
            line.strip_prefix("  ")
                .filter(|rest| !rest.starts_with(' '))
        })
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
}

/// What a program prints for `--help`, without spaces at the ends of lines.
fn help(program: &Path, command: &[&str]) -> Result<String> {
    // No stream is a terminal, so that its width has no influence.
    let output = Command::new(program)
        .args(command)
        .arg("--help")
        .env("COLUMNS", COLUMNS)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", program.display()))?;
    ensure!(
        output.status.success(),
        "{} {} --help fails: {}",
        program.display(),
        command.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn commands_are_read_from_a_help_text() {
        let help =
            "About.\n\nCommands:\n  run   Run it\n        twice\n  help  Print\n\nOptions:\n  -h";
        assert_eq!(commands(help).collect::<Vec<_>>(), ["run"]);
    }
}
