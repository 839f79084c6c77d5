//! Readers that turn rows of public data sets into problems.

mod choice;
mod code;
mod columns;
mod converted;
mod format;
mod judgeable;
mod known_problems;
mod live_code_bench;
mod math;
mod olympiad;
mod open;
mod pickle;
mod rows;
mod source_row;
mod tolerance;

use std::path::Path;

use sky_files::FileError;
use sky_types::Problem;

pub use self::{
    format::Format,
    judgeable::{SeenIds, check_judgeable},
    source_row::SourceRow,
};

use self::converted::{Converted, Refusal};
use crate::{DataError, Result};

/// What one row of a source became.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A problem with an answer that can be checked.
    Problem(Box<Problem>),
    /// A row without such an answer, left out.
    Skipped {
        /// 0-based number of the row.
        row: usize,
        /// What the row lacks.
        reason: String,
    },
}

impl Row {
    /// The problem; none for a skipped row.
    pub fn into_problem(self) -> Option<Problem> {
        match self {
            Self::Problem(problem) => Some(*problem),
            Self::Skipped { .. } => None,
        }
    }
}

/// Reads a file row by row: JSON lines or one JSON array, plain, gzip or Zstandard, UTF-8 or UTF-16.
///
/// # Errors
/// When the file cannot be opened. Then per row, when it is not JSON or lacks the format's fields
/// ([`FileError::Format`], after which reading goes on), and at last when the file cannot be read.
pub fn read(format: Format, path: &Path) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
    let name = path.to_path_buf();
    let rows = rows::rows(path)?;
    Ok(rows.enumerate().map(move |(number, row)| {
        let row = row?;
        from_row(format, &row.row?, number).map_err(|message| {
            DataError::File(FileError::Format {
                path: name.clone(),
                line: Some(row.line),
                message,
            })
        })
    }))
}

/// The format of a file, recognised by its first row's columns.
///
/// # Errors
/// When the file cannot be read, or the columns are of no known format; the message lists them.
pub fn recognise(path: &Path) -> Result<Format> {
    let Some(first) = rows::rows(path)?.next() else {
        return Err(FileError::format(path, "no rows").into());
    };
    let row = first?.row?;
    let failed = |message| FileError::Format {
        path: path.into(),
        line: Some(1),
        message,
    };
    let fields = row.fields().map_err(|error| failed(error.to_string()))?;
    columns::format_of(&fields).ok_or_else(|| {
        let columns = columns::list(&fields);
        failed(format!(
            "its columns are of no known format: {columns}; name it with --from"
        ))
        .into()
    })
}

/// Turns one row, the `number`th of its source, into a problem that replies can be judged by.
///
/// # Errors
/// What is wrong, in words, when it lacks the format's fields, or when it is a row of ours that no
/// reply could be judged by.
pub fn from_row(
    format: Format,
    row: &SourceRow,
    number: usize,
) -> std::result::Result<Row, String> {
    let converted = convert(format, row, number).and_then(|problem| {
        match check_judgeable(&problem) {
            Ok(()) => Ok(problem),
            // Our own rows are written by hand: what is wrong with them is told at once.
            Err(reason) if format == Format::Problems => Err(Refusal::Form(reason)),
            Err(reason) => Err(Refusal::Skip(reason)),
        }
    });
    match converted {
        Ok(problem) => Ok(Row::Problem(Box::new(problem))),
        Err(Refusal::Skip(reason)) => Ok(Row::Skipped {
            row: number,
            reason,
        }),
        Err(Refusal::Form(message)) => {
            let fields = row.fields().ok();
            let other = fields
                .as_ref()
                .and_then(|fields| columns::format_of(fields));
            let hint = match (other, &fields) {
                (Some(other), _) if other != format => {
                    format!(
                        "; its columns are those of {0}: use --from {0}",
                        other.name()
                    )
                }
                (None, Some(fields)) => format!("; its columns are {}", columns::list(fields)),
                _ => String::new(),
            };
            Err(format!("not a row of {}: {message}{hint}", format.name()))
        }
    }
}

fn convert(format: Format, row: &SourceRow, number: usize) -> Converted {
    let form = |error: serde_json::Error| Refusal::Form(error.to_string());
    let fields = || row.fields().map_err(form);
    match format {
        // From the text, so that tests keep every digit.
        Format::Problems => serde_json::from_str(row.text()).map_err(form),
        Format::Gsm8k => math::gsm8k(&*fields()?, number),
        Format::Math | Format::Aime => math::math(&fields()?, number, format.name()),
        Format::Numina => math::numina(&fields()?, number),
        Format::Mbpp => code::mbpp(&*fields()?),
        Format::Apps | Format::Taco => code::apps(&fields()?, number, format.name()),
        Format::LiveCodeBench => live_code_bench::live_code_bench(&*fields()?),
        Format::OlympiadBench => olympiad::olympiad_bench(&fields()?, number),
        Format::Gpqa => choice::gpqa(&*fields()?, number),
        Format::Arc => choice::arc(&*fields()?, number),
        Format::Mmlu => choice::mmlu(&*fields()?, number),
        Format::HumanEval => code::human_eval(&*fields()?),
    }
}
