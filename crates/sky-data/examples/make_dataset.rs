//! Generates problems, answers them (some wrongly), checks, selects, and writes a data set with its card.
//!
//!     cargo run -p sky-data --no-default-features --example make_dataset -- out/

use std::{env, path::PathBuf};

use sky_data::{
    CardFacts, ProblemsConfig, SelectConfig, SelectInput, card, generate, select, write_sharegpt,
};
use sky_files::{hash_file, write_bytes};
use sky_types::{
    Answer, FinishReason, Problem, Prompt, Sample, SamplingParams, Verdict, VerdictRecord, Version,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out: PathBuf = env::args_os().nth(1).ok_or("name a folder")?.into();
    let (problems, heldout) = generate(&ProblemsConfig::default(), 1)?;
    for problem in problems.iter().take(6) {
        println!("{:<20} {}", problem.id, problem.prompt);
    }

    // A model would answer here. This one knows the answers and forgets every third.
    let samples: Vec<Sample> = problems
        .iter()
        .enumerate()
        .map(|(at, problem)| reply(problem, at % 3 != 0))
        .collect();
    let verdicts: Vec<VerdictRecord> = problems
        .iter()
        .zip(&samples)
        .map(|(problem, sample)| VerdictRecord {
            v: Version,
            problem_id: sample.problem_id.clone(),
            index: sample.index,
            verdict: match &problem.answer {
                Answer::Math(answer) if sample.text.ends_with(&format!(" {answer}.")) => {
                    Verdict::Correct
                }
                _ => Verdict::Wrong,
            },
            detail: String::new(),
        })
        .collect();

    let input = SelectInput {
        problems: &problems,
        heldout: &heldout,
        samples: &samples,
        verdicts: &verdicts,
        prompt: &Prompt::default(),
    };
    let selection = select(input, &SelectConfig::default(), 1)?;
    let file = out.join("sharegpt.json");
    write_sharegpt(&file, &selection.rows)?;
    let facts = CardFacts {
        name: "demo".into(),
        seed: 1,
        hash: Some(hash_file(&file)?),
        licences: Vec::new(),
    };
    let text = card(&selection, &facts);
    write_bytes(&out.join("card.md"), text.as_bytes())?;
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
    }
}
