//! The whole pipeline: each stage a program, run in order; at the end a table, the scoreboard and
//! the report's workspace.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Instant, SystemTime},
};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;
use sky_cli::StopSignal;

use crate::{
    Exit,
    artifacts::size,
    build,
    process::{self, Ended},
    setup,
    stages::{STAGES, Stage, position},
    workspace::Workspace,
};

/// What the user typed.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A name from `recipes/`, or a TOML file.
    #[arg(long, default_value = "tiny-cpu", value_name = "NAME|FILE")]
    recipe: String,
    /// The run folder [default: runs/RECIPE, with -seedN when --seed is another than the recipe's].
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Stop after this stage.
    #[arg(long, value_name = "STAGE")]
    until: Option<String>,
    /// Begin with this stage, with what the run folder holds of those before.
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// Replaces the recipe's seed.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = sky_cli::parse_seed)]
    seed: Option<u64>,
    /// Check the recipe and print what would run, with sizes and expected times; fetch and write
    /// nothing but the programs.
    #[arg(long)]
    dry_run: bool,
    /// Replace results that were made with other inputs or settings.
    #[arg(long)]
    force: bool,
}

/// What will be done.
struct Repro<'a> {
    stages: &'a [Stage],
    recipe: PathBuf,
    run: PathBuf,
    seed: Option<u64>,
    force: bool,
    programs: BTreeMap<String, PathBuf>,
}

/// A finished stage's line in the table.
struct Row {
    name: &'static str,
    seconds: f64,
    peak: Option<u64>,
    counts: Option<(u64, u64)>,
    remark: &'static str,
}

/// A stage's line of a dry run.
#[derive(serde::Deserialize)]
struct Expected {
    what: String,
    seconds: Option<f64>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let index = |name: &Option<String>, otherwise| {
        name.as_deref()
            .map_or(Ok(otherwise), position)
            .map_err(Exit::user)
    };
    let (first, last) = (
        index(&options.from, 0)?,
        index(&options.until, STAGES.len() - 1)?,
    );
    if first > last {
        return Err(Exit::user(format!(
            "--from {} comes after --until {}",
            STAGES[first].name, STAGES[last].name
        )));
    }
    let recipe = find_recipe(workspace, &options.recipe)?;
    let run = options
        .run
        .clone()
        .unwrap_or_else(|| default_run(workspace, &recipe, options.seed));
    if !options.dry_run {
        setup::run(workspace, false)?;
    } else if !setup::can_build(workspace) {
        return Err(Exit::failed(setup::would_fetch(workspace)?));
    }
    let plan = Repro {
        stages: &STAGES[first..=last],
        recipe,
        run,
        seed: options.seed,
        force: options.force,
        programs: build::programs(workspace)?,
    };
    let stop = StopSignal::listen()?;
    if options.dry_run {
        return plan.show(workspace, &stop);
    }
    plan.check(workspace, &stop)?;
    let started = Instant::now();
    println!(
        "{} in {}",
        plan.recipe.display(),
        workspace.short(&plan.run)
    );
    let rows = plan
        .stages
        .iter()
        .map(|stage| plan.stage(workspace, &stop, stage))
        .collect::<Result<Vec<_>>>()?;
    print_table(&rows, started.elapsed().as_secs_f64());
    if plan.stages.iter().any(|stage| stage.name == "report") {
        print_score(workspace, &plan.run)?;
    }
    Ok(())
}

impl Repro<'_> {
    /// The stage's program with its arguments, which dies with this process.
    fn command(&self, workspace: &Workspace, stage: &Stage) -> Result<Command> {
        let program = self
            .programs
            .get(stage.program)
            .with_context(|| format!("{} is not built", stage.program))?;
        let mut command = process::die_with_parent(program)?;
        command
            .args(stage.arguments)
            .arg("--recipe")
            .arg(&self.recipe)
            .arg("--run")
            .arg(&self.run);
        if let Some(seed) = self.seed {
            command.args(["--seed", &seed.to_string()]);
        }
        command
            .env("SKY_HOME", &workspace.home)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Every stage's own check: a mistake in the recipe, or a file or key that it names and that is
    /// not here, ends everything before anything has begun.
    fn check(&self, workspace: &Workspace, stop: &StopSignal) -> Result<()> {
        for stage in self.stages {
            let mut command = self.command(workspace, stage)?;
            command.arg("--check");
            ended_well(stage, &process::watch(&mut command, stop)?)?;
        }
        Ok(())
    }

    /// What each stage would do, and the time of all.
    fn show(&self, workspace: &Workspace, stop: &StopSignal) -> Result<()> {
        let (mut total, mut unknown) = (0.0, Vec::new());
        for stage in self.stages {
            let mut command = self.command(workspace, stage)?;
            command.args(["--dry-run", "--json"]).stdout(Stdio::piped());
            let ended = process::watch(&mut command, stop)?;
            ended_well(stage, &ended)?;
            let Expected { what, seconds } = serde_json::from_str(&ended.said)
                .with_context(|| format!("{}: its dry run is not understood", stage.program))?;
            match seconds {
                Some(seconds) => total += seconds,
                None => unknown.push(stage.name),
            }
            let time = seconds.map_or_else(|| "-".to_owned(), sky_files::duration);
            println!("{:<12} {time:>13}  {what}", stage.name);
        }
        let more = match unknown.as_slice() {
            [] => String::new(),
            names => format!("and the time of {}, which is not known", names.join(", ")),
        };
        println!(
            "{:<12} {:>13}  {more}",
            "together",
            sky_files::duration(total)
        );
        Ok(())
    }

    fn stage(&self, workspace: &Workspace, stop: &StopSignal, stage: &Stage) -> Result<Row> {
        let manifest = self.run.join(stage.folder()).join("manifest.json");
        let written = |path: &Path| -> Option<SystemTime> {
            path.metadata().and_then(|file| file.modified()).ok()
        };
        let earlier = written(&manifest);
        let mut command = self.command(workspace, stage)?;
        if self.force {
            command.arg("--force");
        }
        let ended = process::watch(&mut command, stop)?;
        ended_well(stage, &ended)?;
        if written(&manifest).is_none() {
            return Err(Exit::failed(format!(
                "stage `{}` stopped before it was done; the same command continues",
                stage.name
            )));
        }
        let before = earlier.is_some() && earlier == written(&manifest);
        let manifest: Option<Value> = fs::read(&manifest)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let number = |key: &str| {
            manifest
                .as_ref()
                .and_then(|manifest| manifest["counts"][key].as_u64())
        };
        let field = |key: &str| manifest.as_ref().map_or(&Value::Null, |found| &found[key]);
        let resumed = field("resumed") == &Value::Bool(true);
        let all = field("seconds").as_f64().filter(|_| before || resumed);
        Ok(Row {
            name: stage.name,
            seconds: all.unwrap_or(ended.seconds),
            peak: field("peak_memory").as_u64(),
            counts: number("count_in").zip(number("count_out")),
            remark: match (before, resumed) {
                (true, _) => "  done before",
                (false, true) => "  continued",
                (false, false) => "",
            },
        })
    }
}

fn ended_well(stage: &Stage, ended: &Ended) -> Result<()> {
    match ended.status.code() {
        Some(0) => Ok(()),
        // The child has said in one line what the user wrote wrong.
        Some(2) => Err(Exit {
            code: 2,
            message: None,
        }
        .into()),
        _ => Err(Exit::failed(format!(
            "stage `{}` failed ({}); once what it says is mended, the same command continues where it stopped",
            stage.name, ended.status
        ))),
    }
}

/// A recipe by its path, or by its name in `recipes/`.
fn find_recipe(workspace: &Workspace, wanted: &str) -> Result<PathBuf> {
    let path = PathBuf::from(wanted);
    if path.extension().is_some_and(|end| end == "toml") || path.components().count() > 1 {
        if path.is_file() {
            return Ok(path);
        }
        return Err(Exit::user(format!(
            "{wanted}: no such recipe file; a name without `.toml` is looked up in recipes/"
        )));
    }
    let folder = workspace.root.join("recipes");
    let path = folder.join(format!("{wanted}.toml"));
    if path.is_file() {
        return Ok(PathBuf::from(workspace.short(&path)));
    }
    let mut names: Vec<String> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .filter_map(|entry| {
            entry
                .ok()?
                .file_name()
                .to_str()?
                .strip_suffix(".toml")
                .map(ToOwned::to_owned)
        })
        .collect();
    names.sort();
    Err(Exit::user(format!(
        "no recipe `{wanted}` in recipes/{}",
        sky_cli::nearest(wanted, names.iter().map(String::as_str))
    )))
}

/// `runs/RECIPE`. A recipe that does not parse gets its file's name: the first stage then says what
/// is wrong with it.
fn default_run(workspace: &Workspace, recipe: &Path, seed: Option<u64>) -> PathBuf {
    let table: toml::Table = fs::read_to_string(recipe)
        .ok()
        .and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default();
    let stem = recipe
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let plain =
        |name: &&str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    let mut name = table
        .get("name")
        .and_then(toml::Value::as_str)
        .filter(plain)
        .map_or(stem, ToOwned::to_owned);
    let written = table
        .get("seed")
        .and_then(toml::Value::as_integer)
        .unwrap_or(0);
    if let Some(seed) = seed.filter(|seed| i64::try_from(*seed).ok() != Some(written)) {
        name.push_str(&format!("-seed{seed}"));
    }
    workspace.root.join("runs").join(name)
}

fn print_table(rows: &[Row], seconds: f64) {
    println!(
        "\n{:<12} {:>12} {:>9} {:>9} {:>12}",
        "stage", "time", "in", "out", "peak memory"
    );
    for row in rows {
        let number = |number: Option<u64>| {
            number.map_or_else(|| "-".to_owned(), |number| number.to_string())
        };
        let peak = row.peak.map_or_else(|| "-".to_owned(), size);
        let (count_in, count_out) = (
            number(row.counts.map(|c| c.0)),
            number(row.counts.map(|c| c.1)),
        );
        println!(
            "{:<12} {:>12} {count_in:>9} {count_out:>9} {peak:>12}{}",
            row.name,
            sky_files::duration(row.seconds),
            row.remark
        );
    }
    println!("{:<12} {:>12}", "this run", sky_files::duration(seconds));
}

/// Accuracy before and after, from `summary.json`.
fn print_score(workspace: &Workspace, run: &Path) -> Result<()> {
    let path = run.join("summary.json");
    let text = fs::read(&path).with_context(|| path.display().to_string())?;
    let summary: Value =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let percent = |value: &Value| value.as_f64().map(|part| part * 100.0);
    println!();
    for which in ["before", "after"] {
        let score = &summary[which];
        if let (Some(accuracy), Some(n)) = (percent(&score["accuracy"]), score["n"].as_u64()) {
            let interval = percent(&score["low"]).zip(percent(&score["high"]));
            let interval = interval.map_or(String::new(), |(low, high)| {
                format!("  (95 % interval {low:.1} to {high:.1})")
            });
            println!("{which:<12} {accuracy:>7.1} % of {n} held-out problems{interval}");
        }
    }
    if let Some((before, after)) =
        percent(&summary["before"]["accuracy"]).zip(percent(&summary["after"]["accuracy"]))
    {
        println!("{:<12} {:>+7.1} points", "gain", after - before);
    }
    let report = summary["report"].as_str().unwrap_or("report.html");
    println!("report       {}", workspace.short(&run.join(report)));
    Ok(())
}
