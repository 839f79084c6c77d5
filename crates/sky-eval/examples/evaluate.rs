//! Three problems, their replies, a checker of our own: from files to verdicts to a score.
//!
//! `cargo run -p sky-eval --example evaluate`

use std::error::Error;

use sky_eval::{ByDomain, Checking, EvalConfig, Scoring};
use sky_files::write_jsonl;
use sky_types::{
    Answer, Check, CheckError, Checked, Domain, FinishReason, Problem, Prompt, Sample,
    SamplingParams, Verdict, Version,
};

/// The last word of the reply has to be the answer.
struct LastWord;

impl Check for LastWord {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        _: FinishReason,
    ) -> Result<Checked, CheckError> {
        let said = reply
            .trim_end_matches('.')
            .rsplit(' ')
            .next()
            .unwrap_or_default();
        let verdict = match &problem.answer {
            Answer::Math(answer) if answer == said => Verdict::Correct,
            _ => Verdict::Wrong,
        };
        let detail = format!("the last word is {said:?}");
        Ok(Checked { verdict, detail })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("sky-eval-example-{}", std::process::id()));
    let [problems, samples, verdicts] =
        ["problems", "samples", "verdicts"].map(|name| folder.join(name).with_extension("jsonl"));
    let asked = [
        ("2 + 3", "5", "It is 5."),
        ("4 - 1", "3", "That makes 3"),
        ("3 x 3", "9", "I think 6."),
    ];
    let problem = |(question, answer, _): &(&str, &str, &str)| {
        Problem::new(
            *question,
            "sums",
            Domain::Math,
            *question,
            Answer::Math((*answer).into()),
        )
    };
    write_jsonl(&problems, asked.iter().map(problem))?;
    let sample = |(question, _, reply): &(&str, &str, &str)| Sample {
        v: Version,
        problem_id: (*question).into(),
        index: 0,
        text: (*reply).into(),
        finish_reason: FinishReason::Stop,
        prompt_tokens: 8,
        completion_tokens: 4,
        model: "someone".into(),
        params: SamplingParams::default(),
        seed: 0,
    };
    write_jsonl(&samples, asked.iter().map(sample))?;

    let checking = Checking {
        problems: &problems,
        samples: &samples,
        journal: &folder.join("journal"),
        verdicts: &verdicts,
        threads: None,
    };
    checking.run(
        &ByDomain::new().with(Domain::Math, &LastWord),
        &mut |row, _| {
            println!("{}: {} ({})", row.problem_id, row.verdict, row.detail);
        },
    )?;
    let (prompt, config) = (Prompt::default(), EvalConfig::default());
    let scoring = Scoring {
        problems: &problems,
        samples: &samples,
        verdicts: &verdicts,
        prompt: &prompt,
        config: &config,
        model: "someone",
    };
    let scores = scoring.run(&folder.join("results.json"), &folder.join("summary.json"))?;
    println!(
        "{:.1} % right, 95 % interval {:.1} to {:.1}",
        scores.accuracy * 100.0,
        scores.low * 100.0,
        scores.high * 100.0
    );
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
