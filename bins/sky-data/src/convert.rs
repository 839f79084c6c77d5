use std::path::PathBuf;

use sky_cli::UserError;
use sky_data::{
    DataError,
    sources::{self, Format, Row, SeenIds},
};
use sky_files::{FileError, write_atomic};

/// Turn rows of a public data set into problems.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// File of rows to convert: JSON lines or one JSON array; plain, gzip or Zstandard.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Format of the rows: the data set that they are from; recognised by their columns when unset.
    #[arg(long, value_parser = format_names())]
    from: Option<String>,
    /// File to write, a `problems.jsonl`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Text put before every problem's id, to keep two files of one source apart.
    #[arg(long, default_value = "")]
    prefix: String,
    /// Leave out and count rows that do not fit the format; without it the first is an error.
    #[arg(long)]
    skip_misfits: bool,
    /// Replace the file of --out when it exists; without it that is an error.
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Rows without an answer that can be checked are left out and counted. No problem at all is an error.

Examples:
  sky-data convert --from gsm8k train.jsonl --out problems/gsm8k.jsonl
  sky-data convert --from numina numina-math-cot.jsonl --out problems/numina.jsonl
  sky-data convert --from apps test.jsonl --prefix test/ --out problems/apps-test.jsonl";

fn format_names() -> Vec<&'static str> {
    Format::ALL.iter().map(|(name, _)| *name).collect()
}

/// A row that gives no problem: where it stands and why.
struct LeftOut {
    place: String,
    reason: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.out.exists() && !args.force {
        return Err(UserError(format!(
            "{} exists; choose another file, or replace it with --force",
            args.out.display()
        ))
        .into());
    }
    let format = match &args.from {
        Some(name) => {
            Format::from_name(name).ok_or_else(|| UserError(format!("unknown format: {name}")))?
        }
        None => {
            let format = sources::recognise(&args.file).map_err(failed)?;
            eprintln!("format: {}", format.name());
            format
        }
    };
    let rows = sources::read(format, &args.file).map_err(failed)?;
    let mut left_out: Vec<LeftOut> = Vec::new();
    let (mut written, mut ids, mut failure) = (0_u64, SeenIds::default(), None);
    let result = write_atomic(&args.out, |writer| {
        for (number, row) in rows.enumerate() {
            let problem = match row.and_then(|row| unique(row, &mut ids, args, number)) {
                Ok(Row::Problem(problem)) => problem,
                Ok(Row::Skipped { row, reason }) => {
                    let place = format!("row {row}");
                    left_out.push(LeftOut { place, reason });
                    continue;
                }
                Err(DataError::File(error @ FileError::Format { .. })) if args.skip_misfits => {
                    left_out.push(LeftOut {
                        place: format!("row {number}"),
                        reason: error.to_string(),
                    });
                    continue;
                }
                Err(error) => {
                    failure = Some(error);
                    return Err(std::io::Error::other("a row could not be read"));
                }
            };
            serde_json::to_writer(&mut *writer, &*problem)?;
            std::io::Write::write_all(writer, b"\n")?;
            written += 1;
        }
        if written == 0 {
            // Leaves the file of --out as it was.
            return Err(std::io::Error::other("no problem"));
        }
        Ok(())
    });
    for LeftOut { place, reason } in left_out.iter().take(5) {
        eprintln!("{place}: left out: {reason}");
    }
    if let Some(error) = failure {
        return Err(failed(error));
    }
    if written == 0 {
        let count = left_out.len();
        let file = args.file.display();
        return Err(UserError(match left_out.first() {
            Some(first) => format!(
                "{file}: none of its {count} rows is a problem of {}; the first: {}",
                format.name(),
                first.reason
            ),
            None => format!("{file}: no rows"),
        })
        .into());
    }
    result?;
    sky_cli::outln!(
        "{written} problems, {} rows left out: {}",
        left_out.len(),
        args.out.display()
    );
    Ok(())
}

/// Puts the prefix before the problem's id, which no earlier row may have.
fn unique(row: Row, ids: &mut SeenIds, args: &Args, number: usize) -> sky_data::Result<Row> {
    let Row::Problem(mut problem) = row else {
        return Ok(row);
    };
    problem.id.insert_str(0, &args.prefix);
    ids.insert(&problem.id).map_err(|reason| {
        let message = format!("row {number}: {reason}");
        DataError::File(FileError::format(&args.file, message))
    })?;
    Ok(Row::Problem(problem))
}

fn failed(error: DataError) -> anyhow::Error {
    match error {
        DataError::File(error) => error.into(),
        error => error.into(),
    }
}
