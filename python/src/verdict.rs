use pyo3::prelude::*;
use sky_math::{Grade, Graded};
use sky_types::CheckOutcome;

use crate::text::shown;

/// What a checker says of one reply, and why. True when the reply is right.
#[pyclass(frozen, eq, hash, module = "sky_verify", get_all)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Verdict {
    /// Whether the reply is right.
    correct: bool,
    /// `correct`, `wrong`, `unparsed`, and for programs `timed_out`, `runtime_error` and the like.
    verdict: String,
    /// Why, for a person: the values compared, the failing test, the exception.
    reason: String,
    /// The answer or the program that was found in the reply.
    extracted: Option<String>,
    /// The rule that found the answer: `boxed`, `phrase`, `last_number` and the like.
    rule: Option<String>,
}

impl Verdict {
    /// The verdict on an answer.
    pub(crate) fn of_answer(graded: Graded) -> Self {
        let verdict = match graded.grade {
            Grade::Correct => "correct",
            Grade::Wrong => "wrong",
            Grade::Unparsed => "unparsed",
        };
        let rule = graded.rule.map(serde_json::to_value);
        Self {
            correct: graded.is_correct(),
            verdict: verdict.to_owned(),
            reason: graded.reason,
            extracted: graded.extracted,
            rule: rule.and_then(|rule| Some(rule.ok()?.as_str()?.to_owned())),
        }
    }

    /// The verdict on a program.
    pub(crate) fn of_program(outcome: CheckOutcome, extracted: Option<String>) -> Self {
        Self {
            correct: outcome.verdict.is_correct(),
            verdict: outcome.verdict.as_str().to_owned(),
            reason: outcome.detail,
            extracted,
            rule: None,
        }
    }
}

#[pymethods]
impl Verdict {
    /// For `pickle`; checkers make verdicts.
    #[new]
    #[pyo3(signature = (correct, verdict, reason, extracted=None, rule=None))]
    fn new(
        correct: bool,
        verdict: String,
        reason: String,
        extracted: Option<String>,
        rule: Option<String>,
    ) -> Self {
        Self {
            correct,
            verdict,
            reason,
            extracted,
            rule,
        }
    }

    fn __bool__(&self) -> bool {
        self.correct
    }

    fn __repr__(&self) -> String {
        let extracted = self
            .extracted
            .as_deref()
            .map_or_else(|| "None".to_owned(), shown);
        format!(
            "Verdict({}, extracted={extracted}, reason={})",
            self.verdict,
            shown(&self.reason)
        )
    }

    fn __getnewargs__(&self) -> (bool, &str, &str, Option<&str>, Option<&str>) {
        (
            self.correct,
            &self.verdict,
            &self.reason,
            self.extracted.as_deref(),
            self.rule.as_deref(),
        )
    }
}
