//! Benchmarks with one right option among a few: GPQA, ARC, MMLU.

use serde_json::{Map, Value};
use sky_types::{Answer, Domain, Problem, derive_seed};

use super::converted::{Converted, Refusal, keep, text};

/// One option and whether it is the right one.
struct Choice<'a> {
    text: &'a str,
    right: bool,
}

/// The question with its options under letters, and the right one's letter.
fn problem(source: &str, id: &str, question: &str, choices: &[Choice<'_>]) -> Converted {
    if !(2..=26).contains(&choices.len()) {
        return Err(Refusal::Skip(format!("{} options", choices.len())));
    }
    let mut prompt = format!("{}\n", question.trim());
    let mut answer = None;
    for (letter, choice) in ('A'..='Z').zip(choices) {
        prompt.push_str(&format!("\n{letter}. {}", choice.text.trim()));
        if choice.right && answer.replace(letter.to_string()).is_some() {
            return Err(Refusal::Skip("two options are the right one".into()));
        }
    }
    let answer = answer.ok_or_else(|| Refusal::Skip("no option is the right one".into()))?;
    let id = format!("{source}/{id}");
    Ok(Problem::new(
        id,
        source,
        Domain::Choice,
        prompt,
        Answer::Choice(answer),
    ))
}

/// GPQA gives the right answer first. The options are put in an order that a hash of the question
/// decides, so that the letters tell nothing and every run has the same ones.
pub(super) fn gpqa(row: &Map<String, Value>, number: usize) -> Converted {
    let question = text(row, "Question")?;
    let right = text(row, "Correct Answer")?;
    let mut choices = vec![Choice {
        text: right,
        right: true,
    }];
    for key in [
        "Incorrect Answer 1",
        "Incorrect Answer 2",
        "Incorrect Answer 3",
    ] {
        choices.push(Choice {
            text: text(row, key)?,
            right: false,
        });
    }
    choices.sort_by_key(|choice| {
        let label = format!("gpqa/{question}/{}", choice.text);
        (derive_seed(0, &label, 0), choice.text)
    });
    let id = row.get("Record ID").and_then(Value::as_str);
    let id = id.map_or_else(|| number.to_string(), str::to_owned);
    let mut problem = problem("gpqa", &id, question, &choices)?;
    keep(&mut problem, row, &["Subdomain", "High-level domain"]);
    Ok(problem)
}

/// ARC: options with labels of their own, `A` or `1`.
pub(super) fn arc(row: &Map<String, Value>, number: usize) -> Converted {
    let question = text(row, "question")?;
    let key = text(row, "answerKey")?;
    let list = |name: &str| {
        let list = row.get("choices").and_then(|choices| choices.get(name));
        let list = list.and_then(Value::as_array);
        let list = list.ok_or_else(|| Refusal::Form(format!("no list `choices.{name}`")))?;
        Ok::<Vec<&str>, Refusal>(list.iter().filter_map(Value::as_str).collect())
    };
    let (texts, labels) = (list("text")?, list("label")?);
    if texts.len() != labels.len() {
        return Err(Refusal::Skip("options without a label".into()));
    }
    let choices: Vec<Choice<'_>> = texts
        .into_iter()
        .zip(labels)
        .map(|(text, label)| Choice {
            text,
            right: label == key,
        })
        .collect();
    let id = row.get("id").and_then(Value::as_str);
    let id = id.map_or_else(|| number.to_string(), str::to_owned);
    problem("arc", &id, question, &choices)
}

/// MMLU: a list of options and the right one's index.
pub(super) fn mmlu(row: &Map<String, Value>, number: usize) -> Converted {
    let question = text(row, "question")?;
    let choices = row.get("choices").and_then(Value::as_array);
    let choices = choices.ok_or_else(|| Refusal::Form("no list `choices`".into()))?;
    let right = row.get("answer").and_then(Value::as_u64);
    let right = right.ok_or_else(|| Refusal::Form("no number `answer`".into()))?;
    let choices: Vec<Choice<'_>> = (0..)
        .zip(choices.iter().filter_map(Value::as_str))
        .map(|(at, text)| Choice {
            text,
            right: at == right,
        })
        .collect();
    let mut problem = problem("mmlu", &number.to_string(), question, &choices)?;
    keep(&mut problem, row, &["subject"]);
    Ok(problem)
}
