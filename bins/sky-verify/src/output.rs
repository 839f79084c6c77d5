//! The arguments about output that `math` and `code` share.

use std::{num::NonZero, path::PathBuf};

use sky_cli::UserError;

#[derive(clap::Args)]
pub(crate) struct OutputArgs {
    /// The verdicts, in the order of the input. An interrupted run on samples continues from the
    /// journal beside this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the output file if it exists.
    #[arg(long)]
    force: bool,
    /// Number of threads that check; one a core by default. Verdicts do not depend on it.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZero<usize>>,
}

impl OutputArgs {
    /// Refuses to replace a file without `--force`.
    pub(crate) fn check(&self) -> Result<(), UserError> {
        if self.out.exists() && !self.force {
            return Err(UserError(format!(
                "{}: the file exists; --force replaces it",
                self.out.display()
            )));
        }
        Ok(())
    }
}
