//! Samples an OpenAI-style endpoint, verifies the replies, prints the score:
//! `cargo run -p example-evaluate-endpoint [-- URL MODEL]`.
//!
//! Without arguments it evaluates a small server that it starts itself.
#![forbid(unsafe_code)]

mod server;

use std::{env, error::Error, process::ExitCode};

use sky_eval::{EvalConfig, Expect, Scoring};
use sky_files::write_jsonl;
use sky_sample::{Endpoint, HttpGenerator, SampleConfig, Sampling, sample};
use sky_types::{Answer, Domain, Problem, Prompt};
use sky_verify::{ByDomain, MathCheck, ParallelChecker};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (url, model) = match (arguments.next(), arguments.next()) {
        (Some(url), Some(model)) => (url, model),
        (None, _) => (server::start()?, "adder".to_owned()),
        _ => return Err("usage: example-evaluate-endpoint [URL MODEL]".into()),
    };
    let folder = tempfile::tempdir()?;
    let [problems_file, samples_file, verdicts_file] = ["problems", "samples", "verdicts"]
        .map(|name| folder.path().join(name).with_extension("jsonl"));

    let problems: Vec<Problem> = (1..=20).map(problem).collect();
    write_jsonl(&problems_file, &problems)?;

    // Sample: one greedy reply to each problem. Journals make a rerun resume.
    let prompt = Prompt::default();
    let config = SampleConfig {
        n: 1,
        temperature: 0.0,
        max_tokens: 256,
        ..SampleConfig::default()
    };
    let mut endpoint = Endpoint::new(url, model.clone());
    endpoint.api_key = env::var("EXAMPLE_API_KEY").unwrap_or_default();
    let sampling = Sampling {
        problems: &problems,
        prompt: &prompt,
        config: &config,
        seed: 1,
    };
    sample(
        sampling,
        &mut HttpGenerator::new(endpoint),
        &folder.path().join("samples.journal"),
        &samples_file,
        &mut |_| {},
    )?;

    // Verify: sky-math compares answers by value.
    let checker = ParallelChecker {
        problems: &problems_file,
        samples: &samples_file,
        journal: &folder.path().join("verdicts.journal"),
        verdicts: &verdicts_file,
        threads: None,
    };
    let math = MathCheck::default();
    checker.run(&ByDomain::new().with(Domain::Math, &math), &mut |row, _| {
        println!("{}: {} ({})", row.problem_id, row.verdict, row.detail);
    })?;

    // Score: accuracy with a 95 % interval.
    let scoring = Scoring {
        problems: &problems_file,
        samples: &samples_file,
        verdicts: &verdicts_file,
        prompt: &prompt,
        config: &EvalConfig::default(),
        model: &model,
        expect: Expect::Complete,
        voter: None,
    };
    let scores = scoring.run(
        &folder.path().join("results.json"),
        &folder.path().join("summary.json"),
    )?;
    println!(
        "{:.1} % right, 95 % interval {:.1} to {:.1}",
        scores.accuracy * 100.0,
        scores.low * 100.0,
        scores.high * 100.0
    );
    Ok(())
}

fn problem(n: u64) -> Problem {
    Problem::new(
        format!("sum-{n}"),
        "sums",
        Domain::Math,
        format!("What is {n} + {}?", 2 * n),
        Answer::Math((3 * n).to_string()),
    )
}
