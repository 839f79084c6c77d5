use sky_math::{Grade, Graded, MathChecker, Options};
use sky_types::{Answer, Check, CheckError, CheckOutcome, FinishReason, Problem, Verdict};

use crate::cut;

/// Checks answers: math and puzzles by value, choices by letter.
///
/// A reply that hits the token limit before its answer is [`Verdict::Truncated`]; a refusal is
/// [`Verdict::Refused`]. Problems whose answer is a program are [`CheckError::Unsupported`].
#[derive(Clone, Debug, Default)]
pub struct MathCheck(MathChecker);

impl MathCheck {
    /// A check that compares by these conventions.
    pub fn new(options: Options) -> Self {
        Self(MathChecker::new(options))
    }

    /// The answer that a reply gives to a math, puzzle or choice problem; none when there is none.
    pub(crate) fn answer(&self, problem: &Problem, reply: &str) -> Option<String> {
        match &problem.answer {
            Answer::Math(gold) => self.0.check(gold, reply).extracted,
            Answer::Choice(letter) => self.0.check_choice(letter, reply).extracted,
            Answer::Tests(_) | Answer::Program(_) => None,
        }
    }

    /// Whether two answers to a problem are the same.
    pub(crate) fn same_answer(&self, problem: &Problem, a: &str, b: &str) -> bool {
        match &problem.answer {
            Answer::Choice(_) => a == b,
            _ => a == b || self.0.equal(a, b),
        }
    }
}

impl Check for MathCheck {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish_reason: FinishReason,
    ) -> Result<CheckOutcome, CheckError> {
        let grade = |reply: &str| match &problem.answer {
            Answer::Math(gold) => Some(self.0.check(gold, reply)),
            Answer::Choice(letter) => Some(self.0.check_choice(letter, reply)),
            Answer::Tests(_) | Answer::Program(_) => None,
        };
        let Some(graded) = grade(reply) else {
            return Err(CheckError::Unsupported {
                id: problem.id.clone(),
                checker: "math",
                domain: format!("{:?}", problem.domain).to_lowercase(),
                reason: "its answer is a program to be run; the code checker does that".to_owned(),
            });
        };
        if finish_reason == FinishReason::Length && !cut::stands(&graded, reply, grade) {
            return Ok(CheckOutcome {
                verdict: Verdict::Truncated,
                detail: format!("cut off at the token limit; {}", detail(&graded)),
            });
        }
        Ok(CheckOutcome {
            verdict: verdict(&graded, finish_reason),
            detail: detail(&graded),
        })
    }
}

fn verdict(graded: &Graded, finish_reason: FinishReason) -> Verdict {
    match (graded.grade, finish_reason) {
        (_, FinishReason::Refused) => Verdict::Refused,
        (_, FinishReason::Failed) => Verdict::NoReply,
        (Grade::Correct, _) => Verdict::Correct,
        (Grade::Wrong, _) => Verdict::Wrong,
        (Grade::Unparsed, _) => Verdict::Unparsed,
    }
}

fn detail(graded: &Graded) -> String {
    match &graded.extracted {
        Some(answer) => format!(
            "gold {}; answer {}; {}",
            short(&graded.gold),
            short(answer),
            graded.reason
        ),
        None => format!("gold {}; {}", short(&graded.gold), graded.reason),
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
