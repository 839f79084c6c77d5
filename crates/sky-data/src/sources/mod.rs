//! Readers that turn rows of public data sets into problems.

mod code;
mod converted;
mod format;
mod known_problems;
mod live_code_bench;
mod math;
mod pickle;
mod source_row;
mod tolerance;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use sky_files::{FileError, read_jsonl_from};
use sky_types::Problem;

pub use self::{format::Format, source_row::SourceRow};

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

/// Reads a file of JSON lines row by row, plain or `.gz`.
///
/// # Errors
/// When the file cannot be opened. Then per row, when it is not JSON or lacks the format's fields.
pub fn read(format: Format, path: &Path) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
    let file = File::open(path).map_err(|source| FileError::io(path, "open", source))?;
    let reader: Box<dyn BufRead> = if path.extension().is_some_and(|ext| ext == "gz") {
        Box::new(BufReader::with_capacity(
            1 << 16,
            MultiGzDecoder::new(BufReader::new(file)),
        ))
    } else {
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let name = path.to_path_buf();
    let rows = read_jsonl_from::<SourceRow, _>(reader, path);
    Ok(rows.enumerate().map(move |(number, row)| {
        let row = row?;
        from_row(format, &row, number).map_err(|message| {
            DataError::File(FileError::Format {
                path: name.clone(),
                line: Some(number as u64 + 1),
                message,
            })
        })
    }))
}

/// Turns one row, the `number`th of its source, into a problem.
///
/// # Errors
/// What is wrong, in words, when it lacks the format's fields.
pub fn from_row(
    format: Format,
    row: &SourceRow,
    number: usize,
) -> std::result::Result<Row, String> {
    match convert(format, row, number) {
        Ok(problem) => Ok(Row::Problem(Box::new(problem))),
        Err(Refusal::Skip(reason)) => Ok(Row::Skipped {
            row: number,
            reason,
        }),
        Err(Refusal::Form(message)) => Err(format!("not a row of {}: {message}", format.name())),
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
        Format::HumanEval => code::human_eval(&*fields()?),
    }
}
