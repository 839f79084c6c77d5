use std::{collections::BTreeMap, fmt};

use sky_types::{Check, CheckError, CheckOutcome, Domain, FinishReason, Problem};

/// Sends each problem to the check that the caller chose for its domain.
///
/// [`StandardChecks`](crate::StandardChecks) is the ready-made one. This type serves checks of the
/// caller's own.
///
/// ```
/// use sky_verify::ByDomain;
/// use sky_types::{
///     Answer, Check, CheckError, CheckOutcome, Domain, FinishReason, Problem, Verdict,
/// };
///
/// struct Exact;
/// impl Check for Exact {
///     fn check(
///         &self,
///         problem: &Problem,
///         reply: &str,
///         _: FinishReason,
///     ) -> Result<CheckOutcome, CheckError> {
///         let right = problem.answer == Answer::Math(reply.into());
///         let verdict = if right { Verdict::Correct } else { Verdict::Wrong };
///         Ok(CheckOutcome { verdict, detail: format!("{reply:?}") })
///     }
/// }
///
/// let checks = ByDomain::new().with(Domain::Math, &Exact);
/// let sum = Problem::new("sum", "demo", Domain::Math, "2 + 3?", Answer::Math("5".into()));
/// assert!(checks.check(&sum, "5", FinishReason::Stop)?.verdict.is_correct());
/// let code = Problem::new("code", "demo", Domain::Code, "Sort.", Answer::Math(String::new()));
/// assert!(checks.check(&code, "sorted", FinishReason::Stop).is_err());
/// # Ok::<(), CheckError>(())
/// ```
#[derive(Clone, Default)]
pub struct ByDomain<'a>(BTreeMap<Domain, &'a dyn Check>);

impl<'a> ByDomain<'a> {
    /// No check for any domain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the check for one domain; it replaces an earlier one.
    #[must_use]
    pub fn with(mut self, domain: Domain, check: &'a dyn Check) -> Self {
        self.0.insert(domain, check);
        self
    }
}

impl fmt::Debug for ByDomain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Check for ByDomain<'_> {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish_reason: FinishReason,
    ) -> Result<CheckOutcome, CheckError> {
        match self.0.get(&problem.domain) {
            Some(check) => check.check(problem, reply, finish_reason),
            None => Err(no_check(problem)),
        }
    }

    fn estimated_cost(&self, reply: &str) -> usize {
        let costs = self.0.values().map(|check| check.estimated_cost(reply));
        costs.max().unwrap_or_default()
    }
}

/// The error for a problem whose domain has no check.
pub(crate) fn no_check(problem: &Problem) -> CheckError {
    CheckError::Unsupported {
        id: problem.id.clone(),
        checker: "this program",
        domain: format!("{:?}", problem.domain).to_lowercase(),
        reason: "no checker for this domain was set up".into(),
    }
}
