//! `sky-eval compare`: evaluations of the same problems, side by side.

use std::path::{Path, PathBuf};

use sky_cli::UserError;
use sky_eval::{Comparison, Problems, compare};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Evaluations: folders with a verdicts.jsonl, or such files. Each is compared with the first.
    #[arg(value_name = "FOLDER", num_args = 2.., required = true)]
    evaluations: Vec<PathBuf>,
    /// Print the comparisons as JSON.
    #[arg(long)]
    json: bool,
    /// Most flipped problems to print.
    #[arg(long, default_value_t = 20, value_name = "N")]
    flips: usize,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 41, value_name = "N")]
    seed: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let [first, others @ ..] = args.evaluations.as_slice() else {
        return Err(UserError("give two evaluations or more".into()).into());
    };
    let base = Problems::read(&verdicts(first))?;
    let mut all = Vec::new();
    for path in others {
        let other = Problems::read(&verdicts(path))?;
        all.push((path, compare(&base, &other, &verdicts(path), args.seed)?));
    }
    if args.json {
        let rows: Vec<serde_json::Value> = all
            .iter()
            .map(|(path, found)| serde_json::json!({"first": first, "second": path, "comparison": found}))
            .collect();
        sky_cli::outln!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for (path, found) in &all {
        sky_cli::out!("{}", text(first, path, found, args.flips));
    }
    Ok(())
}

fn verdicts(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join("verdicts.jsonl")
    } else {
        path.to_path_buf()
    }
}

fn text(first: &Path, second: &Path, found: &Comparison, most: usize) -> String {
    use std::fmt::Write as _;

    let points = |share: f64| format!("{:+.1}", share * 100.0);
    let mut text = format!(
        "{} -> {}: {:.1} % -> {:.1} %, {} points (95 % interval {} to {}, paired bootstrap), n = {} problems\n",
        first.display(),
        second.display(),
        found.first * 100.0,
        found.second * 100.0,
        points(found.difference),
        points(found.interval.low),
        points(found.interval.high),
        found.n
    );
    let _ = writeln!(
        text,
        "  {} won, {} lost; McNemar p {}: {}",
        found.won,
        found.lost,
        match found.p_value {
            p if p < 0.001 => "< 0.001".to_owned(),
            p => format!("= {p:.3}"),
        },
        if found.is_significant() {
            "more than chance"
        } else {
            "may be chance"
        }
    );
    if found.only_first + found.only_second > 0 {
        let _ = writeln!(
            text,
            "  not compared: {} problems of the first alone, {} of the second",
            found.only_first, found.only_second
        );
    }
    for (reason, count) in &found.reasons {
        let _ = writeln!(text, "  {count:5} {reason}");
    }
    for flip in found.flips.iter().take(most) {
        let _ = writeln!(
            text,
            "  {}: {} -> {}",
            flip.problem_id, flip.first, flip.second
        );
    }
    if found.flips.len() > most {
        let _ = writeln!(text, "  ... and {} more", found.flips.len() - most);
    }
    text
}
