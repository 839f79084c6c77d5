//! Generates problems, keeps the right replies, writes a training data set and its card:
//! `cargo run -p example-make-dataset -- target/example-dataset`.
#![forbid(unsafe_code)]

use std::{env, fs, path::PathBuf, process::ExitCode};

use sky_data::{
    CardFacts, ProblemsConfig, SelectConfig, SelectInput, card, generate, select, write_sharegpt,
};
use sky_types::{
    Answer, FinishReason, Problem, Prompt, Sample, SamplingParams, Verdict, VerdictRecord, Version,
};

const SEED: u64 = 1;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let out: PathBuf = env::args_os()
        .nth(1)
        .ok_or("usage: example-make-dataset FOLDER")?
        .into();
    let (problems, heldout) = generate(&ProblemsConfig::default(), SEED)?;
    for problem in problems.iter().take(6) {
        println!("{:<20} {}", problem.id, problem.prompt);
    }

    // A model would answer here. This one knows the answers and forgets every third.
    let samples: Vec<Sample> = problems
        .iter()
        .enumerate()
        .map(|(index, problem)| reply(problem, index % 3 != 0))
        .collect();
    let verdicts: Vec<VerdictRecord> = problems
        .iter()
        .zip(&samples)
        .map(|(problem, sample)| judge(problem, sample))
        .collect();

    let input = SelectInput {
        problems: &problems,
        heldout: &heldout,
        samples: &samples,
        verdicts: &verdicts,
        prompt: &Prompt::default(),
    };
    let selection = select(input, &SelectConfig::default(), SEED)?;
    fs::create_dir_all(&out)?;
    write_sharegpt(&out.join("sharegpt.json"), &selection.rows)?;
    let facts = CardFacts {
        name: "demo".into(),
        seed: SEED,
        hash: None,
        licences: Vec::new(),
    };
    let text = card(&selection, &facts);
    fs::write(out.join("card.md"), &text)?;
    println!("\n{text}");
    Ok(())
}

fn reply(problem: &Problem, knows: bool) -> Sample {
    let answer = match &problem.answer {
        Answer::Math(answer) if knows => answer.as_str(),
        _ => "unknown",
    };
    Sample {
        v: Version,
        problem_id: problem.id.clone(),
        index: 0,
        text: format!("The answer is {answer}."),
        finish_reason: FinishReason::Stop,
        prompt_tokens: 0,
        completion_tokens: 0,
        model: "demo".into(),
        params: SamplingParams::default(),
        seed: 0,
        failure: None,
    }
}

/// Compares the end of the reply; sky-verify does it by value.
fn judge(problem: &Problem, sample: &Sample) -> VerdictRecord {
    let verdict = match &problem.answer {
        Answer::Math(answer) if sample.text.ends_with(&format!(" {answer}.")) => Verdict::Correct,
        _ => Verdict::Wrong,
    };
    VerdictRecord {
        v: Version,
        problem_id: sample.problem_id.clone(),
        index: sample.index,
        verdict,
        detail: String::new(),
    }
}
