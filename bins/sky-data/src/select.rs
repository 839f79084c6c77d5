use std::path::PathBuf;

use serde::de::DeserializeOwned;
use sky_cli::{Recipe, StageArgs, StageDef, StageEstimate, layout};
use sky_data::{CardFacts, SelectConfig, SelectInput, Selection, card, select, write_sharegpt};
use sky_files::{Counts, StageDir, hash_file, read_jsonl, write_bytes, write_jsonl};
use sky_types::Prompt;

use crate::explain;

pub(crate) fn run(args: &StageArgs) -> anyhow::Result<()> {
    let recipe = args.load()?;
    let config: SelectConfig = recipe.section()?;
    let prompt: Prompt = recipe.section()?;
    let definition = StageDef {
        name: "select",
        inputs: [
            layout::TRAIN_PROBLEMS,
            layout::HELDOUT_PROBLEMS,
            layout::REWRITTEN,
            layout::VERDICTS,
        ]
        .map(PathBuf::from)
        .to_vec(),
        config: serde_json::json!({ "select": config, "prompt": prompt, "name": recipe.name }),
        revision: 2,
        preserve: &[],
        estimate: StageEstimate {
            what: format!(
                "right samples, at most {} a problem, into ShareGPT rows with a card",
                config.per_problem
            ),
            seconds: Some(1.0),
        },
    };
    args.run(&recipe, definition, |dir| {
        let problems = rows(args, layout::TRAIN_PROBLEMS)?;
        let heldout = rows(args, layout::HELDOUT_PROBLEMS)?;
        let samples = rows(args, layout::REWRITTEN)?;
        let verdicts = rows(args, layout::VERDICTS)?;
        let input = SelectInput {
            problems: &problems,
            heldout: &heldout,
            samples: &samples,
            verdicts: &verdicts,
            prompt: &prompt,
        };
        let selection =
            select(input, &config, recipe.seed).map_err(|e| explain(&recipe, "select", e))?;
        selection
            .check_quotas(&config)
            .map_err(|error| explain(&recipe, "select", error))?;
        for (source, counts) in &selection.funnel.sources {
            if counts.rows == 0 {
                eprintln!(
                    "  note: source {source} gives no row: {} problems, {} right samples",
                    counts.problems, counts.correct
                );
            }
        }
        write(dir, &selection, &recipe)
    })
}

/// Writes the stage's files, and says which they are and what they count.
fn write(
    dir: &StageDir,
    selection: &Selection,
    recipe: &Recipe,
) -> anyhow::Result<(Vec<String>, Vec<String>, Counts)> {
    let file = |path| dir.file(layout::file_name(path));
    let sharegpt = file(layout::SHAREGPT);
    write_sharegpt(&sharegpt, &selection.rows)?;
    write_jsonl(&file(layout::SELECTED), &selection.selected)?;
    write_jsonl(&file(layout::DROPPED), &selection.dropped)?;
    let facts = CardFacts {
        name: recipe.name.clone(),
        seed: recipe.seed,
        hash: Some(hash_file(&sharegpt)?),
        licences: Vec::new(),
    };
    write_bytes(&file(layout::CARD), card(selection, &facts).as_bytes())?;

    let funnel = &selection.funnel;
    let mut counts = Counts::new(funnel.samples as u64, selection.rows.len() as u64)
        .with("problems", funnel.problems)
        .with("solved", funnel.solved);
    for (reason, count) in &funnel.dropped {
        counts = counts.with(reason, *count);
    }
    let outputs = [
        layout::SHAREGPT,
        layout::SELECTED,
        layout::DROPPED,
        layout::CARD,
    ];
    let outputs = outputs.map(|path| layout::file_name(path).to_owned());
    Ok((outputs.to_vec(), Vec::new(), counts))
}

fn rows<T: DeserializeOwned>(args: &StageArgs, path: &str) -> sky_files::Result<Vec<T>> {
    read_jsonl(&args.path(path))?.collect()
}
