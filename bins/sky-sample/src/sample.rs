use std::path::PathBuf;

use serde_json::{Value, json};
use sky_backend::Source;
use sky_cli::{ModelConfig, Progress, Recipe, StageArgs, StageDef, StageEstimate, layout};
use sky_data::ProblemsConfig;
use sky_files::{Counts, read_jsonl};
use sky_sample::{Event, SampleConfig, Sampling, sample};
use sky_types::{Problem, Prompt};

use crate::teacher;

const JOURNAL: &str = "samples.journal";

pub(crate) fn run(args: &StageArgs) -> anyhow::Result<()> {
    let recipe = args.load()?;
    let config: SampleConfig = recipe.section()?;
    let prompt: Prompt = recipe.section()?;
    let model = ModelConfig::read(&recipe, "teacher")?;
    if !args.dry_run {
        model.ready(&recipe, "teacher")?;
    }
    let identity = if args.is_dry_run() {
        Value::Null
    } else {
        teacher::identity(&model)?
    };
    // How many may fail changes no reply.
    let settings = SampleConfig {
        max_failed: SampleConfig::default().max_failed,
        ..config.clone()
    };
    let definition = StageDef {
        name: "sample",
        inputs: vec![PathBuf::from(layout::TRAIN_PROBLEMS)],
        config: json!({ "sample": settings, "prompt": prompt, "teacher": identity }),
        revision: 1,
        preserve: &[],
        estimate: plan(&recipe, &config, &model),
    };
    args.run(&recipe, definition, |dir| {
        let problems: Vec<Problem> =
            read_jsonl(&args.path(layout::TRAIN_PROBLEMS))?.collect::<Result<_, _>>()?;
        let sampling = Sampling {
            problems: &problems,
            prompt: &prompt,
            config: &config,
            seed: recipe.seed,
        };
        let mut generate = sky_backend::open(&Source::of(&model)?, &model, &model.name)?;
        let progress = Progress::new("sample", sampling.len() as u64, "samples");
        let mut tokens = 0_u64;
        let name = layout::file_name(layout::SAMPLES);
        let sampled = sample(
            sampling,
            generate.as_mut(),
            &dir.file(JOURNAL),
            &dir.file(name),
            &mut |event| match event {
                Event::Resumed { done, damaged } => {
                    progress.skip(done as u64);
                    if damaged > 0 {
                        eprintln!("samples: {damaged} damaged journal lines are sampled again");
                    }
                }
                Event::Finished(sample) => {
                    tokens += u64::from(sample.completion_tokens);
                    progress.advance(1);
                    progress.note(format!("{tokens} tokens"));
                }
            },
        )?;
        drop(progress);
        if sampled.differed > 0 {
            eprintln!(
                "samples: {} repeated replies differ from those of the stopped run: this machine or its settings have changed; \
                 the earlier ones are kept",
                sampled.differed
            );
        }
        let counts = Counts::new(problems.len() as u64, sampled.samples as u64)
            .with("completion_tokens", sampled.completion_tokens)
            .with("unfinished", sampled.unfinished);
        let counts = sampled.failed.iter().fold(counts, |counts, (cause, count)| {
            eprintln!("samples: {count} failed: {cause}");
            counts.with(&format!("failed: {cause}"), *count)
        });
        Ok((vec![name.to_owned()], vec![JOURNAL.to_owned()], counts))
    })
}

fn plan(recipe: &Recipe, config: &SampleConfig, model: &ModelConfig) -> StageEstimate {
    let problems = recipe
        .other_section()
        .and_then(|problems: ProblemsConfig| problems.expected_train());
    let count = problems.map_or_else(|| "the".to_owned(), |n| n.to_string());
    let not_here = match model.local_path() {
        Err(error) => format!("; NOT HERE YET: {error}"),
        Ok(_) => String::new(),
    };
    StageEstimate {
        what: format!(
            "{count} problems x {} of {}, at most {} tokens each{not_here}",
            config.n, model.name, config.max_tokens
        ),
        seconds: problems
            .and_then(|n| model.expected_seconds(n * u64::from(config.n), config.max_tokens)),
    }
}
