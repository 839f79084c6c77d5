use std::path::PathBuf;

use sky_cli::{
    Recipe, StageArgs, StageDef, StageEstimate, check_against_receipt, layout, sky_home,
};
use sky_data::{NeededFile, ProblemPaths, ProblemsConfig, generate, load_problems};
use sky_files::{Counts, write_jsonl};

use crate::explain;

pub(crate) fn run(args: &StageArgs) -> anyhow::Result<()> {
    let recipe = args.load()?;
    let config: ProblemsConfig = recipe.section()?;
    let paths = ProblemPaths { home: sky_home() };
    let needs = paths.needs(&config);
    let plan = if args.is_dry_run() {
        plan(&recipe, &config, &needs)?
    } else {
        StageEstimate::default()
    };
    let inputs = needs
        .iter()
        .map(|file| std::path::absolute(&file.path))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    if !args.dry_run {
        // Before the inputs are hashed, so that the message says how to get the file.
        if let Some(NeededFile { path, get }) = needs.iter().find(|file| !file.path.exists()) {
            let error = sky_data::DataError::Missing {
                path: path.clone(),
                get: get.clone(),
            };
            let key = if config.files.is_empty() {
                "human_eval"
            } else {
                "files"
            };
            return Err(recipe.error_at("problems", key, &error.to_string()).into());
        }
        for NeededFile { path, .. } in &needs {
            check_against_receipt(path)?;
        }
    }
    let definition = StageDef {
        name: "problems",
        inputs,
        config: serde_json::json!({ "problems": config }),
        revision: 1,
        preserve: &[],
        estimate: plan,
    };
    args.run(&recipe, definition, |dir| {
        let problems = load_problems(&config, recipe.seed, &paths)
            .map_err(|error| explain(&recipe, "problems", error))?;
        write_jsonl(
            &dir.file(layout::file_name(layout::TRAIN_PROBLEMS)),
            &problems.train,
        )?;
        write_jsonl(
            &dir.file(layout::file_name(layout::HELDOUT_PROBLEMS)),
            &problems.heldout,
        )?;
        let dropped: usize = problems.dropped.values().sum();
        let all = problems.train.len() + problems.heldout.len();
        let mut counts = Counts::new((all + dropped) as u64, all as u64)
            .with("train", problems.train.len())
            .with("heldout", problems.heldout.len());
        for (reason, count) in problems.dropped {
            counts = counts.with(&format!("dropped_{reason}"), count);
        }
        let outputs = [layout::TRAIN_PROBLEMS, layout::HELDOUT_PROBLEMS];
        Ok((
            outputs
                .map(|path| layout::file_name(path).to_owned())
                .to_vec(),
            Vec::new(),
            counts,
        ))
    })
}

/// Says what would be loaded. A file that is not here is no mistake of the recipe's; the plan says
/// how to get it.
fn plan(
    recipe: &Recipe,
    config: &ProblemsConfig,
    needs: &[NeededFile],
) -> anyhow::Result<StageEstimate> {
    // Cheap, and finds a family that cannot give as many problems as are asked for.
    generate(config, recipe.seed).map_err(|error| explain(recipe, "problems", error))?;
    let mut parts = Vec::new();
    if config.train + config.heldout > 0 {
        parts.push(format!(
            "generate {} + {} held out of {} families",
            config.train,
            config.heldout,
            config.families.len()
        ));
    }
    if config.human_eval > 0 {
        parts.push(format!("{} of HumanEval", config.human_eval));
    }
    for file in &config.files {
        let take = file
            .take
            .map_or_else(|| "all".to_owned(), |take| take.to_string());
        parts.push(format!("{take} of {}", file.path.display()));
    }
    let mut what = parts.join("; ");
    let mut named: Vec<&PathBuf> = Vec::new();
    for NeededFile { path, get } in needs.iter().filter(|file| !file.path.exists()) {
        if !named.contains(&path) {
            named.push(path);
            let how = if get.is_empty() {
                "see `sky-data convert --help`"
            } else {
                get
            };
            // Under the column that the plan is printed in.
            what += &format!("\n{:23}not here yet: {}: {how}", "", path.display());
        }
    }
    Ok(StageEstimate {
        what,
        seconds: config.files.is_empty().then_some(1.0),
    })
}
