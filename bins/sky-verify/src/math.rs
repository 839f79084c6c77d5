//! `sky-verify math` and `sky-verify explain`: answers compared by value.

use std::{
    io::{self, Write},
    num::NonZero,
    path::{Path, PathBuf},
};

use sky_cli::{Invalid, VerdictProgress};
use sky_eval::Checking;
use sky_files::{FileError, hash_file, read_jsonl};
use sky_types::Sample;
use sky_verify::math::{MathChecker, Options};

use crate::pairs;

/// On which conventions to judge; each is described in `docs/math-equality.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Conventions {
    /// Ours: units, `x =` and degree signs may be left out.
    #[default]
    Default,
    /// As Math-Verify 0.9.0 judges, where it differs.
    MathVerify,
    /// Nothing may be left out.
    Strict,
}

impl Conventions {
    pub(crate) fn options(self) -> Options {
        match self {
            Self::Default => Options::default(),
            Self::MathVerify => Options::math_verify(),
            Self::Strict => Options::strict(),
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct MathArgs {
    /// Pairs to judge: one JSON object a line with `id`, `gold`, `pred` (an answer or a whole response) and perhaps `mode` and
    /// `opts`, which are described in `docs/math-equality.md`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["problems", "samples"], required_unless_present = "problems")]
    pairs: Option<PathBuf>,
    /// The problems, in our format.
    #[arg(long, value_name = "FILE", requires = "samples")]
    problems: Option<PathBuf>,
    /// The samples to judge, in our format.
    #[arg(long, value_name = "FILE", requires = "problems")]
    samples: Option<PathBuf>,
    /// Where the verdicts go, in the order of the input.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// Threads that check; one a core unless given. Verdicts do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// Whose conventions.
    #[arg(long, value_enum, default_value_t)]
    conventions: Conventions,
}

#[derive(clap::Args)]
pub(crate) struct ExplainArgs {
    /// The gold answer.
    #[arg(allow_hyphen_values = true)]
    gold: String,
    /// The answer, or a whole response.
    #[arg(allow_hyphen_values = true)]
    answer: String,
    /// Whose conventions.
    #[arg(long, value_enum, default_value_t)]
    conventions: Conventions,
}

/// Prints a verdict with both trees.
pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let checker = MathChecker::new(args.conventions.options());
    let text = checker.explain(&args.gold, &args.answer).to_string();
    match io::stdout().write_all(text.as_bytes()) {
        // `| head`: whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

pub(crate) fn run(args: &MathArgs) -> anyhow::Result<()> {
    if args.out.exists() && !args.force {
        return Err(Invalid(format!(
            "{}: is there already; --force replaces it",
            args.out.display()
        ))
        .into());
    }
    match (&args.pairs, &args.problems, &args.samples) {
        (Some(pairs), ..) => pairs::run(&pairs::Judging {
            pairs,
            out: &args.out,
            threads: args.threads,
            conventions: args.conventions,
        }),
        (None, Some(problems), Some(samples)) => judge_samples(args, problems, samples),
        _ => Err(
            Invalid("--pairs, or --problems with --samples, says what to judge".to_owned()).into(),
        ),
    }
}

fn judge_samples(args: &MathArgs, problems: &Path, samples: &Path) -> anyhow::Result<()> {
    let mut total = 0;
    for row in read_jsonl::<Sample>(samples)? {
        row?;
        total += 1;
    }
    let journal = journal(args, problems, samples)?;
    let checker = MathChecker::new(args.conventions.options());
    let mut progress = VerdictProgress::new("verify", total);
    let checking = Checking {
        problems,
        samples,
        journal: &journal,
        verdicts: &args.out,
        threads: args.threads,
    };
    let mix = checking.run(&checker, &mut |row, new| {
        progress.verdict(row.verdict.is_correct(), new);
    })?;
    drop(progress);
    std::fs::remove_file(&journal).map_err(|source| FileError::io(&journal, "remove", source))?;
    let parts: Vec<String> = mix
        .iter()
        .map(|(verdict, count)| format!("{count} {verdict}"))
        .collect();
    println!("{total} samples: {}", parts.join(", "));
    Ok(())
}

/// The journal of this very work: other inputs or conventions get another.
fn journal(args: &MathArgs, problems: &Path, samples: &Path) -> anyhow::Result<PathBuf> {
    let (problems, samples) = (hash_file(problems)?, hash_file(samples)?);
    let name = args
        .out
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let part = |hash: &str| hash.chars().take(12).collect::<String>();
    let file = format!(
        "{name}.{}-{}-{:?}.journal",
        part(&problems.sha256),
        part(&samples.sha256),
        args.conventions
    );
    Ok(args.out.parent().unwrap_or(Path::new("")).join(file))
}
