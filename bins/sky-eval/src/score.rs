//! `sky-eval score`: replies from anywhere, judged and scored; no model, no recipe.

use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;
use sky_cli::{UserError, VerdictProgress, check_against_receipt, sky_home};
use sky_eval::{
    EvalConfig, EvalSummary, Expect, Scoring,
    outputs::{Fields, Outputs},
};
use sky_files::{FileError, hash_file, write_jsonl};
use sky_sandbox::GuestPaths;
use sky_types::{Domain, Prompt, VerdictRecord};
use sky_verify::{MathCheck, ParallelChecker, ProblemIndex, StandardChecks, VerifyConfig};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The replies: our samples.jsonl, SkyThought's results.json, lm-evaluation-harness's logged
    /// samples, or JSON lines with a reply and a gold answer.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The problems with their answers or tests (problems.jsonl), by id; needed when FILE has none,
    /// and for programs.
    #[arg(long, value_name = "FILE")]
    problems: Option<PathBuf>,
    /// Folder to write problems.jsonl, samples.jsonl, verdicts.jsonl, results.json, summary.json
    /// and differences.jsonl into.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Replace the scores of another FILE in the folder.
    #[arg(long)]
    force: bool,
    /// How gold answers of FILE are compared; by default as choices when each is a letter.
    #[arg(long, value_enum)]
    domain: Option<DomainName>,
    /// Name of the field with the reply; a dot leads into an object.
    #[arg(long, value_name = "NAME")]
    text_field: Option<String>,
    /// Name of the field with the gold answer.
    #[arg(long, value_name = "NAME")]
    gold_field: Option<String>,
    /// Name of the field that says whether the reply is right, to compare our verdicts with.
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
    /// Name of the field with the problem's id.
    #[arg(long, value_name = "NAME")]
    id_field: Option<String>,
    /// Name of the model, for the summary; the file's name by default.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Number of threads that check; one a core by default. Scores do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DomainName {
    Math,
    Choice,
}

/// A reply whose recorded label is not our verdict.
#[derive(Serialize)]
struct Difference {
    problem_id: String,
    index: u32,
    /// What the file says.
    label: bool,
    /// What we say.
    verdict: &'static str,
    detail: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let fields = Fields {
        text: args.text_field.clone(),
        gold: args.gold_field.clone(),
        label: args.label_field.clone(),
        id: args.id_field.clone(),
    };
    let domain = args.domain.map(|name| match name {
        DomainName::Math => Domain::Math,
        DomainName::Choice => Domain::Choice,
    });
    let mut outputs = Outputs::read(&args.file, &fields, domain)?;
    fs::create_dir_all(&args.out).map_err(|source| FileError::io(&args.out, "make", source))?;
    let file = |name: &str| args.out.join(name);
    let journal = journal(args)?;
    if file("summary.json").exists() && !args.force {
        return Err(UserError(format!(
            "{}: the folder holds scores; --force replaces them",
            args.out.display()
        ))
        .into());
    }
    let problems = problems(args, &mut outputs)?;
    let samples = file("samples.jsonl");
    write_jsonl(&samples, &outputs.samples)?;
    let counts = check(
        args,
        &problems,
        &samples,
        outputs.samples.len() as u64,
        &journal,
    )?;
    let config = EvalConfig {
        n: replies_each(&outputs),
        ..EvalConfig::default()
    };
    let name = args.name.clone().unwrap_or_else(|| {
        let stem = args.file.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    });
    let voter = MathCheck::default();
    let scoring = Scoring {
        problems: &problems,
        samples: &samples,
        verdicts: &file("verdicts.jsonl"),
        prompt: &Prompt::default(),
        config: &config,
        model: &name,
        expect: Expect::Whatever,
        voter: Some(&voter),
    };
    let scores = scoring.run(&file("results.json"), &file("summary.json"))?;
    fs::remove_file(&journal).map_err(|source| FileError::io(&journal, "remove", source))?;
    sky_cli::out!("{}", table(&scores));
    compare_labels(args, &outputs, &counts)?;
    for row in outputs.left_out.iter().take(5) {
        sky_cli::outln!("left out: {row}");
    }
    if outputs.left_out.len() > 5 {
        sky_cli::outln!("left out: {} rows in all", outputs.left_out.len());
    }
    Ok(())
}

/// Most replies to one problem.
fn replies_each(outputs: &Outputs) -> u32 {
    let most = outputs.samples.iter().map(|sample| sample.index).max();
    most.unwrap_or(0).saturating_add(1)
}

/// The file of problems: the caller's, or those of FILE, written into the folder. Of the caller's,
/// samples of other problems are left out.
fn problems(args: &Args, outputs: &mut Outputs) -> anyhow::Result<PathBuf> {
    let Some(path) = &args.problems else {
        if outputs.problems.is_empty() {
            return Err(UserError(format!(
                "{}: holds no gold answers; give the problems with --problems, or name the field \
                 with --gold-field",
                args.file.display()
            ))
            .into());
        }
        let known: std::collections::HashSet<&str> = outputs
            .problems
            .iter()
            .map(|problem| problem.id.as_str())
            .collect();
        let mut left_out = Vec::new();
        let keep: Vec<bool> = outputs
            .samples
            .iter()
            .map(|sample| {
                let has = known.contains(sample.problem_id.as_str());
                if !has {
                    left_out.push(format!("{}: has no gold answer", sample.problem_id));
                }
                has
            })
            .collect();
        drop_samples(outputs, &keep, left_out);
        let path = args.out.join("problems.jsonl");
        write_jsonl(&path, &outputs.problems)?;
        return Ok(path);
    };
    let mut index = ProblemIndex::open(path)?;
    let mut left_out = Vec::new();
    let mut keep = Vec::new();
    for sample in &outputs.samples {
        let known = index.get(&sample.problem_id).is_ok();
        if !known {
            left_out.push(format!(
                "{}: {} has no such problem",
                sample.problem_id,
                path.display()
            ));
        }
        keep.push(known);
    }
    drop_samples(outputs, &keep, left_out);
    if outputs.samples.is_empty() {
        return Err(UserError(format!(
            "{}: none of its problems is in {}; name the field of the id with --id-field",
            args.file.display(),
            path.display()
        ))
        .into());
    }
    Ok(path.clone())
}

fn drop_samples(outputs: &mut Outputs, keep: &[bool], left_out: Vec<String>) {
    let mut at = keep.iter();
    outputs.samples.retain(|_| *at.next().unwrap_or(&true));
    let mut at = keep.iter();
    outputs.labels.retain(|_| *at.next().unwrap_or(&true));
    outputs.left_out.extend(left_out);
}

/// The journal's path; its name has the hash of the input, so that replies of another file are
/// never taken for these.
fn journal(args: &Args) -> anyhow::Result<PathBuf> {
    let short = |path: &Path| -> anyhow::Result<String> {
        Ok(hash_file(path)?.sha256.chars().take(12).collect())
    };
    let problems = args.problems.as_deref().map(short).transpose()?;
    let name = format!(
        "verdicts.{}-{}-{}.journal",
        short(&args.file)?,
        problems.unwrap_or_default(),
        sky_verify::REVISION
    );
    Ok(args.out.join(name))
}

fn check(
    args: &Args,
    problems: &Path,
    samples: &Path,
    replies: u64,
    journal: &Path,
) -> anyhow::Result<Vec<VerdictRecord>> {
    let has_code = ProblemIndex::open(problems)?.has(Domain::Code);
    let paths = GuestPaths::new(&sky_home());
    let config = VerifyConfig::default();
    let checks = StandardChecks::open(&config, has_code, &paths, check_against_receipt)?;
    let mut progress = VerdictProgress::new("checking", replies);
    let verdicts = args.out.join("verdicts.jsonl");
    let checker = ParallelChecker {
        problems,
        samples,
        journal,
        verdicts: &verdicts,
        threads: args.threads,
    };
    checker.run(&checks, &mut |row, new| {
        progress.verdict(row.verdict.is_correct(), new);
    })?;
    drop(progress);
    let rows = sky_files::read_jsonl::<VerdictRecord>(&verdicts)?;
    Ok(rows.collect::<sky_files::Result<_>>()?)
}

/// Writes the replies whose recorded label is not our verdict, and says how many there are.
fn compare_labels(
    args: &Args,
    outputs: &Outputs,
    verdicts: &[VerdictRecord],
) -> anyhow::Result<()> {
    let labelled = outputs
        .labels
        .iter()
        .filter(|label| label.is_some())
        .count();
    if labelled == 0 {
        return Ok(());
    }
    let differences: Vec<Difference> = outputs
        .labels
        .iter()
        .zip(verdicts)
        .filter_map(|(label, row)| {
            let label = (*label)?;
            (label != row.verdict.is_correct()).then(|| Difference {
                problem_id: row.problem_id.clone(),
                index: row.index,
                label,
                verdict: row.verdict.as_str(),
                detail: row.detail.clone(),
            })
        })
        .collect();
    let path = args.out.join("differences.jsonl");
    write_jsonl(&path, &differences)?;
    let right = outputs.labels.iter().filter(|label| **label == Some(true));
    sky_cli::outln!(
        "recorded labels: {} of {labelled} right; {} agree with our verdicts, {} differ: {}",
        right.count(),
        labelled - differences.len(),
        differences.len(),
        path.display()
    );
    Ok(())
}

/// The scores as lines for a terminal.
fn table(scores: &EvalSummary) -> String {
    use std::fmt::Write as _;

    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut text = format!(
        "{}: {} right, 95 % interval {:.1} to {:.1} (Wilson), {:.1} to {:.1} (bootstrap); n = {} of {} problems, {} replies\n",
        scores.model,
        percent(scores.accuracy),
        scores.low * 100.0,
        scores.high * 100.0,
        scores.bootstrap.low * 100.0,
        scores.bootstrap.high * 100.0,
        scores.n,
        scores.of,
        scores.verdicts.total()
    );
    if scores.pass_at_k.len() > 1 {
        for (name, shares) in [("pass", &scores.pass_at_k), ("maj", &scores.maj_at_k)] {
            let each = shares
                .iter()
                .map(|(k, share)| format!("{name}@{k} {}", percent(*share)));
            let _ = writeln!(text, "{}", each.collect::<Vec<_>>().join(", "));
        }
    }
    let verdicts = scores
        .verdicts
        .iter()
        .map(|(verdict, count)| format!("{count} {verdict}"));
    let _ = writeln!(
        text,
        "verdicts: {}",
        verdicts.collect::<Vec<_>>().join(", ")
    );
    let _ = writeln!(
        text,
        "of all replies: {} truncated, {} unparsed, {} end in a loop",
        percent(scores.rates.truncated),
        percent(scores.rates.unparsed),
        percent(scores.rates.repetition)
    );
    if scores.completion_tokens > 0 {
        let _ = writeln!(
            text,
            "tokens of a reply: mean {:.0}, 95 % at most {}",
            scores.mean_completion_tokens, scores.p95_completion_tokens
        );
    }
    if scores.sources.len() > 1 {
        for (source, score) in &scores.sources {
            let _ = writeln!(
                text,
                "{source}: {} (n = {})",
                percent(score.accuracy),
                score.n
            );
        }
    }
    for caution in scores.cautions() {
        let _ = writeln!(text, "note: {caution}");
    }
    text
}
