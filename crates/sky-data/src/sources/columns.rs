//! Recognises a format by the columns of a row.

use serde_json::{Map, Value};

use super::Format;

/// The format whose columns these are; none when no known one has them.
pub(super) fn format_of(row: &Map<String, Value>) -> Option<Format> {
    let has = |keys: &[&str]| keys.iter().all(|key| row.contains_key(*key));
    let any = |keys: &[&str]| keys.iter().any(|key| row.contains_key(*key));
    let answer = row.get("answer");
    Some(if has(&["domain", "prompt", "source", "answer"]) {
        Format::Problems
    } else if has(&["question_content", "public_test_cases"]) {
        Format::LiveCodeBench
    } else if has(&["entry_point", "test", "prompt"]) {
        Format::HumanEval
    } else if has(&["test_list"]) {
        Format::Mbpp
    } else if has(&["question", "input_output"]) {
        if any(&["picture_num", "skill_types", "raw_tags"]) {
            Format::Taco
        } else {
            Format::Apps
        }
    } else if has(&["question", "final_answer"]) {
        Format::OlympiadBench
    } else if has(&["Question", "Correct Answer"]) {
        Format::Gpqa
    } else if has(&["choices", "answerKey"]) {
        Format::Arc
    } else if has(&["question", "choices"]) && answer.is_some_and(Value::is_number) {
        Format::Mmlu
    } else if has(&["question"]) && answer.and_then(Value::as_str).is_some_and(is_gsm8k) {
        Format::Gsm8k
    } else if has(&["source", "problem", "solution"]) {
        Format::Numina
    } else if has(&["Answer"]) && any(&["Problem", "Question"]) || has(&["problem", "aime_number"])
    {
        Format::Aime
    } else if any(&["problem", "question", "prompt"]) && any(&["answer", "solution"]) {
        Format::Math
    } else {
        return None;
    })
}

/// Whether an answer is a worked solution that ends as GSM8K's do.
pub(super) fn is_gsm8k(answer: &str) -> bool {
    answer
        .lines()
        .last()
        .is_some_and(|line| line.trim_start().starts_with("####"))
}

/// The first columns' names, for messages.
pub(super) fn list(row: &Map<String, Value>) -> String {
    const MOST: usize = 12;
    let mut names: Vec<String> = row
        .keys()
        .take(MOST)
        .map(|key| format!("`{key}`"))
        .collect();
    if row.len() > MOST {
        names.push(format!("{} more", row.len() - MOST));
    }
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
