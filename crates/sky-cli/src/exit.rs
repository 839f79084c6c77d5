use std::{fmt, process::ExitCode};

use clap::{Parser, error::ErrorKind};
use sky_files::FileError;

use crate::RecipeError;

/// An error that the user can mend, such as a wrong argument or a missing file: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UserError(pub String);

/// Marks an error of the run folder or of a stage's work: exit code 1, whichever file it is about.
/// It adds no text of its own.
#[derive(Debug)]
pub(crate) struct RunFailed;

impl fmt::Display for RunFailed {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Marks an error as one of the run, as those of a stage's work are: exit code 1, whichever file it
/// is about.
pub fn run_failed(error: anyhow::Error) -> anyhow::Error {
    error.context(RunFailed)
}

/// Parses the command line. An error prints one line and ends the process with exit code 2.
pub fn parse<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {
            eprintln!("{}", short(&error.render().to_string()));
            std::process::exit(2)
        }
    })
}

/// An error of clap in one line, without the usage and the pointer to `--help`.
fn short(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" ")
}

/// Runs a program and gives its exit code. An error prints one line.
///
/// - 0: success.
/// - 2: the command line or the recipe is wrong, or a file that they name.
/// - 1: the run failed, or something is wrong in the run folder.
pub fn main(run: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    crate::log::init();
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {}", one_line(&error));
    ExitCode::from(code(&error))
}

fn code(error: &anyhow::Error) -> u8 {
    let run = error.is::<RunFailed>();
    let users = error.chain().any(|cause| {
        cause.is::<UserError>()
            || cause.is::<RecipeError>()
            || !run && cause.downcast_ref::<FileError>().is_some_and(is_users)
    });
    if users { 2 } else { 1 }
}

fn is_users(error: &FileError) -> bool {
    match error {
        FileError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        FileError::Format { .. } | FileError::Version { .. } | FileError::Stale { .. } => true,
        _ => false,
    }
}

/// The chain of causes in one line, without causes that an outer message already contains.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.contains(&cause) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&cause);
    }
    line.replace('\n', " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn two_for_what_was_written_one_for_the_run() {
        let format = || anyhow::Error::from(FileError::format("a.jsonl", "no JSON"));
        assert_eq!(code(&format()), 2);
        let failed = format().context(RunFailed);
        assert_eq!(
            (code(&failed), one_line(&failed)),
            (1, "a.jsonl: no JSON".to_owned())
        );
        assert_eq!(code(&failed.context("stage")), 1);
        assert_eq!(
            code(&anyhow::Error::from(UserError("n".into())).context(RunFailed)),
            2
        );
        assert_eq!(code(&anyhow::anyhow!("cannot")), 1);
    }

    #[test]
    fn a_wrong_argument_is_one_line() {
        let command = clap::Command::new("x").arg(
            clap::Arg::new("seed")
                .long("seed")
                .allow_negative_numbers(true)
                .value_parser(crate::parse_seed),
        );
        let said = |arguments: &[&str]| {
            let error = command.clone().try_get_matches_from(arguments).unwrap_err();
            short(&error.render().to_string())
        };
        for wrong in ["-1", "1e3", "18446744073709551616"] {
            let line = said(&["x", "--seed", wrong]);
            assert!(
                line.starts_with("error: ")
                    && line.contains(wrong)
                    && line.contains("0 to 18446744073709551615")
                    && line.lines().count() == 1,
                "{line}"
            );
        }
        let line = said(&["x", "--sead", "1"]);
        assert!(
            line.contains("--seed") && line.lines().count() == 1,
            "{line}"
        );
    }
}
