use std::path::PathBuf;

use serde_json::json;
use sky_cli::{
    Progress, StageArgs, StageDef, StageEstimate, UserError, api_key, check_endpoint, layout,
};
use sky_files::{Counts, StageDir, read_jsonl, write_jsonl};
use sky_sample::{
    Event, HttpGenerator, RewriteConfig, RewriteCounts, RewriteKind, Rewriting, rewrite_by_rules,
    rewrite_with_model,
};
use sky_types::{Sample, SamplingParams};

use crate::teacher;

const JOURNAL: &str = "rewrite.journal";

pub(crate) fn run(args: &StageArgs) -> anyhow::Result<()> {
    let recipe = args.load()?;
    let config: RewriteConfig = recipe.section()?;
    if config.kind == RewriteKind::Model {
        check_endpoint(&config.endpoint)
            .map_err(|reason| recipe.error_at("rewrite", "endpoint", &reason))?;
        if !args.dry_run {
            api_key(&config.api_key_env)
                .map_err(|UserError(reason)| recipe.error_at("rewrite", "api_key_env", &reason))?;
        }
    }
    // What does not change the results (the pace, the key's name) does not make them stale.
    let (settings, what) = match config.kind {
        RewriteKind::Rules => (
            json!({ "kind": "rules" }),
            "thought and solution, by rules".to_owned(),
        ),
        RewriteKind::Model => (
            json!({
                "kind": "model", "endpoint": config.endpoint, "name": config.name,
                "temperature": config.temperature, "top_p": config.top_p, "max_tokens": config.max_tokens,
            }),
            format!(
                "thought and solution, by {} at {}, rules where it fails",
                config.name, config.endpoint
            ),
        ),
    };
    let definition = StageDef {
        name: "rewrite",
        inputs: vec![PathBuf::from(layout::SAMPLES)],
        config: json!({ "rewrite": settings }),
        revision: 1,
        preserve: &[],
        estimate: StageEstimate {
            what,
            seconds: (config.kind == RewriteKind::Rules).then_some(1.0),
        },
    };
    args.run(&recipe, definition, |dir| {
        let (total, counts) = match config.kind {
            RewriteKind::Rules => by_rules(args, dir)?,
            RewriteKind::Model => by_model(args, dir, &config, recipe.seed)?,
        };
        let counts = counts
            .into_iter()
            .fold(Counts::new(total, total), |counts, (how, count)| {
                counts.with(how.as_str(), count)
            });
        Ok((
            vec![layout::file_name(layout::REWRITTEN).to_owned()],
            vec![JOURNAL.to_owned()],
            counts,
        ))
    })
}

/// Row by row, so that any number of samples fits.
fn by_rules(args: &StageArgs, dir: &StageDir) -> anyhow::Result<(u64, RewriteCounts)> {
    let mut counts = RewriteCounts::new();
    let mut failure = None;
    let rows = read_jsonl::<Sample>(&args.path(layout::SAMPLES))?;
    let rewritten = rows.map_while(|row| match row {
        Ok(sample) => {
            let (sample, how) = rewrite_by_rules(sample);
            *counts.entry(how).or_default() += 1;
            Some(sample)
        }
        Err(error) => {
            failure = Some(error);
            None
        }
    });
    let total = write_jsonl(&dir.file(layout::file_name(layout::REWRITTEN)), rewritten)?;
    match failure {
        Some(error) => Err(error.into()),
        None => Ok((total, counts)),
    }
}

fn by_model(
    args: &StageArgs,
    dir: &StageDir,
    config: &RewriteConfig,
    seed: u64,
) -> anyhow::Result<(u64, RewriteCounts)> {
    let samples: Vec<Sample> =
        read_jsonl(&args.path(layout::SAMPLES))?.collect::<Result<_, _>>()?;
    let rewriting = Rewriting {
        samples: &samples,
        params: SamplingParams {
            temperature: config.temperature,
            top_p: config.top_p,
            max_tokens: config.max_tokens,
        },
        seed,
    };
    let mut generate = HttpGenerator::new(teacher::rewriter(config)?);
    let progress = Progress::new("rewrite", samples.len() as u64, "samples");
    let counts = rewrite_with_model(
        &rewriting,
        &mut generate,
        &dir.file(JOURNAL),
        &dir.file(layout::file_name(layout::REWRITTEN)),
        &mut |event| match event {
            Event::Resumed { done, .. } => progress.skip(done as u64),
            Event::Finished(_) => progress.advance(1),
        },
    )?;
    Ok((samples.len() as u64, counts))
}
