//! Readers that turn rows of public data sets into problems.

mod code;
mod known_problems;
mod live_code_bench;
mod math;
mod pickle;
mod tolerance;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sky_files::{FileError, read_jsonl_from};
use sky_types::Problem;

use crate::{DataError, Result};

/// The format of a file's rows: the public data set that they are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Our own `problems.jsonl`.
    Problems,
    /// GSM8K: `question`, `answer` ending in `#### 18`.
    Gsm8k,
    /// MATH, AMC, OlympiadBench-like: `problem`, `answer` or a `solution` with a box.
    Math,
    /// AIME: as MATH, or `prompt` for the question; integer answers.
    Aime,
    /// NuminaMath-CoT: `source`, `problem`, `solution` with a box.
    Numina,
    /// MBPP: `text`, `test_list`, `test_setup_code`.
    Mbpp,
    /// APPS: `question`, `input_output`, `starter_code`.
    Apps,
    /// TACO: APPS' fields.
    Taco,
    /// LiveCodeBench: `question_content`, `public_test_cases`, `private_test_cases`.
    LiveCodeBench,
    /// HumanEval: `prompt`, `test`, `entry_point`.
    HumanEval,
}

impl Format {
    /// Every format with its name on the command line.
    pub const ALL: [(&'static str, Self); 10] = [
        ("problems", Self::Problems),
        ("gsm8k", Self::Gsm8k),
        ("math", Self::Math),
        ("aime", Self::Aime),
        ("numina", Self::Numina),
        ("mbpp", Self::Mbpp),
        ("apps", Self::Apps),
        ("taco", Self::Taco),
        ("livecodebench", Self::LiveCodeBench),
        ("humaneval", Self::HumanEval),
    ];

    /// Its name on the command line, which is also the `source` of its problems.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, format)| *format == self)
            .map_or("problems", |(name, _)| name)
    }

    /// The format with this name; none for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, format)| *format)
    }
}

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
    let rows = read_jsonl_from::<Map<String, Value>, _>(reader, path);
    Ok(rows.enumerate().map(move |(number, row)| {
        let row = row?;
        from_row(format, row, number).map_err(|message| {
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
    row: Map<String, Value>,
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

/// Why a row does not give a problem.
enum Refusal {
    /// It is a row of this source without a checkable answer.
    Skip(String),
    /// It is not a row of this source.
    Form(String),
}

type Converted = std::result::Result<Problem, Refusal>;

fn convert(format: Format, row: Map<String, Value>, number: usize) -> Converted {
    match format {
        Format::Problems => serde_json::from_value(Value::Object(row))
            .map_err(|error| Refusal::Form(error.to_string())),
        Format::Gsm8k => math::gsm8k(&row, number),
        Format::Math | Format::Aime => math::math(&row, number, format.name()),
        Format::Numina => math::numina(&row, number),
        Format::Mbpp => code::mbpp(&row),
        Format::Apps | Format::Taco => code::apps(&row, number, format.name()),
        Format::LiveCodeBench => live_code_bench::live_code_bench(&row),
        Format::HumanEval => code::human_eval(&row),
    }
}

/// A text field that must be there.
fn text<'a>(row: &'a Map<String, Value>, key: &str) -> std::result::Result<&'a str, Refusal> {
    row.get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| Refusal::Form(format!("no text field `{key}`")))
}

/// Copies what may be useful later into `meta`.
fn keep(problem: &mut Problem, row: &Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if let Some(value) = row.get(*key).filter(|value| !value.is_null()) {
            problem.meta.insert((*key).to_owned(), value.clone());
        }
    }
}
