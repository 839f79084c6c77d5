//! Samples two problems from any OpenAI-style server, resumably, and prints thought and solution.
//!
//!     cargo run -p sky-sample --example sample_endpoint -- http://localhost:8000/v1 my-model out/
//!
//! Stop it and run it again: what was answered is not asked for twice.

use std::{env, path::PathBuf};

use sky_files::read_jsonl;
use sky_sample::{
    Endpoint, Event, HttpGenerator, SampleConfig, Sampling, rewrite_by_rules, sample, split,
};
use sky_types::{Answer, Domain, Problem, Prompt, Sample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let (Some(url), Some(model), Some(out)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: sample_endpoint URL MODEL FOLDER".into());
    };
    let out = PathBuf::from(out);
    let math = |id: &str, prompt: &str, answer: &str| {
        Problem::new(
            id,
            "demo",
            Domain::Math,
            prompt,
            Answer::Math(answer.into()),
        )
    };
    let problems = [
        math(
            "apples",
            "Ada has 17 apples and gives away 9. How many are left?",
            "8",
        ),
        math("primes", "What is the sum of the first five primes?", "28"),
    ];
    let config = SampleConfig {
        n: 2,
        temperature: 0.7,
        max_tokens: 1024,
        ..SampleConfig::default()
    };
    let prompt = Prompt::default();
    let sampling = Sampling {
        problems: &problems,
        prompt: &prompt,
        config: &config,
        seed: 1,
    };
    let mut endpoint = Endpoint::new(url, model);
    endpoint.api_key = env::var("SKY_EXAMPLE_KEY").unwrap_or_default();
    let file = out.join("samples.jsonl");
    let sampled = sample(
        sampling,
        &mut HttpGenerator::new(endpoint),
        &out.join("samples.journal"),
        &file,
        &mut |event| match event {
            Event::Resumed { done, .. } => println!("{done} replies were here already"),
            Event::Finished(sample) => println!("{} #{}", sample.problem_id, sample.index),
        },
    )?;
    println!(
        "{} samples, {} tokens\n",
        sampled.samples, sampled.completion_tokens
    );

    for row in read_jsonl::<Sample>(&file)? {
        let (rewritten, how) = rewrite_by_rules(row?);
        println!("{} #{} ({how:?})", rewritten.problem_id, rewritten.index);
        if let Some(sections) = split(&rewritten.text) {
            println!("  thought:  {:.70}", sections.thought.replace('\n', " "));
            println!("  solution: {:.70}\n", sections.solution.replace('\n', " "));
        }
    }
    Ok(())
}
