//! Replies that other programs wrote, as problems and samples of ours.
//!
//! [`Format::of`] tells the formats apart:
//!
//! - our own `samples.jsonl`;
//! - SkyThought's `results.json`: an object from problem to `responses`;
//! - lm-evaluation-harness's `--log_samples`: JSON lines with `doc` and `resps`;
//! - plain JSON lines with a reply and a gold answer under common names, or names that the caller
//!   gives (`solution`, `model_a.text`).
//!
//! The labels that such a file holds come along, so that they can be compared with our verdicts.

mod lm_eval;
mod plain;
mod sky_thought;

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use serde_json::{Map, Value};
use sky_files::{FileError, read_jsonl};
use sky_types::{Answer, Domain, FinishReason, Problem, Sample, SamplingParams, Version};

use crate::Result;

/// A JSON object.
type Object = Map<String, Value>;

/// The format of a file of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our `samples.jsonl`.
    Ours,
    /// SkyThought's `results.json`.
    SkyThought,
    /// lm-evaluation-harness's logged samples.
    LmEval,
    /// JSON lines with a reply and a gold answer.
    Plain,
}

impl Format {
    /// The format that a file looks like.
    ///
    /// # Errors
    /// When the file cannot be read or does not begin with a JSON object.
    pub fn of(path: &Path) -> Result<Self> {
        /// More than the first line of any sensible file.
        const MOST: u64 = 64 << 20;
        let fail = |source| FileError::io(path, "read", source);
        let file = File::open(path).map_err(|source| FileError::io(path, "open", source))?;
        let mut lines = BufReader::new(file.take(MOST)).lines();
        let first = loop {
            match lines.next() {
                None => return Err(FileError::format(path, "is empty; expected replies").into()),
                Some(line) => {
                    let line = line.map_err(fail)?;
                    if !line.trim().is_empty() {
                        break line;
                    }
                }
            }
        };
        let Ok(first) = serde_json::from_str::<Object>(first.trim()) else {
            // A document over several lines.
            return Ok(Self::SkyThought);
        };
        let has = |key: &str| first.contains_key(key);
        let more = lines.any(|line| line.is_ok_and(|line| !line.trim().is_empty()));
        Ok(if has("problem_id") && has("text") {
            Self::Ours
        } else if has("doc") && (has("resps") || has("filtered_resps")) {
            Self::LmEval
        } else if !more && sky_thought::is_document(&first) {
            Self::SkyThought
        } else {
            Self::Plain
        })
    }
}

/// The names of fields; a dot leads into an object: `model_a.text`. None: the common names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The reply, or a list of replies.
    pub text: Option<String>,
    /// The gold answer.
    pub gold: Option<String>,
    /// The recorded label: whether the reply is right.
    pub label: Option<String>,
    /// The problem's id.
    pub id: Option<String>,
}

/// Replies read from a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The problems that the file holds; empty when it names them by id only.
    pub problems: Vec<Problem>,
    /// The replies, those to one problem next to each other.
    pub samples: Vec<Sample>,
    /// For each sample whether the file says that it is right.
    pub labels: Vec<Option<bool>>,
    /// Rows that could not be used, with the reason: `line 7: ...`.
    pub left_out: Vec<String>,
}

/// One reply with what its row says of it.
struct Row {
    id: String,
    prompt: String,
    gold: Option<String>,
    replies: Vec<Reply>,
}

struct Reply {
    text: String,
    finish: FinishReason,
    tokens: u32,
    label: Option<bool>,
}

impl Outputs {
    /// Reads a file of any known format. A row that cannot be used is left out and named; the
    /// others are scored.
    ///
    /// `domain` says how gold answers are compared; none: as choices when every gold answer is a
    /// letter, else as mathematics.
    ///
    /// # Errors
    /// When the file cannot be read, is a damaged document, or has no row that can be used.
    pub fn read(path: &Path, fields: &Fields, domain: Option<Domain>) -> Result<Self> {
        let mut found = Self::default();
        let format = Format::of(path)?;
        let mut rows = Vec::new();
        match format {
            Format::Ours => found.read_ours(path)?,
            Format::SkyThought => rows = sky_thought::read(path, fields, &mut found.left_out)?,
            Format::LmEval => rows = lm_eval::read(path, &mut found.left_out)?,
            Format::Plain => rows = plain::read(path, fields, &mut found.left_out)?,
        }
        found.add(rows, path, domain);
        if found.samples.is_empty() {
            let why = found.left_out.first().map_or("no rows", String::as_str);
            let message = format!("no row can be scored; the first: {why}");
            return Err(FileError::format(path, message).into());
        }
        Ok(found)
    }

    fn read_ours(&mut self, path: &Path) -> Result<()> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut groups: Vec<Vec<Sample>> = Vec::new();
        for sample in read_jsonl::<Sample>(path)? {
            let sample = sample?;
            let place = *places.entry(sample.problem_id.clone()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push(sample);
        }
        for mut group in groups {
            let numbers: BTreeSet<u32> = group.iter().map(|sample| sample.index).collect();
            if numbers.len() < group.len() {
                // Rows from elsewhere need no index: they are numbered in their order.
                for (index, sample) in (0..).zip(&mut group) {
                    sample.index = index;
                }
            }
            self.labels.extend(group.iter().map(|_| None));
            self.samples.extend(group);
        }
        Ok(())
    }

    fn add(&mut self, rows: Vec<Row>, path: &Path, domain: Option<Domain>) {
        let source = path
            .file_stem()
            .map_or_else(|| "outputs".into(), |name| name.to_string_lossy());
        let is_letter = |gold: &str| {
            let bare = gold.trim().trim_matches(['(', ')', '.']);
            bare.len() == 1 && ("A"..="J").contains(&bare.to_ascii_uppercase().as_str())
        };
        let mut golds = rows.iter().filter_map(|row| row.gold.as_deref()).peekable();
        let letters = golds.peek().is_some() && golds.all(is_letter);
        let domain = domain.unwrap_or(if letters {
            Domain::Choice
        } else {
            Domain::Math
        });
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut groups: Vec<Vec<(Sample, Option<bool>)>> = Vec::new();
        for row in rows {
            let place = *places.entry(row.id.clone()).or_insert_with(|| {
                groups.push(Vec::new());
                if let Some(gold) = &row.gold {
                    let answer = match domain {
                        Domain::Choice => Answer::Choice(gold.trim().to_owned()),
                        _ => Answer::Math(gold_of(gold).to_owned()),
                    };
                    let prompt = row.prompt.clone();
                    let problem = Problem::new(&*row.id, &*source, domain, prompt, answer);
                    self.problems.push(problem);
                }
                groups.len() - 1
            });
            for reply in row.replies {
                let index = groups[place].len() as u32;
                groups[place].push((reply.sample(&row.id, index, &source), reply.label));
            }
        }
        for (sample, label) in groups.into_iter().flatten() {
            self.samples.push(sample);
            self.labels.push(label);
        }
    }
}

impl Reply {
    fn sample(&self, id: &str, index: u32, source: &str) -> Sample {
        Sample {
            v: Version,
            problem_id: id.to_owned(),
            index,
            text: self.text.clone(),
            finish_reason: self.finish,
            prompt_tokens: 0,
            completion_tokens: self.tokens,
            model: source.to_owned(),
            params: SamplingParams::default(),
            seed: 0,
            failure: None,
        }
    }
}

/// The value under a name; a dot leads into an object unless the name itself has it.
fn get<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    let (head, rest) = name.split_once('.')?;
    match object.get(head)? {
        Value::Object(inner) => get(inner, rest),
        Value::Array(list) => {
            let (place, rest) = rest
                .split_once('.')
                .map_or((rest, None), |(p, r)| (p, Some(r)));
            let item = list.get(place.parse::<usize>().ok()?)?;
            match (rest, item) {
                (None, item) => Some(item),
                (Some(rest), Value::Object(inner)) => get(inner, rest),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The value under the caller's name, else under the first of the common names that is there.
fn pick<'a>(object: &'a Object, named: Option<&str>, common: &[&str]) -> Option<&'a Value> {
    match named {
        Some(name) => get(object, name),
        None => common
            .iter()
            .find_map(|name| object.get(*name).filter(|value| !value.is_null())),
    }
}

/// The answer in a gold field. Some data sets have the whole solution there, whose last line is
/// `A: 18`; boxes and `#### 18` are read by the check itself.
fn gold_of(gold: &str) -> &str {
    let marked = gold.contains("####") || gold.contains("boxed");
    let last = gold.trim_end().lines().next_back().unwrap_or_default();
    let announced = ["A:", "Answer:", "answer:", "The answer is", "Final answer:"]
        .iter()
        .find_map(|head| last.trim_start().strip_prefix(head));
    match announced {
        Some(answer) if !marked && gold.trim().contains('\n') => answer.trim(),
        _ => gold,
    }
}

/// A value as the text of an answer: numbers as written, the only item of a list.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) if list.len() == 1 => text_of(&list[0]),
        _ => None,
    }
}

/// A recorded label: a truth value, 0 or 1, `correct` or `wrong`.
fn label_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(right) => Some(*right),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(word) => match word.trim().to_ascii_lowercase().as_str() {
            "correct" | "true" | "right" | "pass" | "passed" | "yes" | "1" | "c" => Some(true),
            "wrong" | "incorrect" | "false" | "fail" | "failed" | "no" | "0" | "i" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Why a reply ended, from the names that servers use.
fn finish_of(object: &Object) -> FinishReason {
    let said = ["finish_reason", "stop_reason", "finish_reasons"]
        .iter()
        .find_map(|name| object.get(*name).and_then(text_of));
    match said.as_deref() {
        Some("length" | "max_tokens" | "max_length") => FinishReason::Length,
        Some("content_filter" | "refusal" | "refused") => FinishReason::Refused,
        _ => FinishReason::Stop,
    }
}

/// The objects of a file of JSON lines. A line that is no object is left out and named.
fn objects(path: &Path, left_out: &mut Vec<String>) -> Result<Vec<(u64, Object)>> {
    let fail = |source| FileError::io(path, "read", source);
    let file = File::open(path).map_err(|source| FileError::io(path, "open", source))?;
    let mut file = BufReader::new(file);
    let mut rows = Vec::new();
    let mut text = Vec::new();
    for line in 1_u64.. {
        text.clear();
        let bytes = (&mut file)
            .take(sky_files::MAX_LINE_BYTES as u64)
            .read_until(b'\n', &mut text)
            .map_err(fail)?;
        if bytes == 0 {
            break;
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<Object>(&text) {
            Ok(object) => rows.push((line, object)),
            Err(error) => left_out.push(format!("line {line}: {error}")),
        }
    }
    Ok(rows)
}
