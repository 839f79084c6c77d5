//! The checker as the pipeline's [`Check`].

use sky_types::{Answer, Check, CheckError, Checked, FinishReason, Problem, Verdict as Pipeline};

use super::{
    checker::MathChecker,
    compare::choice_letter,
    extract,
    verdict::{Outcome, Verdict},
};

impl Check for MathChecker {
    /// Math and puzzle problems by value, choices by letter. A reply cut off before its answer is truncated, a refusal is
    /// refused.
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish_reason: FinishReason,
    ) -> Result<Checked, CheckError> {
        let verdict = match &problem.answer {
            Answer::Math(gold) => Self::check(self, gold, reply),
            Answer::Choice(letter) => self.choice(letter, reply),
            Answer::Tests(_) | Answer::Program(_) => {
                return Err(CheckError::Unsupported {
                    id: problem.id.clone(),
                    checker: "math",
                    domain: format!("{:?}", problem.domain).to_lowercase(),
                    reason: "its answer is a program to be run; the code checker does that"
                        .to_owned(),
                });
            }
        };
        Ok(Checked {
            verdict: outcome(&verdict, finish_reason),
            detail: detail(&verdict),
        })
    }
}

impl MathChecker {
    /// Compares letters.
    fn choice(&self, gold: &str, reply: &str) -> Verdict {
        let mut verdict = Self::check(self, gold, reply);
        // A choice is its letter: a box with the letter and its text is one too.
        if verdict.outcome == Outcome::Wrong {
            let found = verdict.extracted.as_deref().and_then(|answer| {
                choice_letter(answer).or_else(|| {
                    extract::leading_choice(answer).and_then(|f| f.answer.chars().next())
                })
            });
            if let (Some(gold), Some(found)) = (choice_letter(gold), found)
                && gold == found
            {
                verdict.outcome = Outcome::Correct;
                verdict.reason = format!("choice {gold}, with its text");
            }
        }
        verdict
    }
}

fn outcome(verdict: &Verdict, finish_reason: FinishReason) -> Pipeline {
    match (verdict.outcome, finish_reason) {
        (_, FinishReason::Refused) => Pipeline::Refused,
        (Outcome::Unparsed, FinishReason::Length) => Pipeline::Truncated,
        // A number that happened to be the last before the cut is no answer, even where it is the right one.
        (_, FinishReason::Length) if verdict.rule.is_some_and(extract::Rule::is_a_guess) => {
            Pipeline::Truncated
        }
        (Outcome::Correct, _) => Pipeline::Correct,
        (Outcome::Wrong, _) => Pipeline::Wrong,
        (Outcome::Unparsed, _) => Pipeline::Unparsed,
    }
}

fn detail(verdict: &Verdict) -> String {
    match &verdict.extracted {
        Some(answer) => format!(
            "gold {}; answer {}; {}",
            short(&verdict.gold),
            short(answer),
            verdict.reason
        ),
        None => format!("gold {}; {}", short(&verdict.gold), verdict.reason),
    }
}

fn short(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{head}... ({} bytes)", text.len())
}
