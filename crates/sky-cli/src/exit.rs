use std::process::ExitCode;

use sky_files::FileError;

use crate::RecipeError;

/// Marks an error as the user's to mend (a wrong argument, a file that is not there): exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Runs a program: 0 when it went well, 2 for what the user typed or wrote, 1 for a failed run. The error is one line.
pub fn main(run: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {}", one_line(&error));
    let users = error.chain().any(|cause| {
        cause.is::<Invalid>()
            || cause.is::<RecipeError>()
            || cause.downcast_ref::<FileError>().is_some_and(is_users)
    });
    ExitCode::from(if users { 2 } else { 1 })
}

fn is_users(error: &FileError) -> bool {
    match error {
        FileError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        FileError::Format { .. } | FileError::Stale { .. } => true,
        _ => false,
    }
}

/// The chain of causes, without those that only repeat what an outer message already says.
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
