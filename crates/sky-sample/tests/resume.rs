//! Killed at any moment, sampling ends with the bytes of an undisturbed run.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use sky_sample::{
    Event, Example, RewriteCounts, Rewriting, Rewritten, SampleConfig, SampleError, Sampled,
    Sampling, Sections, rewrite_with_model, sample,
};
use sky_types::{
    Answer, Domain, FinishReason, Generate, GenerateError, Problem, Prompt, Reply, Request, Sink,
    derive_seed,
};

/// A small source of replies: its text depends on each request's seed and prompt and, when it has
/// groups, on the whole group it was generated with, as batched arithmetic does. It answers out of
/// order and stops after `fuel` replies.
struct Source {
    group: Option<usize>,
    fuel: usize,
    calls: usize,
    replies: usize,
    order: u64,
}

impl Source {
    fn new(group: Option<usize>) -> Self {
        Self {
            group,
            fuel: usize::MAX,
            calls: 0,
            replies: 0,
            order: 0,
        }
    }
}

impl Generate for Source {
    fn model(&self) -> &str {
        "seeded-text"
    }

    fn group_size(&self) -> Option<usize> {
        self.group
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        self.calls += 1;
        let mut batch: Vec<Request> = requests.collect();
        if let Some(size) = self.group {
            assert!(batch.len() <= size, "a group stays alone in its call");
        }
        let neighbours = match self.group {
            Some(_) => batch.iter().fold(0, |sum, r| derive_seed(sum, "n", r.seed)),
            None => 0,
        };
        let order = self.order;
        batch.sort_by_key(|request| derive_seed(order, "order", request.key));
        for request in batch {
            if self.replies == self.fuel {
                return Err(GenerateError::Backend("out of fuel".into()));
            }
            self.replies += 1;
            let prompt: usize = request.messages.iter().map(|m| m.content.len()).sum();
            let value = derive_seed(request.seed ^ neighbours, "text", prompt as u64);
            let length = value.is_multiple_of(7);
            sink(Reply {
                key: request.key,
                text: format!("Step {value}.\n\nThe answer is \\boxed{{{}}}.", value % 10),
                finish_reason: if length {
                    FinishReason::Length
                } else {
                    FinishReason::Stop
                },
                prompt_tokens: prompt as u32,
                completion_tokens: (value % 100) as u32,
                failure: None,
            })
            .map_err(GenerateError::Sink)?;
        }
        Ok(())
    }
}

fn problems(count: usize) -> Vec<Problem> {
    (0..count)
        .map(|at| {
            let domain = if at % 5 == 4 {
                Domain::Code
            } else {
                Domain::Math
            };
            Problem::new(
                format!("p-{at}"),
                "demo",
                domain,
                format!("What is {at} + 1?"),
                Answer::Math((at + 1).to_string()),
            )
        })
        .collect()
}

fn config() -> SampleConfig {
    SampleConfig {
        n: 3,
        temperature: 0.8,
        max_tokens: 64,
        code_max_tokens: Some(128),
        examples: vec![Example {
            user: "What is 1 + 1?".into(),
            assistant: "2".into(),
        }],
        ..SampleConfig::default()
    }
}

fn run(
    dir: &Path,
    problems: &[Problem],
    source: &mut Source,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Sampled, SampleError> {
    let (prompt, config) = (Prompt::default(), config());
    let sampling = Sampling {
        problems,
        prompt: &prompt,
        config: &config,
        seed: 11,
    };
    sample(
        sampling,
        source,
        &dir.join("journal"),
        &dir.join("samples.jsonl"),
        on_event,
    )
}

fn undisturbed(group: Option<usize>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    run(
        dir.path(),
        &problems(13),
        &mut Source::new(group),
        &mut |_| {},
    )
    .unwrap();
    fs::read(dir.path().join("samples.jsonl")).unwrap()
}

#[test]
fn a_run_interrupted_anywhere_ends_with_the_same_bytes() {
    for group in [None, Some(1), Some(8), Some(1000)] {
        let whole = undisturbed(group);
        for round in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let mut stops = 0;
            loop {
                let mut source = Source::new(group);
                source.order = round * 31 + stops;
                // The undisturbed run is 39 replies; groups may repeat some of theirs.
                source.fuel = derive_seed(round, "fuel", stops) as usize % 25 + 8 * stops as usize;
                match run(dir.path(), &problems(13), &mut source, &mut |_| {}) {
                    Ok(sampled) => {
                        assert_eq!(sampled.samples, 39);
                        assert_eq!(sampled.differed, 0);
                        break;
                    }
                    Err(SampleError::Generate(_)) => stops += 1,
                    Err(error) => panic!("{error}"),
                }
                assert!(!dir.path().join("samples.jsonl").exists());
                if stops % 2 == 0 {
                    tear(&dir.path().join("journal"));
                }
            }
            assert_eq!(fs::read(dir.path().join("samples.jsonl")).unwrap(), whole);
        }
    }
}

/// A kill in the middle of a write: the last line loses its end.
fn tear(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len().saturating_sub(5)]).unwrap();
}

#[test]
fn nothing_finished_is_asked_again_where_replies_are_independent() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = Source::new(None);
    source.fuel = 20;
    run(dir.path(), &problems(13), &mut source, &mut |_| {}).unwrap_err();
    let mut source = Source::new(None);
    let mut seen = (0, 0);
    let sampled = run(
        dir.path(),
        &problems(13),
        &mut source,
        &mut |event| match event {
            Event::Resumed { done, .. } => seen.0 = done,
            Event::Finished(_) => seen.1 += 1,
        },
    )
    .unwrap();
    assert_eq!((source.replies, source.calls), (19, 1));
    assert_eq!(seen, (20, 19));
    assert_eq!(sampled.resumed, 20);
    // And a finished journal asks for nothing at all.
    let mut source = Source::new(None);
    run(dir.path(), &problems(13), &mut source, &mut |_| {}).unwrap();
    assert_eq!(source.calls, 0);
}

#[test]
fn a_source_that_breaks_its_promise_of_same_bits_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = Source::new(Some(8));
    source.fuel = 4;
    run(dir.path(), &problems(13), &mut source, &mut |_| {}).unwrap_err();
    // Groups of another size, as another machine might have: their bits differ.
    let sampled = run(
        dir.path(),
        &problems(13),
        &mut Source::new(Some(5)),
        &mut |_| {},
    )
    .unwrap();
    assert!(sampled.differed > 0);
}

#[test]
fn more_problems_change_no_other_sample() {
    let dir = tempfile::tempdir().unwrap();
    let few = undisturbed(None);
    let mut more = problems(13);
    more.insert(
        0,
        Problem::new(
            "new",
            "demo",
            Domain::Math,
            "What is 9 x 9?",
            Answer::Math("81".into()),
        ),
    );
    run(dir.path(), &more, &mut Source::new(None), &mut |_| {}).unwrap();
    let many = fs::read(dir.path().join("samples.jsonl")).unwrap();
    assert!(many.ends_with(&few), "the rest is as it was");
}

#[test]
fn code_goes_without_worked_examples_and_with_its_own_limit() {
    let (problems, prompt, config) = (problems(5), Prompt::default(), config());
    let sampling = Sampling {
        problems: &problems,
        prompt: &prompt,
        config: &config,
        seed: 1,
    };
    assert_eq!(sampling.len(), 15);
    let (math, code) = (sampling.request(0), sampling.request(14));
    assert_eq!((math.messages.len(), math.params.max_tokens), (3, 64));
    assert_eq!((code.messages.len(), code.params.max_tokens), (1, 128));
    assert_ne!(sampling.request(0).seed, sampling.request(1).seed);
}

#[test]
fn the_teacher_may_have_a_system_prompt_of_its_own() {
    let problems = problems(5);
    let prompt = Prompt {
        system: "For the student.".into(),
        ..Prompt::default()
    };
    let first = |config: &SampleConfig| {
        let sampling = Sampling {
            problems: &problems,
            prompt: &prompt,
            config,
            seed: 1,
        };
        sampling.request(0).messages[0].content.clone()
    };
    assert_eq!(first(&config()), "For the student.");
    let mut own = config();
    own.system = Some("For the teacher.".into());
    assert_eq!(first(&own), "For the teacher.");
    own.system = Some(String::new());
    assert_eq!(first(&own), "What is 1 + 1?", "empty is none");
    let unset = serde_json::to_value(config()).unwrap();
    assert!(
        unset.get("system").is_none(),
        "earlier runs stay as they are"
    );
}

#[test]
fn two_problems_with_one_id_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut twice = problems(2);
    twice[1].id = twice[0].id.clone();
    let error = run(dir.path(), &twice, &mut Source::new(None), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("p-0"), "{error}");
}

/// Misbehaves in one chosen way.
struct Broken(&'static str);

impl Generate for Broken {
    fn model(&self) -> &str {
        "broken"
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        let reply = |key| Reply {
            key,
            text: String::new(),
            finish_reason: FinishReason::Stop,
            prompt_tokens: 0,
            completion_tokens: 0,
            failure: None,
        };
        for request in requests {
            match self.0 {
                "silent" => {}
                "twice" => {
                    sink(reply(request.key)).map_err(GenerateError::Sink)?;
                    sink(reply(request.key)).map_err(GenerateError::Sink)?;
                }
                _ => sink(reply(u64::MAX)).map_err(GenerateError::Sink)?,
            }
        }
        Ok(())
    }
}

#[test]
fn a_source_that_breaks_the_contract_is_named() {
    let (problems, prompt, config) = (problems(2), Prompt::default(), config());
    for (how, says) in [
        ("silent", "unanswered"),
        ("twice", "two replies"),
        ("stranger", "nobody made"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let sampling = Sampling {
            problems: &problems,
            prompt: &prompt,
            config: &config,
            seed: 1,
        };
        let (journal, out) = (dir.path().join("j"), dir.path().join("o"));
        let error = sample(sampling, &mut Broken(how), &journal, &out, &mut |_| {}).unwrap_err();
        assert!(
            matches!(&error, SampleError::Protocol { reason, .. } if reason.contains(says)),
            "{how}: {error}"
        );
        assert!(!out.exists());
    }
}

/// Rewrites as told: keeps the answer, or loses it for every third sample.
struct Convertor {
    fuel: usize,
}

impl Generate for Convertor {
    fn model(&self) -> &str {
        "convertor"
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        for request in requests {
            if self.fuel == 0 {
                return Err(GenerateError::Backend("out of fuel".into()));
            }
            self.fuel -= 1;
            let trace = request.messages[1]
                .content
                .rsplit("The answer to sort:\n\n")
                .next()
                .unwrap();
            let (thought, solution) = trace.rsplit_once("\n\n").unwrap();
            let solution = if request.seed % 3 == 0 {
                "It is clear."
            } else {
                solution
            };
            let text = Sections {
                thought: thought.into(),
                solution: solution.into(),
            }
            .render();
            sink(Reply {
                key: request.key,
                text,
                finish_reason: FinishReason::Stop,
                prompt_tokens: 1,
                completion_tokens: 1,
                failure: None,
            })
            .map_err(GenerateError::Sink)?;
        }
        Ok(())
    }
}

#[test]
fn a_model_rewrites_what_it_keeps_right_and_resumes() {
    let samples: Vec<sky_types::Sample> = undisturbed(None)
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let rewriting = Rewriting {
        samples: &samples,
        is_right: None,
        params: config().params(Domain::Math),
        seed: 3,
    };
    let rewrite = |dir: &Path, fuel: usize| -> Result<RewriteCounts, SampleError> {
        rewrite_with_model(
            &rewriting,
            &mut Convertor { fuel },
            &dir.join("j"),
            &dir.join("o"),
            &mut |_| {},
        )
    };
    let whole = tempfile::tempdir().unwrap();
    let counts = rewrite(whole.path(), usize::MAX).unwrap();
    let count = |how| counts.get(&how).copied().unwrap_or(0);
    let unfinished = samples
        .iter()
        .filter(|s| s.finish_reason != FinishReason::Stop)
        .count();
    assert_eq!(count(Rewritten::Left), unfinished);
    assert!(unfinished > 0 && count(Rewritten::Model) > 0 && count(Rewritten::FellBack) > 0);

    let parts = tempfile::tempdir().unwrap();
    rewrite(parts.path(), 10).unwrap_err();
    assert_eq!(rewrite(parts.path(), usize::MAX).unwrap(), counts);
    assert_eq!(
        fs::read(parts.path().join("o")).unwrap(),
        fs::read(whole.path().join("o")).unwrap()
    );
}
