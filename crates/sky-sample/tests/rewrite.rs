//! The rule-based rewriter moves text and never makes any up.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sky_sample::{
    MARKERS, Rewriting, Rewritten, Sections, rewrite_by_rules, rewrite_right_by_rules,
    rewrite_with_model, split,
};
use sky_types::{
    FinishReason, Generate, GenerateError, Reply, Request, Sample, SamplingParams, Sink, Version,
};

fn sections(text: &str) -> (String, String) {
    let sections = split(text).unwrap_or_else(|| panic!("no solution in {text:?}"));
    (sections.thought, sections.solution)
}

fn both(thought: &str, solution: &str) -> (String, String) {
    (thought.into(), solution.into())
}

#[test]
fn tags_around_the_thinking_decide() {
    let expected = both("2 + 2 is 4.", "The answer is 4.");
    for text in [
        "<think>2 + 2 is 4.</think>The answer is 4.",
        "<think>\n2 + 2 is 4.\n</think>\n\nThe answer is 4.\n",
        "<Thinking>2 + 2 is 4.</Thinking> The answer is 4.",
        " <Thought>\n2 + 2 is 4.\n</Thought>\n<Output>\nThe answer is 4.\n</Output>",
        "2 + 2 is 4.\n</think>\n\nThe answer is 4.",
        "<think>2 + 2 is 4.</think><answer>The answer is 4.</answer>",
        "<|begin_of_thought|>2 + 2 is 4.<|end_of_thought|><|begin_of_solution|>The answer is 4.",
        "<|begin_of_thought|>2 + 2 is 4.<|end_of_thought|>\nThe answer is 4.",
        "2 + 2 is 4. <|begin_of_solution|> The answer is 4. <|end_of_solution|>",
        "<think></think>2 + 2 is 4. The answer is 4.",
        "<think>2 + 2 is 4. The answer is 4.</think>",
    ] {
        assert_eq!(sections(text), expected, "{text}");
    }
}

#[test]
fn an_unfinished_thought_has_no_solution() {
    for text in [
        "<think>2 + 2 is",
        "<|begin_of_thought|> 2 + 2 is 4. The answer is \\boxed{4}.",
        "",
        " \n ",
        "<think></think>",
        "<|begin_of_thought|><|end_of_thought|><|begin_of_solution|><|end_of_solution|>",
    ] {
        assert_eq!(split(text), None, "{text}");
    }
}

#[test]
fn a_heading_or_a_box_begins_the_solution() {
    assert_eq!(
        sections("Add.\n\n**Final Answer:** 5\n\nDone."),
        both("Add.", "**Final Answer:** 5\n\nDone.")
    );
    assert_eq!(
        sections("One.\n\nTwo. So it is\n\\boxed{3}. Good.\n\nBye."),
        both("One.", "Two. So it is\n\\boxed{3}. Good.\n\nBye.")
    );
    assert_eq!(
        sections("3 + 5 = 8. The answer is \\boxed{8}."),
        both("3 + 5 = 8.", "The answer is \\boxed{8}.")
    );
    assert_eq!(
        sections("First $a = 1. B$ holds.\nThen \\boxed{2}"),
        both("First $a = 1. B$ holds.", "Then \\boxed{2}")
    );
    assert_eq!(
        sections("Take away: 9 - 4 = 5.\n\n\\[\n\\boxed{5}\n\\]"),
        both("Take away: 9 - 4 = 5.", "\\[\n\\boxed{5}\n\\]")
    );
}

#[test]
fn the_last_code_block_is_the_solution() {
    assert_eq!(
        sections("Try:\n```python\na = 1\n```\nBetter:\n```python\na = 2\n```"),
        both(
            "Try:\n```python\na = 1\n```\nBetter:",
            "```python\na = 2\n```"
        )
    );
    assert_eq!(
        sections("```python\na = 2\n```\nThis sets a."),
        both("This sets a.", "```python\na = 2\n```")
    );
    assert_eq!(sections("```\nx. Y\n"), both("", "```\nx. Y"));
    assert_eq!(
        sections(
            "Run ```inline``` first.\n\n```python\n# Final answer: 3\nprint(\"\\\\boxed{3}\")\n```"
        )
        .0,
        "Run ```inline``` first."
    );
}

#[test]
fn else_the_last_paragraph_line_or_sentence_is_and_a_lone_sentence_all() {
    assert_eq!(sections("A.\n\nB. C."), both("A.", "B. C."));
    assert_eq!(sections("A.\nB. C."), both("A.", "B. C."));
    assert_eq!(
        sections("Add them. You get 5."),
        both("Add them.", "You get 5.")
    );
    assert_eq!(sections("It is 3.5 in all"), both("", "It is 3.5 in all"));
    assert_eq!(sections("1. Add 2 and 3"), both("", "1. Add 2 and 3"));
    assert_eq!(
        sections("It is 8. 8 is right!"),
        both("It is 8.", "8 is right!")
    );
}

fn sample(text: &str, finish_reason: FinishReason) -> Sample {
    Sample {
        v: Version,
        problem_id: "p".into(),
        index: 2,
        text: text.into(),
        finish_reason,
        prompt_tokens: 3,
        completion_tokens: 4,
        model: "m".into(),
        params: SamplingParams::default(),
        seed: 5,
        failure: None,
    }
}

#[test]
fn only_the_text_of_a_finished_reply_changes() {
    let text = "3 + 5 = 8. The answer is \\boxed{8}.";
    let before = sample(text, FinishReason::Stop);
    let (after, how) = rewrite_by_rules(before.clone());
    assert_eq!(how, Rewritten::Rules);
    assert_eq!(
        Sample {
            text: text.into(),
            ..after.clone()
        },
        before
    );
    let (again, how) = rewrite_by_rules(after.clone());
    assert_eq!((again, how), (after.clone(), Rewritten::Already));
    for reason in [FinishReason::Length, FinishReason::Refused] {
        let before = sample(text, reason);
        assert_eq!(rewrite_by_rules(before.clone()), (before, Rewritten::Left));
    }
    let complete = sample(&after.text, FinishReason::Length);
    assert_eq!(rewrite_by_rules(complete).1, Rewritten::Already);
}

/// Words of a text with every tag taken out, counted.
fn words(text: &str) -> BTreeMap<String, usize> {
    let mut text = text.to_owned();
    let tags = ["think", "thinking", "thought", "answer", "output"];
    let tags: Vec<String> = tags
        .iter()
        .flat_map(|tag| [format!("<{tag}>"), format!("</{tag}>")])
        .chain(MARKERS.map(str::to_owned))
        .collect();
    while let Some(tag) = tags.iter().find(|tag| text.contains(*tag)) {
        text = text.replace(tag.as_str(), " ");
    }
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// Pieces that replies are made of, and that rules look for.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-zA-Z0-9.!?$\\\\{}é€ ]{0,12}",
        1 => prop::sample::select(vec![
            "\n", "\n\n", " ", ". ", "\n```python\n", "\n```\n", "\\boxed{4}", "\nFinal Answer: ", "**Answer:** ",
            "<think>", "</think>", "<answer>", "</answer>", "<thought>", "</thought>", "<output>", "</output>",
            "<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>",
            "<|begin_of_", "thought|>", "1. ", "$", "\\[", "\\]", "It is 8. The",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_are_moved_and_never_invented_or_lost(text in pieces()) {
        if let Some(sections) = split(&text) {
            let rendered = sections.render();
            prop_assert_eq!(words(&rendered), words(&text));
            prop_assert!(!sections.solution.is_empty());
            prop_assert_eq!(Sections::parse(&rendered), Some(sections));
        }
    }

    #[test]
    fn any_text_is_taken_without_panic(text in "\\PC{0,200}") {
        let _ = split(&text);
    }
}

/// Real free-form traces: each splits, and keeps its words.
#[test]
fn real_traces_keep_their_words() {
    let root = std::env::var("SKY_SHARED_DATA").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_owned()
    });
    let path = std::path::Path::new(&root).join("marco_o1_cot/CoT_demo.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: {} is not here\n", path.display()).as_bytes(),
        );
        return;
    };
    let mut traces = 0;
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let response = row["response"].as_str().unwrap();
        let lower = |text: &str| {
            words(
                &text
                    .replace("Thought>", "thought>")
                    .replace("Output>", "output>"),
            )
        };
        let Some(sections) = split(response) else {
            panic!("no solution in {response}");
        };
        assert_eq!(lower(&sections.render()), lower(response));
        assert!(!sections.thought.is_empty());
        traces += 1;
    }
    assert_eq!(traces, 125);
}

/// An "Output:" block is no program.
#[test]
fn the_program_stays_in_the_solution() {
    let text = "Read a number and double it.\n\n```python\nprint(2 * int(input()))\n```\n\nOutput:\n\n```\n8\n```";
    let solution = split(text).unwrap().solution;
    assert!(
        solution.starts_with("```python\nprint(2 * int(input()))"),
        "{solution}"
    );
}

/// What a verifier calls right stays right, by rules and by a model that damages it.
#[test]
fn a_right_reply_stays_right() {
    // Right where the whole derivation is there.
    let is_right =
        |sample: &Sample| Ok(sample.text.contains("7 apples") && !sample.text.contains("<|"));
    let original = sample("There are 7 apples. So it is done.", FinishReason::Stop);
    let (kept, how) = rewrite_right_by_rules(original.clone(), &is_right).unwrap();
    assert_eq!((kept.text, how), (original.text, Rewritten::Kept));
    let wrong = sample("There are 8 apples. So it is done.", FinishReason::Stop);
    let (moved, how) = rewrite_right_by_rules(wrong.clone(), &is_right).unwrap();
    assert!(how == Rewritten::Rules && moved.text != wrong.text);
}

/// A model that loses the answer is asked once more, and told; then the rules; then the original
/// stays. A killed run asks nothing twice.
#[test]
fn a_model_that_damages_is_asked_again_and_then_passed_over() {
    struct Rewriter {
        /// Prompts that it was asked.
        asked: Vec<String>,
        dies_after: usize,
    }
    impl Generate for Rewriter {
        fn model(&self) -> &str {
            "rewriter"
        }

        fn generate(
            &mut self,
            requests: &mut dyn Iterator<Item = Request>,
            sink: &mut Sink<'_>,
        ) -> Result<(), GenerateError> {
            for request in requests {
                if self.asked.len() == self.dies_after {
                    return Err(GenerateError::Backend("killed".into()));
                }
                let prompt = request.messages[1].content.clone();
                let again = prompt.contains("An earlier attempt");
                // It mends the first sample when told, and never the others.
                let answer = if again && prompt.contains("first") {
                    "7"
                } else {
                    "6"
                };
                let text = Sections {
                    thought: "So.".into(),
                    solution: format!("\\boxed{{{answer}}}"),
                };
                self.asked.push(prompt);
                sink(Reply {
                    key: request.key,
                    text: text.render(),
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
    let mut samples = vec![
        sample("The first: \\boxed{7}.", FinishReason::Stop),
        sample("The second: \\boxed{7}.", FinishReason::Stop),
        sample("The wrong one: \\boxed{8}.", FinishReason::Stop),
    ];
    for (index, sample) in (0..).zip(&mut samples) {
        sample.index = index;
    }
    let is_right = |sample: &Sample| Ok(sample.text.contains("\\boxed{7}"));
    let rewriting = Rewriting {
        samples: &samples,
        is_right: Some(&is_right),
        params: SamplingParams::default(),
        seed: 1,
    };
    let dir = tempfile::tempdir().unwrap();
    let mut asked = 0;
    for dies_after in [1, 1, 1, 9] {
        let mut model = Rewriter {
            asked: Vec::new(),
            dies_after,
        };
        let (journal, out) = (dir.path().join("j"), dir.path().join("o"));
        let counts = rewrite_with_model(&rewriting, &mut model, &journal, &out, &mut |_| {});
        asked += model.asked.len();
        if dies_after == 9 {
            let expected = [(Rewritten::Model, 2), (Rewritten::FellBack, 1)];
            assert_eq!(counts.unwrap(), expected.into_iter().collect());
        }
    }
    // Three first tries, two second ones.
    assert_eq!(asked, 5);
    let rows: Vec<Sample> = sky_files::read_jsonl(&dir.path().join("o"))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(rows[0].text.contains("\\boxed{7}") && rows[1].text.contains("\\boxed{7}"));
}
