//! Asks a model several questions at once: `generate MODEL [--samples N] [--max-tokens N]
//! QUESTION...`

use std::{env, error::Error, path::Path, process::ExitCode, time::Instant};

use sky_model::{Device, GeneratorOptions, LocalGenerator};
use sky_types::{Generate, Message, Request, SamplingParams, derive_seed};

fn main() -> ExitCode {
    sky_torch::limit_spinning();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    const USAGE: &str = "usage: generate MODEL [--samples N] [--max-tokens N] QUESTION...";
    let (mut samples, mut max_tokens) = (1, 256);
    let mut words = Vec::new();
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--samples" => samples = args.next().ok_or(USAGE)?.parse()?,
            "--max-tokens" => max_tokens = args.next().ok_or(USAGE)?.parse()?,
            _ => words.push(arg),
        }
    }
    let (model, questions) = words
        .split_first()
        .filter(|(_, q)| !q.is_empty())
        .ok_or(USAGE)?;
    sky_torch::load_cuda();
    sky_torch::set_threads(0);
    let mut generator = LocalGenerator::open(
        Path::new(model),
        model.as_str(),
        Device::Cpu,
        GeneratorOptions::default(),
    )?;

    // Several samples of one question are drawn; a single one is the likeliest.
    let temperature = if samples > 1 { 0.8 } else { 0.0 };
    let mut requests = questions
        .iter()
        .flat_map(|question| (0..samples).map(move |_| question))
        .enumerate()
        .map(|(i, question)| Request {
            key: i as u64,
            messages: vec![Message::user(question)],
            params: SamplingParams {
                temperature,
                top_p: 1.0,
                max_tokens,
            },
            seed: derive_seed(0, "generate", i as u64),
        });
    let started = Instant::now();
    let mut tokens = 0;
    generator.generate(&mut requests, &mut |reply| {
        tokens += reply.completion_tokens;
        println!(
            "[{}, {:?}, {} tokens]\n{}\n",
            reply.key, reply.finish_reason, reply.completion_tokens, reply.text
        );
        Ok(())
    })?;
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "{tokens} tokens in {seconds:.1} s, {:.0} a second",
        f64::from(tokens) / seconds
    );
    Ok(())
}
