//! `sky-eval list` and `sky-eval show`: the benchmarks that are known, and what each asks.

use std::{fmt::Write as _, path::Path};

use sky_cli::{UserError, nearest};
use sky_eval::Task;

/// The files of `tasks/`.
const BUNDLED: [&str; 21] = [
    include_str!("../../../tasks/aime24.toml"),
    include_str!("../../../tasks/aime25.toml"),
    include_str!("../../../tasks/amc23.toml"),
    include_str!("../../../tasks/apps.toml"),
    include_str!("../../../tasks/arc-challenge.toml"),
    include_str!("../../../tasks/generated.toml"),
    include_str!("../../../tasks/gpqa-diamond.toml"),
    include_str!("../../../tasks/gsm8k.toml"),
    include_str!("../../../tasks/humaneval.toml"),
    include_str!("../../../tasks/humaneval-plus.toml"),
    include_str!("../../../tasks/livecodebench-easy.toml"),
    include_str!("../../../tasks/livecodebench-hard.toml"),
    include_str!("../../../tasks/livecodebench-medium.toml"),
    include_str!("../../../tasks/math.toml"),
    include_str!("../../../tasks/math500.toml"),
    include_str!("../../../tasks/mbpp.toml"),
    include_str!("../../../tasks/mbpp-plus.toml"),
    include_str!("../../../tasks/minerva.toml"),
    include_str!("../../../tasks/mmlu.toml"),
    include_str!("../../../tasks/olympiadbench.toml"),
    include_str!("../../../tasks/taco.toml"),
];

#[derive(clap::Args)]
pub(crate) struct ShowArgs {
    /// A task's name, or a task file of your own.
    #[arg(value_name = "TASK")]
    task: String,
}

pub(crate) fn list() -> anyhow::Result<()> {
    let mut lines = String::new();
    for text in BUNDLED {
        let task = Task::parse(text, Path::new("tasks"))?;
        let problems = task
            .problems
            .map_or_else(|| "?".to_owned(), |n| n.to_string());
        let domain = format!("{:?}", task.domain).to_lowercase();
        let _ = writeln!(
            lines,
            "{:22} {problems:>6}  {domain:7} {}",
            task.name, task.title
        );
    }
    sky_cli::out!("{lines}");
    Ok(())
}

pub(crate) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    sky_cli::out!("{}", described(&find(&args.task)?));
    Ok(())
}

/// A bundled task by its name, or the task of a file.
fn find(name: &str) -> anyhow::Result<Task> {
    if name.ends_with(".toml") {
        return Ok(Task::read(Path::new(name))?);
    }
    let mut names = Vec::new();
    for text in BUNDLED {
        let task = Task::parse(text, Path::new("tasks"))?;
        if task.name == name {
            return Ok(task);
        }
        names.push(task.name);
    }
    let near = nearest(name, names.iter().map(String::as_str));
    Err(UserError(format!(
        "no task `{name}`{near}; `sky-eval list` shows them, and a file of your own ends in .toml"
    ))
    .into())
}

fn described(task: &Task) -> String {
    let mut text = format!("{}: {}\n", task.name, task.title);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:12} {value}");
    };
    line("data set", task.source.dataset.clone());
    if let Some(subset) = &task.source.subset {
        line("subset", subset.clone());
    }
    line("split", task.source.split.clone());
    if let Some(revision) = &task.source.revision {
        line("revision", revision.clone());
    }
    if let Some(problems) = task.problems {
        line("problems", problems.to_string());
    }
    line("prompt", format!("{:?}", task.prompt.text));
    if let Some(call_based) = &task.prompt.call_based {
        line("call-based", format!("{call_based:?}"));
    }
    line("prompt from", task.prompt.from.clone());
    line("few-shot", task.prompt.few_shot.to_string());
    let sampling = &task.sampling;
    line(
        "sampling",
        format!(
            "temperature {}, top_p {}, at most {} tokens, {} replies, seed {}",
            sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.n, sampling.seed
        ),
    );
    line("metric", task.metric.clone());
    if let Some(seconds) = task.test_seconds {
        line("test limit", format!("{seconds} s"));
    }
    for score in &task.published {
        line(
            "published",
            format!("{} {:.1} % [{}]", score.model, score.percent, score.source),
        );
    }
    if let Some(note) = &task.note {
        line("note", note.clone());
    }
    text
}
