use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use sky_files::{Counts, FileError, Manifest, Stage, StageDir, StageSpec, duration};

use crate::{Recipe, exit::RunFailed, layout};

/// The arguments that every pipeline stage takes.
#[derive(Args, Clone, Debug)]
pub struct StageArgs {
    /// The recipe: a TOML file.
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// The run folder; each stage writes its own folder inside it.
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Seed from 0 to 2^64 - 1, used instead of the recipe's.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_seed)]
    pub seed: Option<u64>,
    /// Check the recipe and print what would run, with sizes and expected time; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run, print the estimate as one line of JSON.
    #[arg(long, requires = "dry_run", hide = true)]
    pub json: bool,
    /// Check the recipe and that the files and keys it names are here; print only errors, write
    /// nothing.
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
    /// Replace results that were made with other inputs or settings; without it they are an error.
    #[arg(long)]
    pub force: bool,
}

/// What a dry run prints about one stage.
#[derive(Clone, Debug, Default)]
pub struct StageEstimate {
    /// What would be done, in a few words with sizes: "128 problems x 4 samples, at most 96 tokens
    /// each".
    pub what: String,
    /// Expected wall-clock time in seconds on this machine; none when it is unknown.
    pub seconds: Option<f64>,
}

/// One stage: what its results depend on, and what it would do.
#[derive(Debug)]
pub struct StageDef<'a> {
    /// The stage's name, one of [`layout::STAGES`].
    pub name: &'a str,
    /// Files it reads, relative to the run folder or absolute.
    pub inputs: Vec<PathBuf>,
    /// Version of the stage's code. Raise it when a change gives other results from the same inputs
    /// and settings; results of another revision are refused.
    pub revision: u32,
    /// Settings that its results depend on, a JSON object. The seed is added.
    pub config: Value,
    /// Folders inside the stage's folder that check by themselves what they belong to, such as
    /// checkpoints. Only `--force` removes them.
    pub preserve: &'static [&'static str],
    /// What `--dry-run` prints.
    pub estimate: StageEstimate,
}

/// Parses a seed from the command line.
///
/// # Errors
/// When the text is no whole number from 0 to 2^64 - 1.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

impl StageArgs {
    /// Reads the recipe; `--seed` replaces its seed.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn load(&self) -> anyhow::Result<Recipe> {
        let mut recipe = Recipe::load(&self.recipe)?;
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        Ok(recipe)
    }

    /// Whether nothing is computed (`--dry-run` or `--check`): the files that earlier stages write
    /// need not exist.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run || self.check
    }

    /// A path inside the run folder; see [`layout`].
    pub fn path(&self, inside: &str) -> PathBuf {
        self.run.join(inside)
    }

    /// Runs a stage and prints one line when it ends. A stage that is done is not run again. A dry
    /// run prints the estimate, and a check prints nothing.
    ///
    /// `run` returns the stage's outputs and scratch files (paths inside the stage's folder) and
    /// its counts.
    ///
    /// # Errors
    /// As [`Stage::open`], and every error of `run`.
    pub fn run(
        &self,
        recipe: &Recipe,
        definition: StageDef<'_>,
        run: impl FnOnce(&StageDir) -> anyhow::Result<(Vec<String>, Vec<String>, Counts)>,
    ) -> anyhow::Result<()> {
        let name = definition.name;
        if self.check {
            return Ok(());
        }
        if self.json {
            let StageEstimate { what, seconds } = definition.estimate;
            let line = serde_json::json!({ "stage": name, "seconds": seconds, "what": what });
            crate::outln!("{line}");
            return Ok(());
        }
        if self.dry_run {
            let time = definition
                .estimate
                .seconds
                .map_or_else(|| "-".to_owned(), duration);
            crate::outln!("{name:<12} {time:>8}  {}", definition.estimate.what);
            return Ok(());
        }
        let folder = layout::folder(name).unwrap_or(name);
        let mut config = definition.config;
        config["seed"] = recipe.seed.into();
        config["revision"] = definition.revision.into();
        let root = std::path::absolute(&self.run)?;
        let spec = StageSpec {
            name: name.to_owned(),
            dir: self.run.join(folder),
            inputs: named(&self.run, &root, &definition.inputs),
            config,
            preserve: definition.preserve,
        };
        match Stage::open(spec, self.force).map_err(|error| self.classify(&root, error))? {
            Stage::Done(manifest) => say(&manifest, "done before"),
            Stage::Todo(dir) => {
                let _span = tracing::info_span!("stage", name).entered();
                let (outputs, scratch, counts) = run(&dir).context(RunFailed)?;
                let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
                let scratch: Vec<&str> = scratch.iter().map(String::as_str).collect();
                let manifest = dir.finish(&outputs, &scratch, counts).context(RunFailed)?;
                say(&manifest, "");
            }
        }
        Ok(())
    }

    /// Makes an error inside the run folder a failed run, exit code 1. Other errors keep their
    /// code: results that need `--force`, and files outside the folder, are the user's to mend.
    fn classify(&self, root: &Path, error: FileError) -> anyhow::Error {
        let inside = error.path().starts_with(&self.run) || error.path().starts_with(root);
        if inside && !matches!(error, FileError::Stale { .. }) {
            return anyhow::Error::new(error).context(RunFailed);
        }
        error.into()
    }
}

/// The inputs with their names in the manifest. Inside the run folder it is the path there, else
/// the file name, so that a run folder can be moved. Files with the same name are numbered in their
/// order.
fn named(run: &Path, root: &Path, inputs: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut all: Vec<(String, PathBuf)> = Vec::new();
    for path in inputs {
        let file = run.join(path);
        if all.iter().any(|(_, known)| *known == file) {
            continue;
        }
        let whole = root.join(path);
        let plain = match whole.strip_prefix(root) {
            Ok(inside) => inside.to_string_lossy(),
            Err(_) => whole.file_name().unwrap_or_default().to_string_lossy(),
        };
        let taken = |name: &str| all.iter().any(|(known, _)| known == name);
        let mut name = plain.to_string();
        let mut number = 2;
        while taken(&name) {
            name = format!("{plain} ({number})");
            number += 1;
        }
        all.push((name, file));
    }
    all
}

fn say(manifest: &Manifest, remark: &str) {
    let Counts {
        count_in,
        count_out,
        more,
    } = &manifest.counts;
    let more: String = more
        .iter()
        .map(|(name, value)| format!("  {name} {}", readable(value)))
        .collect();
    let resumed = if manifest.resumed { "  (resumed)" } else { "" };
    let time = duration(manifest.seconds);
    crate::outln!(
        "{:<12} {time:>8}  {count_in} in, {count_out} out{more}{resumed}  {remark}",
        manifest.stage
    );
}

/// A count for a person: `0.22294171039874738` as `0.2229`. The manifest has all digits.
fn readable(value: &Value) -> String {
    let Some(number) = value.as_f64().filter(|_| value.is_f64()) else {
        return value.to_string();
    };
    // Four significant digits, and all of those before the point.
    let size = number.abs().max(1e-9).log10().floor();
    let decimals = (3.0 - size).clamp(0.0, 9.0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_readable() {
        for (value, text) in [
            (serde_json::json!(0.22294171039874738), "0.2229"),
            (serde_json::json!(73.4), "73.4"),
            (serde_json::json!(12345.678), "12346"),
            (serde_json::json!(0.0), "0"),
            (serde_json::json!(1e-5), "0.00001"),
            (serde_json::json!(12), "12"),
            (serde_json::json!(null), "null"),
        ] {
            assert_eq!(readable(&value), text);
        }
    }

    #[test]
    fn inputs_of_one_name_stay_apart() {
        let inputs = [
            "problems/train.jsonl",
            "/a/rows.jsonl",
            "/b/rows.jsonl",
            "/a/rows.jsonl",
        ];
        let inputs: Vec<PathBuf> = inputs
            .iter()
            .chain(&["/run/train/model/x"])
            .map(PathBuf::from)
            .collect();
        let named = named(Path::new("run"), Path::new("/run"), &inputs);
        let expected = [
            ("problems/train.jsonl", "run/problems/train.jsonl"),
            ("rows.jsonl", "/a/rows.jsonl"),
            ("rows.jsonl (2)", "/b/rows.jsonl"),
            ("train/model/x", "/run/train/model/x"),
        ];
        let expected = expected.map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        assert_eq!(named, expected);
    }
}
