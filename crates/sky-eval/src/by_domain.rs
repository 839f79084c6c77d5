use std::{collections::BTreeMap, fmt};

use sky_types::{Check, CheckError, Checked, Domain, FinishReason, Problem};

/// Sends each problem to the checker of its domain.
///
/// ```
/// use sky_eval::ByDomain;
/// use sky_types::{Answer, Check, CheckError, Checked, Domain, FinishReason, Problem, Verdict};
///
/// struct Exact;
/// impl Check for Exact {
///     fn check(&self, problem: &Problem, reply: &str, _: FinishReason) -> Result<Checked, CheckError> {
///         let right = problem.answer == Answer::Math(reply.into());
///         let verdict = if right { Verdict::Correct } else { Verdict::Wrong };
///         Ok(Checked { verdict, detail: format!("{reply:?}") })
///     }
/// }
///
/// let checker = ByDomain::new().with(Domain::Math, &Exact);
/// let sum = Problem::new("sum", "demo", Domain::Math, "2 + 3?", Answer::Math("5".into()));
/// assert!(checker.check(&sum, "5", FinishReason::Stop)?.verdict.is_correct());
/// let code = Problem::new("code", "demo", Domain::Code, "Sort.", Answer::Math(String::new()));
/// assert!(checker.check(&code, "sorted", FinishReason::Stop).is_err());
/// # Ok::<(), CheckError>(())
/// ```
#[derive(Clone, Default)]
pub struct ByDomain<'a>(BTreeMap<Domain, &'a dyn Check>);

impl<'a> ByDomain<'a> {
    /// Knows no domain yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a checker for one more domain.
    #[must_use]
    pub fn with(mut self, domain: Domain, checker: &'a dyn Check) -> Self {
        self.0.insert(domain, checker);
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
    ) -> Result<Checked, CheckError> {
        match self.0.get(&problem.domain) {
            Some(checker) => checker.check(problem, reply, finish_reason),
            None => Err(CheckError::Unsupported {
                id: problem.id.clone(),
                checker: "this program",
                domain: format!("{:?}", problem.domain).to_lowercase(),
                reason: "no checker for this domain was set up".into(),
            }),
        }
    }

    fn effort(&self, reply: &str) -> usize {
        let efforts = self.0.values().map(|checker| checker.effort(reply));
        efforts.max().unwrap_or_default()
    }
}
