//! The generator against the plain forward pass, and alone against in company.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LLAMA, QWEN2, byte_tokenizer, random_params, with_bytes};
use sky_model::{
    Config, GeneratorOptions, LocalGenerator, PackedSequences, Precision, embed, head_logits, layer,
};
use sky_text::ChatTemplate;
use sky_types::{
    FinishReason, Generate, GenerateError, Message, Reply, Request, SamplingParams, derive_seed,
};
use tch::{Device, Kind, Tensor};

fn generator(config: &Config, stops: &[u32], options: GeneratorOptions) -> LocalGenerator {
    LocalGenerator::new(
        config,
        random_params(config, Kind::Float, 5),
        byte_tokenizer(),
        ChatTemplate::chatml().unwrap(),
        stops.to_vec(),
        "test",
        options,
    )
    .unwrap()
}

fn f32_options(max_batch: usize) -> GeneratorOptions {
    GeneratorOptions {
        max_batch,
        precision: Precision::F32,
        ..GeneratorOptions::default()
    }
}

/// Requests that share a system prompt and differ in length, wish and number of tokens; some are
/// equal prompts.
fn requests(n: u64, temperature: f64) -> Vec<Request> {
    (0..n)
        .map(|i| {
            let question = "why? ".repeat(1 + (i as usize / 2 * 5) % 7);
            Request {
                key: i,
                messages: vec![Message::system("Be brief."), Message::user(question)],
                params: SamplingParams {
                    temperature,
                    top_p: 1.0,
                    max_tokens: 3 + (i as u32 * 7) % 23,
                },
                seed: derive_seed(1, "test", i),
            }
        })
        .collect()
}

fn replies(generator: &mut LocalGenerator, requests: &[Request]) -> Vec<Reply> {
    let mut out = Vec::new();
    generator
        .generate(&mut requests.iter().cloned(), &mut |reply| {
            out.push(reply);
            Ok(())
        })
        .unwrap();
    out.sort_by_key(|reply| reply.key);
    out
}

/// Greedy decoding with nothing kept: the whole sequence through the block functions for every
/// token.
fn plain_greedy(config: &Config, request: &Request, stops: &[u32]) -> Vec<u32> {
    let params = random_params(config, Kind::Float, 5);
    let text = ChatTemplate::chatml()
        .unwrap()
        .render(&request.messages, true)
        .unwrap();
    let mut ids: Vec<i64> = byte_tokenizer()
        .encode(&text)
        .unwrap()
        .into_iter()
        .map(i64::from)
        .collect();
    let mut said = Vec::new();
    while said.len() < request.params.max_tokens as usize {
        let sequences = PackedSequences::new(config, &[ids.len() as i64], Kind::Float, Device::Cpu);
        let mut x = embed(&params[0], &Tensor::from_slice(&ids));
        for block in &params[1..=config.num_layers] {
            x = layer(config, block, &x, &sequences);
        }
        let head = params.last().unwrap();
        let matrix = head.get(1).unwrap_or(&params[0][0]);
        let logits = head_logits(
            config,
            &head[0],
            matrix,
            &x.narrow(0, ids.len() as i64 - 1, 1),
        );
        let token = logits.argmax(-1, false).int64_value(&[0]);
        ids.push(token);
        said.push(token as u32);
        if stops.contains(&(token as u32)) {
            break;
        }
    }
    said
}

#[test]
fn what_is_kept_gives_the_same_words_as_the_whole_sequence_again() {
    for text in [QWEN2, LLAMA] {
        let config = with_bytes(text);
        let requests = requests(13, 0.0);
        // Rows end at different times, are refilled, and the batch shrinks in the end.
        let mut generator = generator(&config, &[2], f32_options(5));
        let tokenizer = byte_tokenizer();
        for (request, reply) in requests.iter().zip(replies(&mut generator, &requests)) {
            let expected = plain_greedy(&config, request, &[2]);
            let ended = expected.last() == Some(&2);
            let words = if ended {
                &expected[..expected.len() - 1]
            } else {
                &expected[..]
            };
            assert_eq!(reply.key, request.key);
            assert_eq!(
                reply.text,
                tokenizer.decode(words).unwrap(),
                "request {}",
                request.key
            );
            assert_eq!(reply.completion_tokens as usize, expected.len());
            assert_eq!(
                reply.finish_reason,
                if ended {
                    FinishReason::Stop
                } else {
                    FinishReason::Length
                }
            );
        }
    }
}

#[test]
fn company_and_batch_size_change_no_reply_in_f32() {
    let config = with_bytes(QWEN2);
    let requests = requests(12, 0.8);
    let together = replies(&mut generator(&config, &[], f32_options(4)), &requests);
    let large = replies(&mut generator(&config, &[], f32_options(64)), &requests);
    assert_eq!(together, large);
    let mut alone = generator(&config, &[], f32_options(1));
    for (request, expected) in requests.iter().zip(&together) {
        assert_eq!(
            &replies(&mut alone, std::slice::from_ref(request))[0],
            expected
        );
    }
    let texts: std::collections::HashSet<&str> = together.iter().map(|r| r.text.as_str()).collect();
    assert!(texts.len() > 6, "seeds must matter: {texts:?}");
}

#[test]
fn one_group_gives_the_same_bits_again_in_bf16() {
    let config = with_bytes(LLAMA);
    let options = GeneratorOptions {
        max_batch: 4,
        group_size: 6,
        ..GeneratorOptions::default()
    };
    let requests = requests(18, 1.0);
    let first = replies(&mut generator(&config, &[], options.clone()), &requests);
    assert_eq!(
        first,
        replies(&mut generator(&config, &[], options.clone()), &requests)
    );
    // A caller that resumes at a group's border gets the rest as it would have been.
    assert_eq!(
        first[6..],
        replies(&mut generator(&config, &[], options), &requests[6..])
    );
}

#[test]
fn a_stop_token_ends_a_reply_and_is_not_part_of_its_text() {
    let config = with_bytes(LLAMA);
    let request = Request {
        params: SamplingParams {
            max_tokens: 40,
            ..SamplingParams::default()
        },
        ..requests(1, 0.0).remove(0)
    };
    let free = plain_greedy(&config, &request, &[]);
    let stop = free[free.len() / 2];
    let cut = free.iter().position(|&t| t == stop).unwrap();
    let reply = replies(&mut generator(&config, &[stop], f32_options(8)), &[request]).remove(0);
    assert_eq!(reply.finish_reason, FinishReason::Stop);
    assert_eq!(reply.completion_tokens as usize, cut + 1);
    assert_eq!(reply.text, byte_tokenizer().decode(&free[..cut]).unwrap());
}

#[test]
fn limits_hold() {
    let config = with_bytes(LLAMA);
    let one = |max_tokens| Request {
        params: SamplingParams {
            max_tokens,
            ..SamplingParams::default()
        },
        ..requests(1, 0.0).remove(0)
    };
    let prompt =
        replies(&mut generator(&config, &[], f32_options(1)), &[one(1)])[0].prompt_tokens as usize;
    let options = GeneratorOptions {
        context: prompt + 4,
        ..f32_options(2)
    };
    let reply = replies(&mut generator(&config, &[], options.clone()), &[one(1000)]).remove(0);
    assert_eq!(
        (reply.completion_tokens, reply.finish_reason),
        (4, FinishReason::Length)
    );
    let reply = replies(&mut generator(&config, &[], options), &[one(0)]).remove(0);
    assert_eq!((reply.completion_tokens, reply.text.as_str()), (0, ""));
    let options = GeneratorOptions {
        context: prompt,
        ..f32_options(2)
    };
    // One that cannot be answered is a reply that failed; the others are answered.
    let mut short = one(5);
    short.messages[0].content.truncate(1);
    short.key = 1;
    let mut found = replies(&mut generator(&config, &[], options), &[one(5), short]);
    found.sort_by_key(|reply| reply.key);
    let [long, short] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(long.finish_reason, FinishReason::Failed);
    assert!(long.failure.as_ref().unwrap().contains("the prompt has"));
    assert!(short.failure.is_none() && short.completion_tokens > 0);
}

#[test]
fn a_receiver_that_stops_ends_the_generation() {
    let config = with_bytes(LLAMA);
    let mut seen = 0;
    let error = generator(&config, &[], f32_options(4))
        .generate(&mut requests(12, 0.0).into_iter(), &mut |_| {
            seen += 1;
            if seen == 2 {
                Err("enough".into())
            } else {
                Ok(())
            }
        })
        .unwrap_err();
    assert!(
        matches!(error, GenerateError::Sink(_)) && seen == 2,
        "{error}"
    );
}

#[test]
fn kinds_of_prompts_with_their_own_beginnings_go_through_in_one_group() {
    let config = with_bytes(LLAMA);
    let mut requests = requests(12, 0.0);
    for (i, request) in requests.iter_mut().enumerate() {
        let examples = if i < 6 {
            "one plus one is two. "
        } else {
            "def add(a, b): return a + b; "
        };
        request.messages[0] = Message::system(examples.repeat(6));
    }
    let together = replies(&mut generator(&config, &[], f32_options(8)), &requests);
    for (request, reply) in requests.iter().zip(&together) {
        let alone = replies(
            &mut generator(&config, &[], f32_options(1)),
            std::slice::from_ref(request),
        );
        assert_eq!(&alone[0], reply);
    }
}
