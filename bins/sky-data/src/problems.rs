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
    let located = beside_recipe(&config, &recipe);
    let needs = paths.needs(&located);
    let plan = if args.is_dry_run() {
        plan(&recipe, &located, &paths, &needs)?
    } else {
        StageEstimate::default()
    };
    let inputs = needs
        .iter()
        .map(|file| std::path::absolute(&file.path))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    if !args.dry_run {
        // Before the inputs are hashed, so that the message says how to get the file.
        for file in &located.files {
            paths
                .existing(&file.path, &file.get)
                .map_err(|error| recipe.error_at("problems", "files", &error.to_string()))?;
        }
        if let Some(NeededFile { path, get }) = needs.iter().find(|file| !file.path.exists()) {
            let error = sky_data::DataError::Missing {
                path: path.clone(),
                get: get.clone(),
            };
            let message = error.to_string();
            return Err(recipe.error_at("problems", "human_eval", &message).into());
        }
        for NeededFile { path, .. } in &needs {
            check_against_receipt(path)?;
        }
    }
    let definition = StageDef {
        name: "problems",
        inputs,
        config: serde_json::json!({ "problems": config }),
        revision: 2,
        preserve: &[],
        estimate: plan,
    };
    args.run(&recipe, definition, |dir| {
        let problems = load_problems(&located, recipe.seed, &paths)
            .map_err(|error| explain(&recipe, "problems", error))?;
        for funnel in &problems.files {
            eprintln!("  {funnel}");
        }
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
        if !problems.files.is_empty() {
            counts = counts.with("files", serde_json::to_value(&problems.files)?);
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

/// The settings with the paths of files that lie beside the recipe, which come before those under
/// `SKY_HOME` and in the current folder.
fn beside_recipe(config: &ProblemsConfig, recipe: &Recipe) -> ProblemsConfig {
    let mut located = config.clone();
    let folder = recipe.path().parent();
    for file in &mut located.files {
        let beside = folder.map(|folder| folder.join(&file.path));
        // Absolute, so that the current folder and `SKY_HOME` have no say any more.
        let found = beside
            .filter(|path| path.exists())
            .and_then(|path| std::path::absolute(path).ok());
        if let Some(path) = found {
            file.path = path;
        }
    }
    located
}

/// Says what would be loaded. Files that are here are read and counted. A file that is not here is no mistake of the recipe's; the plan says
/// how to get it.
fn plan(
    recipe: &Recipe,
    config: &ProblemsConfig,
    paths: &ProblemPaths,
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
    if !config.files.is_empty() && needs.iter().all(|file| file.path.exists()) {
        let loaded = load_problems(config, recipe.seed, paths)
            .map_err(|error| explain(recipe, "problems", error))?;
        for funnel in &loaded.files {
            what += &format!("\n{:23}{funnel}", "");
        }
    }
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
