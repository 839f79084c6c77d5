use std::path::PathBuf;

use sky_data::{
    ContaminationIndex,
    sources::{self, Format},
};
use sky_types::Problem;

/// List problems that share consecutive words with an evaluation set.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Problems to check, a `problems.jsonl`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Evaluation set to compare with, a `problems.jsonl`.
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// Number of consecutive words that count as shared, 1 to 1000.
    #[arg(long, default_value_t = 13, value_parser = clap::value_parser!(u32).range(1..=1000))]
    words: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let heldout = problems(&args.with)?;
    let index = ContaminationIndex::new(args.words as usize, heldout.iter().map(|p| &p.prompt));
    let mine = problems(&args.file)?;
    let mut shared = 0;
    for problem in &mine {
        if let Some(run) = index.find(&problem.prompt) {
            shared += 1;
            sky_cli::outln!("{}\t{run}", problem.id);
        }
    }
    eprintln!(
        "{shared} of {} problems share {} words in a row with {}",
        mine.len(),
        args.words,
        args.with.display()
    );
    Ok(())
}

fn problems(path: &std::path::Path) -> anyhow::Result<Vec<Problem>> {
    let rows = sources::read(Format::Problems, path)?;
    let rows = rows.filter_map(|row| row.map(sources::Row::into_problem).transpose());
    Ok(rows.collect::<sky_data::Result<Vec<_>>>()?)
}
