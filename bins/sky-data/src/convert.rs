use std::path::PathBuf;

use sky_cli::UserError;
use sky_data::sources::{self, Format, Row};
use sky_files::{FileError, write_atomic};

/// Turn rows of a public data set into problems.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// File of rows to convert, JSON lines, plain or `.gz`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Format of the rows: the data set that they are from.
    #[arg(long, value_parser = format_names())]
    from: String,
    /// File to write, a `problems.jsonl`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Text put before every problem's id, to keep two files of one source apart.
    #[arg(long, default_value = "")]
    prefix: String,
    /// Replace the file of --out when it exists; without it that is an error.
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Rows without an answer that can be checked are left out and counted.

Examples:
  sky-data convert --from gsm8k train.jsonl --out problems/gsm8k.jsonl
  sky-data convert --from numina numina-math-cot.jsonl --out problems/numina.jsonl
  sky-data convert --from apps test.jsonl --prefix test/ --out problems/apps-test.jsonl";

fn format_names() -> Vec<&'static str> {
    Format::ALL.iter().map(|(name, _)| *name).collect()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let format = Format::from_name(&args.from)
        .ok_or_else(|| UserError(format!("unknown format: {}", args.from)))?;
    if args.out.exists() && !args.force {
        return Err(UserError(format!(
            "{} exists; choose another file, or replace it with --force",
            args.out.display()
        ))
        .into());
    }
    let rows = sources::read(format, &args.file)?;
    let (mut written, mut skipped) = (0_u64, Vec::new());
    let mut failure = None;
    let result = write_atomic(&args.out, |writer| {
        for row in rows {
            match row {
                Ok(Row::Problem(mut problem)) => {
                    problem.id.insert_str(0, &args.prefix);
                    serde_json::to_writer(&mut *writer, &*problem)?;
                    std::io::Write::write_all(writer, b"\n")?;
                    written += 1;
                }
                Ok(Row::Skipped { row, reason }) => skipped.push((row, reason)),
                Err(error) => {
                    failure = Some(error);
                    return Err(std::io::Error::other("a row could not be read"));
                }
            }
        }
        Ok(())
    });
    match failure {
        Some(sky_data::DataError::File(error)) => return Err(error.into()),
        Some(error) => return Err(error.into()),
        None => result.map_err(|error: FileError| anyhow::Error::from(error))?,
    }
    for (row, reason) in skipped.iter().take(5) {
        eprintln!("row {row}: left out: {reason}");
    }
    println!(
        "{written} problems, {} rows left out: {}",
        skipped.len(),
        args.out.display()
    );
    Ok(())
}
