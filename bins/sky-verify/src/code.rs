//! `sky-verify code`: problems and samples in, verdicts out.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use sky_cli::{Invalid, VerdictProgress};
use sky_eval::Checking;
use sky_files::hash_file;
use sky_types::Sample;
use sky_verify::python::{CodeChecker, CodeOptions};

#[derive(clap::Args)]
pub(crate) struct CodeArgs {
    /// The problems, in our format.
    #[arg(long, value_name = "FILE")]
    problems: PathBuf,
    /// The samples to judge, in our format.
    #[arg(long, value_name = "FILE")]
    samples: PathBuf,
    /// Where the verdicts go; a journal stands beside it until they are complete, and an interrupted run goes on from there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// Threads that check; one a core unless given. Verdicts do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// Run every test of a problem and count, instead of stopping at the first that fails.
    #[arg(long)]
    all_tests: bool,
    /// MiB of memory for each run of a program.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1024))]
    memory: u64,
}

pub(crate) fn run(args: &CodeArgs) -> anyhow::Result<()> {
    if args.out.exists() && !args.force {
        return Err(Invalid(format!(
            "{}: is there already; --force replaces it",
            args.out.display()
        ))
        .into());
    }
    let mut total = 0;
    for row in sky_files::read_jsonl::<Sample>(&args.samples)? {
        row?;
        total += 1;
    }
    let options = CodeOptions {
        all_tests: args.all_tests,
        memory: args.memory << 20,
        ..CodeOptions::default()
    };
    let journal = journal(args, &options)?;
    let checker = CodeChecker::new(crate::sandbox()?, options);
    let mut progress = VerdictProgress::new("verify", total);
    let checking = Checking {
        problems: &args.problems,
        samples: &args.samples,
        journal: &journal,
        verdicts: &args.out,
        threads: args.threads,
    };
    let mix = checking.run(&checker, &mut |row, new| {
        progress.verdict(row.verdict.is_correct(), new);
    })?;
    drop(progress);
    std::fs::remove_file(&journal)
        .map_err(|source| sky_files::FileError::io(&journal, "remove", source))?;
    let parts: Vec<String> = mix
        .iter()
        .map(|(verdict, count)| format!("{count} {verdict}"))
        .collect();
    println!("{total} samples: {}", parts.join(", "));
    Ok(())
}

/// The journal of this very work: other inputs or options get another.
fn journal(args: &CodeArgs, options: &CodeOptions) -> anyhow::Result<PathBuf> {
    let (problems, samples) = (hash_file(&args.problems)?, hash_file(&args.samples)?);
    let name = args
        .out
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let part = |hash: &str| hash.chars().take(12).collect::<String>();
    let all = if options.all_tests { "all" } else { "first" };
    let file = format!(
        "{name}.{}-{}-{all}-{}.journal",
        part(&problems.sha256),
        part(&samples.sha256),
        options.memory
    );
    Ok(args.out.parent().unwrap_or(Path::new("")).join(file))
}
