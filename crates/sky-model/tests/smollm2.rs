//! The real model of the tiny recipe, when it is set up, as the pipeline uses it: bf16, several
//! requests at once.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use sky_model::{Device, GeneratorOptions, LocalGenerator};
use sky_types::{FinishReason, Generate, Message, Request, SamplingParams};

#[test]
fn it_knows_two_capitals() {
    let home = std::env::var_os("SKY_HOME").map_or_else(|| PathBuf::from(".sky"), PathBuf::from);
    let path = home.join("models/smollm2-135m-instruct/model.gguf");
    if !path.is_file() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!(
                "SKIPPED: {} is missing; run `cargo xtask setup`\n",
                path.display()
            )
            .as_bytes(),
        );
        return;
    }
    let mut generator = LocalGenerator::open(
        &path,
        "smollm2-135m-instruct",
        Device::Cpu,
        GeneratorOptions::default(),
    )
    .unwrap();
    // What transformers answers, greedily. Its first choice leads by 0.9 and 0.8 at least at every
    // token, which bf16 does not turn over; for Italy it leads by 0.09.
    let places = [("Japan", "Tokyo"), ("Russia", "Moscow")];
    let mut requests = places.iter().zip(0..).map(|((country, _), key)| Request {
        key,
        messages: vec![Message::user(format!("What is the capital of {country}?"))],
        params: SamplingParams {
            max_tokens: 40,
            ..SamplingParams::default()
        },
        seed: 0,
    });
    let mut replies = Vec::new();
    generator
        .generate(&mut requests, &mut |reply| {
            replies.push(reply);
            Ok(())
        })
        .unwrap();
    assert_eq!(replies.len(), 2);
    for reply in replies {
        let (country, capital) = places[reply.key as usize];
        assert_eq!(reply.finish_reason, FinishReason::Stop);
        assert_eq!(
            reply.text,
            format!("The capital of {country} is {capital}.")
        );
    }
}
