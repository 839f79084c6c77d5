//! `sky-verify explain`: how a response is read and compared.

use std::io::{self, Write};

use sky_math::MathChecker;

use crate::conventions::Conventions;

#[derive(clap::Args)]
pub(crate) struct ExplainArgs {
    /// The gold answer.
    #[arg(allow_hyphen_values = true)]
    gold: String,
    /// The answer, or a whole response.
    #[arg(allow_hyphen_values = true)]
    answer: String,
    /// The conventions to judge by.
    #[arg(long, value_enum, default_value_t)]
    conventions: Conventions,
}

/// Prints a verdict with both expression trees.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let checker = MathChecker::new(args.conventions.options());
    let text = checker.explain(&args.gold, &args.answer).to_string();
    match io::stdout().write_all(text.as_bytes()) {
        // The reader of a pipe may stop early, as in `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
