use std::path::{Path, PathBuf};

use sky_cli::{StageArgs, StageDef, StageEstimate, layout};
use sky_eval::report::{ReportConfig, RunFiles, RunInfo, write_report};
use sky_files::Counts;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stage: StageArgs,
}

/// Reports the stages that are complete. A report is made from other files alone, so it replaces an
/// older one without --force.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut args = args.stage;
    args.force = true;
    let recipe = args.load()?;
    let config: ReportConfig = recipe.section()?;
    let files = RunFiles::in_folder(&args.run);
    let inputs = inputs(&args.run);
    let definition = StageDef {
        name: "report",
        inputs,
        config: serde_json::json!({
            "report": config,
            "name": recipe.name,
            "description": recipe.description,
        }),
        revision: 1,
        preserve: &[],
        estimate: StageEstimate {
            what: "summary.json and report.html".into(),
            seconds: Some(1.0),
        },
    };
    let info = RunInfo {
        recipe: recipe.name.clone(),
        description: recipe.description.clone(),
        seed: recipe.seed,
        command: command(recipe.path(), recipe.seed),
    };
    args.run(&recipe, definition, |_| {
        let summary = write_report(&files, &info, &config)?;
        let outputs = [layout::SUMMARY, layout::REPORT].map(|name| format!("../{name}"));
        Ok((
            outputs.to_vec(),
            Vec::new(),
            Counts::new(summary.stages.len() as u64, 2),
        ))
    })
}

/// The command that repeats the run: recipes of the checkout by name, others by path.
fn command(recipe: &Path, seed: u64) -> String {
    let name = recipe
        .strip_prefix("recipes")
        .ok()
        .and_then(Path::to_str)
        .and_then(|file| file.strip_suffix(".toml"))
        .filter(|name| !name.is_empty() && !name.contains('/'));
    let recipe = name.map_or_else(|| recipe.to_string_lossy(), Into::into);
    format!(
        "cargo xtask repro --recipe {} --seed {seed}",
        quoted(&recipe)
    )
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The files that the report reads: the manifest of each complete stage and some of its outputs.
fn inputs(run: &Path) -> Vec<PathBuf> {
    const EVAL: [&str; 3] = ["summary.json", "samples.jsonl", "verdicts.jsonl"];
    let mut inputs = Vec::new();
    for (name, folder) in layout::STAGES {
        let manifest = Path::new(folder).join("manifest.json");
        if name == "report" || !run.join(&manifest).exists() {
            continue;
        }
        inputs.push(manifest);
        inputs.extend(match name {
            "problems" => [layout::TRAIN_PROBLEMS, layout::HELDOUT_PROBLEMS]
                .map(PathBuf::from)
                .to_vec(),
            "eval-before" | "eval-after" => EVAL.map(|file| Path::new(folder).join(file)).to_vec(),
            "verify" => [layout::REWRITTEN, layout::VERDICTS]
                .map(PathBuf::from)
                .to_vec(),
            "select" => vec![layout::SELECTED.into()],
            "train" => vec![layout::METRICS.into()],
            _ => Vec::new(),
        });
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_repeat_a_run_can_be_pasted() {
        for (path, recipe) in [
            ("recipes/tiny-cpu.toml", "tiny-cpu"),
            ("mine/tiny-cpu.toml", "mine/tiny-cpu.toml"),
            ("recipes/old/a.toml", "recipes/old/a.toml"),
            ("my runs/it's.toml", r"'my runs/it'\''s.toml'"),
            ("$(reboot).toml", "'$(reboot).toml'"),
        ] {
            assert_eq!(
                command(Path::new(path), 3),
                format!("cargo xtask repro --recipe {recipe} --seed 3")
            );
        }
    }

    #[test]
    fn the_report_reads_what_the_stages_write() {
        let run = Path::new("run");
        let files = RunFiles::in_folder(run);
        let stages: Vec<_> = layout::STAGES
            .iter()
            .filter(|(name, _)| *name != "report")
            .map(|(name, folder)| ((*name).to_owned(), run.join(folder)))
            .collect();
        assert_eq!(files.stages, stages);
        for (found, expected) in [
            (files.train_problems, layout::TRAIN_PROBLEMS),
            (files.heldout_problems, layout::HELDOUT_PROBLEMS),
            (files.samples, layout::REWRITTEN),
            (files.verdicts, layout::VERDICTS),
            (files.selected, layout::SELECTED),
            (files.metrics, layout::METRICS),
            (files.eval_before, layout::EVAL_BEFORE),
            (files.eval_after, layout::EVAL_AFTER),
            (files.summary, layout::SUMMARY),
            (files.report, layout::REPORT),
        ] {
            assert_eq!(found, run.join(expected));
        }
    }
}
