use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sky_files::{Journal, write_jsonl};
use sky_types::{
    CheckError, FinishReason, Generate, Message, Reply, Request, Sample, SamplingParams,
    derive_seed,
};

use super::{
    by_rules::{IsRight, keeps_verdict, rewrite_by_rules, rewrite_right_by_rules},
    rewritten::{RewriteCounts, Rewritten},
    rules::{fenced_blocks, program_block},
    sections::{MARKERS, Sections},
};
use crate::{Event, SampleError, generate_missing::generate_missing};

/// What a model rewrites, and how its replies are sampled.
#[derive(Clone)]
pub struct Rewriting<'a> {
    /// The samples to rewrite.
    pub samples: &'a [Sample],
    /// The verifier. Without one, a rewritten reply has to have the original's box, program or last
    /// number.
    pub is_right: Option<&'a IsRight<'a>>,
    /// The sampling parameters of the rewriter's replies.
    pub params: SamplingParams,
    /// The run's seed.
    pub seed: u64,
}

/// One line of the rewriter's journal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// As rewritten; the original where it is to be asked for again.
    sample: Sample,
    how: Tried,
}

/// What came of asking the model.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tried {
    /// Its text is used.
    Model,
    /// Its first text lost the answer or the form; it is asked once more.
    Again,
    /// The rules split the original.
    FellBack,
    /// The original stays.
    Kept,
}

/// Has a model put each finished reply into the two sections, then writes all samples to `out` in
/// their order.
///
/// The model's text must have both sections and be right where the original is. Otherwise the model
/// is asked once more, with the reason; then the rules split the original; and where they lose the
/// right answer too, the original stays. Resumes from its journal as [`sample`](crate::sample())
/// does.
///
/// # Errors
/// When a sample appears twice, the source of replies fails, or a file cannot be written. Journaled
/// replies stay.
pub fn rewrite_with_model(
    rewriting: &Rewriting<'_>,
    generate: &mut dyn Generate,
    journal: &Path,
    out: &Path,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<RewriteCounts, SampleError> {
    let _span = tracing::info_span!("rewrite", model = generate.model()).entered();
    let samples = rewriting.samples;
    let mut places = HashMap::new();
    for (at, sample) in samples.iter().enumerate() {
        let key = (sample.problem_id.as_str(), sample.index);
        if places.insert(key, at).is_some() {
            return Err(SampleError::Repeated {
                what: format!("sample {} #{}", key.0, key.1),
            });
        }
    }
    let (mut journal, found) = Journal::<Row>::open(journal)?;
    let mut rows: Vec<Option<(Sample, Rewritten)>> = samples
        .iter()
        .map(|sample| (!needs_model(sample)).then(|| rewrite_by_rules(sample.clone())))
        .collect();
    let (mut done, mut again) = (0, HashSet::new());
    for row in found.rows {
        let key = (row.sample.problem_id.as_str(), row.sample.index);
        let Some(&at) = places.get(&key).filter(|&&at| rows[at].is_none()) else {
            continue;
        };
        match outcome(row.how) {
            None => {
                again.insert(at);
            }
            Some(how) => {
                rows[at] = Some((row.sample, how));
                done += 1;
            }
        }
    }
    on_event(Event::Resumed {
        done,
        damaged: found.damaged_lines.len(),
    });

    // Only samples that need the model are numbered, so that its groups hold nothing else.
    let asked: Vec<usize> = (0..samples.len())
        .filter(|&at| needs_model(&samples[at]))
        .collect();
    for second in [false, true] {
        let is_wanted = |at: &usize| rows[*at].is_none() && again.contains(at) == second;
        let present: Vec<bool> = asked.iter().map(|at| !is_wanted(at)).collect();
        generate_missing(
            generate,
            &present,
            &|place| request(rewriting, &samples[asked[place]], second),
            &mut |place, reply| {
                let at = asked[place];
                let row = judge(rewriting, &samples[at], &reply, second)?;
                journal.append(&row)?;
                match outcome(row.how) {
                    None => {
                        again.insert(at);
                    }
                    Some(how) => {
                        on_event(Event::Finished(&row.sample));
                        rows[at] = Some((row.sample, how));
                    }
                }
                Ok(())
            },
            &mut |_, _| {},
        )?;
    }
    journal.sync()?;

    let mut counts = RewriteCounts::new();
    for (_, how) in rows.iter().flatten() {
        *counts.entry(*how).or_default() += 1;
    }
    write_jsonl(out, rows.iter().flatten().map(|(sample, _)| sample))?;
    Ok(counts)
}

fn needs_model(sample: &Sample) -> bool {
    sample.finish_reason == FinishReason::Stop
        && !sample.text.trim().is_empty()
        && Sections::parse(&sample.text).is_none()
}

/// How a sample was rewritten; nothing when the model is to be asked again.
fn outcome(tried: Tried) -> Option<Rewritten> {
    match tried {
        Tried::Model => Some(Rewritten::Model),
        Tried::Again => None,
        Tried::FellBack => Some(Rewritten::FellBack),
        Tried::Kept => Some(Rewritten::Kept),
    }
}

/// The sample with the model's sections where they are usable; else, after the second try, with
/// those of the rules, or as it was.
fn judge(
    rewriting: &Rewriting<'_>,
    original: &Sample,
    reply: &Reply,
    second: bool,
) -> Result<Row, CheckError> {
    let sections =
        Sections::parse(&reply.text).filter(|_| reply.finish_reason == FinishReason::Stop);
    if let Some(sections) = sections {
        let mut sample = original.clone();
        sample.text = sections.render();
        let keeps = match rewriting.is_right {
            Some(is_right) => keeps_verdict(original, &sample, is_right)?,
            None => keeps_answer(&original.text, &sections.solution),
        };
        if keeps {
            let how = Tried::Model;
            return Ok(Row { sample, how });
        }
    }
    if !second {
        let (sample, how) = (original.clone(), Tried::Again);
        return Ok(Row { sample, how });
    }
    let (sample, how) = match rewriting.is_right {
        Some(is_right) => rewrite_right_by_rules(original.clone(), is_right)?,
        None => rewrite_by_rules(original.clone()),
    };
    let how = match how {
        Rewritten::Kept => Tried::Kept,
        _ => Tried::FellBack,
    };
    Ok(Row { sample, how })
}

/// Whether the solution still gives the original's answer: its last box, else its last program,
/// else its last number.
fn keeps_answer(original: &str, solution: &str) -> bool {
    if let Some(answer) = last_box(original) {
        return last_box(solution) == Some(answer);
    }
    if let Some(program) = last_program(original) {
        return last_program(solution) == Some(program);
    }
    match numbers(original).last() {
        Some(answer) => numbers(solution).contains(answer),
        None => true,
    }
}

/// The last `\boxed{...}` without its white space.
fn last_box(text: &str) -> Option<String> {
    let rest = &text[text.rfind("\\boxed{")? + "\\boxed{".len()..];
    let mut depth = 1_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(rest[..at].split_whitespace().collect());
        }
    }
    None
}

/// The lines of the program, without fences, trailing space and blank lines.
fn last_program(text: &str) -> Option<Vec<&str>> {
    let block = program_block(text, &fenced_blocks(text))?;
    let lines = text[block].lines().map(str::trim_end);
    let inner = lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with("```"));
    Some(inner.collect())
}

fn numbers(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))
        .map(|run| run.trim_matches(['.', ',']).replace(',', ""))
        .filter(|run| !run.is_empty())
        .collect()
}

/// The role that Sky-T1 gave its rewriter, with instructions and our own worked example. The
/// second time it says what was wrong with the first.
fn request(rewriting: &Rewriting<'_>, sample: &Sample, second: bool) -> Request {
    let [begin, end, begin_solution, end_solution] = MARKERS;
    let example = Sections {
        thought: "I need the area of a 4 by 6 rectangle.\n\nThe area is 4 times 6, so 24.\n\nCheck: four rows of six give 6 + 6 + 6 + 6 = 24. Good.".into(),
        solution: "The area is the product of the sides: $4 \\cdot 6 = 24$.\n\n\\boxed{24}".into(),
    };
    let reason = if second {
        "An earlier attempt lost the answer or a section. Keep every line of the program and the \
         answer exactly.\n\n"
    } else {
        ""
    };
    let instruction = format!(
        "Sort the answer below into two sections.\n\
         - Between {begin} and {end} goes all the thinking: analysis, trials, checks, second thoughts. Keep its wording and its \
         order, and put a blank line between steps.\n\
         - Between {begin_solution} and {end_solution} goes the finished solution: the steps that lead to the answer, and the \
         answer exactly as it was given. Keep a \\boxed{{}} result in its box and a program whole, in one fenced code block.\n\
         Add nothing, correct nothing, and leave no result out. Reply with the two sections alone.\n\n\
         An answer such as:\n\n\
         I need the area of a 4 by 6 rectangle. The area is 4 times 6, so 24. Check: four rows of six give 6 + 6 + 6 + 6 = 24. \
         Good. The area is the product of the sides: $4 \\cdot 6 = 24$. \\boxed{{24}}\n\n\
         becomes:\n\n{}\n\n{reason}The answer to sort:\n\n{}",
        example.render(),
        sample.text
    );
    Request {
        key: 0,
        messages: vec![
            Message::system("You are a solution format convertor."),
            Message::user(instruction),
        ],
        params: rewriting.params.clone(),
        seed: derive_seed(
            rewriting.seed,
            &format!(
                "rewrite{}/{}",
                if second { "-again" } else { "" },
                sample.problem_id
            ),
            u64::from(sample.index),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_when_its_box_program_or_last_number_is() {
        assert!(keeps_answer(r"so \boxed{ 1 /2}", r"It is \boxed{1/2}."));
        assert!(!keeps_answer(r"so \boxed{5}", "It is 5."));
        assert!(!keeps_answer(r"so \boxed{5}", r"\boxed{6}"));
        let program = "Use a sum:\n```python\ndef f(a):\n    return a\n```";
        assert!(keeps_answer(
            program,
            "```py\ndef f(a):\n\n    return a  \n```\nDone."
        ));
        assert!(!keeps_answer(
            program,
            "```python\ndef f(a):\nreturn a\n```"
        ));
        assert!(!keeps_answer(program, "def f(a): return a"));
        assert!(keeps_answer("3 + 5 = 8.", "The answer is 8."));
        assert!(keeps_answer("It costs 1,200.", "1200 dollars"));
        assert!(!keeps_answer("3 + 5 = 8.", "The answer is 18."));
    }
}
