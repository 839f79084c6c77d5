use std::path::Path;

use serde::{Deserialize, Serialize};
use sky_files::{FileError, read_text};
use sky_types::{Domain, Section, Version};

use crate::{EvalConfig, Result};

/// A benchmark as data: a file of `tasks/`, or one of your own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Format version, 1.
    pub v: Version<1>,
    /// The name that commands use.
    pub name: String,
    /// The name that people use.
    pub title: String,
    /// Who checks the answers.
    pub domain: Domain,
    /// What is reported: `accuracy` or `pass@1`.
    pub metric: String,
    /// Number of problems.
    #[serde(default)]
    pub problems: Option<u64>,
    /// Time limit of one test in seconds on a native interpreter; for programs only.
    #[serde(default)]
    pub test_seconds: Option<f64>,
    /// What a reader of a score has to know.
    #[serde(default)]
    pub note: Option<String>,
    /// Where the problems are.
    pub source: TaskSource,
    /// How they are put to a model.
    pub prompt: TaskPrompt,
    /// How replies are sampled.
    pub sampling: EvalConfig,
    /// Published scores.
    #[serde(default)]
    pub published: Vec<PublishedScore>,
}

/// Where a task's problems are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSource {
    /// The data set's name.
    pub dataset: String,
    /// Its configuration or release.
    #[serde(default)]
    pub subset: Option<String>,
    /// Its split.
    pub split: String,
    /// Its commit; none: any.
    #[serde(default)]
    pub revision: Option<String>,
    /// The format that `sky-data convert` reads it by; none when it knows none.
    #[serde(default)]
    pub format: Option<String>,
}

/// How a task's problems are put to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPrompt {
    /// The template; it holds `{problem}` once.
    pub text: String,
    /// The template for problems whose function is called; none: `text`.
    #[serde(default)]
    pub call_based: Option<String>,
    /// Where the words are from.
    pub from: String,
    /// Number of worked examples.
    #[serde(default)]
    pub few_shot: u32,
}

/// A score that somebody published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedScore {
    /// The model.
    pub model: String,
    /// The score in percent.
    pub percent: f64,
    /// Who gives it: S, the summary that this project was begun from; B, the Sky-T1 announcement; R,
    /// the released SkyThought repository; or a name.
    pub source: String,
}

impl Task {
    /// Reads a task file.
    ///
    /// # Errors
    /// As [`Task::parse`], and when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read_text(path)?, path)
    }

    /// Parses the text of a task file; `path` is for messages.
    ///
    /// # Errors
    /// When a key is unknown, missing or of the wrong type, or a value is out of range.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |message: String| FileError::format(path, message);
        let task: Self = toml::from_str(text)
            .map_err(|error| wrong(error.to_string().trim_end().replace('\n', " ")))?;
        let templates = [Some(&task.prompt.text), task.prompt.call_based.as_ref()];
        if templates
            .into_iter()
            .flatten()
            .any(|text| text.matches("{problem}").count() != 1)
        {
            return Err(wrong("prompt: must hold `{problem}` once".into()).into());
        }
        if !["accuracy", "pass@1"].contains(&task.metric.as_str()) {
            let message = format!("metric: `{}` is not `accuracy` or `pass@1`", task.metric);
            return Err(wrong(message).into());
        }
        if let Err(error) = task.sampling.check() {
            return Err(wrong(format!("sampling.{}: {}", error.key, error.reason)).into());
        }
        if let Some(score) = task
            .published
            .iter()
            .find(|score| !(0.0..=100.0).contains(&score.percent) || score.source.is_empty())
        {
            let message = format!(
                "published: {}: needs a percent from 0 to 100 and a source",
                score.model
            );
            return Err(wrong(message).into());
        }
        Ok(task)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    const TASK: &str = r#"
v = 1
name = "mine"
title = "Mine"
domain = "math"
metric = "accuracy"
[source]
dataset = "me/mine"
split = "test"
[prompt]
text = "Solve. {problem}"
from = "ours"
[sampling]
max_tokens = 100
"#;

    #[test]
    fn mistakes_are_named() {
        let parse = |text: &str| Task::parse(text, Path::new("mine.toml"));
        assert_eq!(parse(TASK).unwrap().sampling.max_tokens, 100);
        for (from, to, complaint) in [
            ("split", "splitt", "splitt"),
            ("split = \"test\"", "", "split"),
            ("{problem}", "", "{problem}"),
            ("\"math\"", "\"maths\"", "maths"),
            ("\"accuracy\"", "\"f1\"", "f1"),
            ("max_tokens = 100", "max_tokens = 0", "sampling.max_tokens"),
            ("max_tokens = 100", "max_tokens = \"many\"", "max_tokens"),
        ] {
            let error = parse(&TASK.replace(from, to)).unwrap_err().to_string();
            assert!(
                error.contains("mine.toml") && error.contains(complaint),
                "{error}"
            );
        }
    }

    #[test]
    fn every_bundled_task_parses() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tasks");
        let Ok(files) = fs::read_dir(&folder) else {
            // The crate alone, without the workspace.
            return;
        };
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            let task = Task::read(&path).unwrap();
            assert_eq!(path.file_stem().unwrap().to_str(), Some(task.name.as_str()));
            count += 1;
        }
        assert!(count >= 20, "{count}");
    }
}
