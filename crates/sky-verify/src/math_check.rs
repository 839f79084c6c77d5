use sky_math::{Grade, Graded, MathChecker, Options, Rule};
use sky_types::{Answer, Check, CheckError, CheckOutcome, FinishReason, Problem, Verdict};

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
}

impl Check for MathCheck {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish_reason: FinishReason,
    ) -> Result<CheckOutcome, CheckError> {
        let graded = match &problem.answer {
            Answer::Math(gold) => self.0.check(gold, reply),
            Answer::Choice(letter) => self.0.check_choice(letter, reply),
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
        (Grade::Unparsed, FinishReason::Length) => Verdict::Truncated,
        // The last number before the cut is no answer, even when it happens to be the right one.
        (_, FinishReason::Length) if graded.rule.is_some_and(Rule::is_a_guess) => {
            Verdict::Truncated
        }
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
