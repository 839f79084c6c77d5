use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use sky_files::{Counts, Manifest, Stage, StageDir, StageSpec};

use crate::{Recipe, layout};

/// The arguments that every pipeline stage takes.
#[derive(Args, Clone, Debug)]
pub struct StageArgs {
    /// The recipe, a TOML file.
    #[arg(long, value_name = "FILE")]
    pub recipe: PathBuf,
    /// The run folder; each stage has its own folder inside.
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Replaces the recipe's seed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Check the recipe and print what would run, with sizes and the expected time; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Replace results that were made with other inputs or settings.
    #[arg(long)]
    pub force: bool,
}

/// What a dry run says about one stage.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What would be done, in a few words with sizes: "128 problems x 4 samples, at most 96 tokens each".
    pub what: String,
    /// Expected wall time in seconds on this machine, when it can be told.
    pub seconds: Option<f64>,
}

/// One stage: what it is made from, and what it would do.
#[derive(Debug)]
pub struct Work<'a> {
    /// The stage's name, one of [`layout::STAGES`].
    pub name: &'a str,
    /// Files it reads, relative to the run folder or absolute.
    pub inputs: Vec<PathBuf>,
    /// Settings its results depend on. The seed is added.
    pub config: Value,
    /// For `--dry-run`.
    pub plan: Plan,
}

impl StageArgs {
    /// Reads the recipe, with `--seed` put in.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn load(&self) -> anyhow::Result<Recipe> {
        let mut recipe = Recipe::load(&self.recipe)?;
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        Ok(recipe)
    }

    /// A path inside the run folder; see [`layout`].
    pub fn path(&self, inside: &str) -> PathBuf {
        self.run.join(inside)
    }

    /// Runs a stage, unless it is a dry run or the stage is done; prints one line when it ends.
    ///
    /// `run` returns the stage's outputs and scratch files (paths inside the folder) and its counts.
    ///
    /// # Errors
    /// As [`Stage::open`], and whatever `run` fails with.
    pub fn run(
        &self,
        recipe: &Recipe,
        work: Work<'_>,
        run: impl FnOnce(&StageDir) -> anyhow::Result<(Vec<String>, Vec<String>, Counts)>,
    ) -> anyhow::Result<()> {
        let name = work.name;
        if self.dry_run {
            let time = work.plan.seconds.map_or_else(|| "-".to_owned(), duration);
            println!("{name:<12} {time:>8}  {}", work.plan.what);
            return Ok(());
        }
        let folder = layout::STAGES
            .iter()
            .find(|(stage, _)| *stage == name)
            .map_or(name, |(_, folder)| folder);
        let mut config = work.config;
        config["seed"] = recipe.seed.into();
        let spec = StageSpec {
            name: name.to_owned(),
            dir: self.run.join(folder),
            inputs: work
                .inputs
                .iter()
                .map(|path| (input_name(path), self.run.join(path)))
                .collect(),
            config,
        };
        match Stage::open(spec, self.force)? {
            Stage::Done(manifest) => say(&manifest, "done before"),
            Stage::Todo(dir) => {
                let (outputs, scratch, counts) = run(&dir)?;
                let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
                let scratch: Vec<&str> = scratch.iter().map(String::as_str).collect();
                say(&dir.finish(&outputs, &scratch, counts)?, "");
            }
        }
        Ok(())
    }
}

/// Inputs inside the run folder go by their path there; others by their file name, so that a run can be moved.
fn input_name(path: &Path) -> String {
    if path.is_relative() {
        return path.to_string_lossy().into_owned();
    }
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn say(manifest: &Manifest, remark: &str) {
    let Counts {
        count_in,
        count_out,
        more,
    } = &manifest.counts;
    let more: String = more
        .iter()
        .map(|(name, value)| format!("  {name} {value}"))
        .collect();
    let resumed = if manifest.resumed { "  (resumed)" } else { "" };
    let time = duration(manifest.seconds);
    println!(
        "{:<12} {time:>8}  {count_in} in, {count_out} out{more}{resumed}  {remark}",
        manifest.stage
    );
}

/// Seconds for a person: `7.3 s`, `4 min 10 s`, `19 h 02 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}
