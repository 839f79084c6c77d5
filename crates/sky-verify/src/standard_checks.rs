use std::fmt;
#[cfg(feature = "sandbox")]
use std::path::Path;

#[cfg(feature = "sandbox")]
use sky_files::FileError;
#[cfg(feature = "sandbox")]
use sky_sandbox::{GuestPaths, Sandbox};
use sky_types::{Check, CheckError, CheckOutcome, Domain, FinishReason, Problem};

#[cfg(feature = "sandbox")]
use crate::{CodeCheck, VerifyError};
use crate::{MathCheck, VerifyConfig, by_domain::no_check};

/// The checks of every domain, as a recipe's `[verify]` configures them.
///
/// Math, puzzle and choice problems are compared in this process. Code problems need the sandbox of
/// `StandardChecks::open` (feature `sandbox`); without it they are [`CheckError::Unsupported`].
///
/// ```
/// use sky_types::{Answer, Check, Domain, FinishReason, Problem};
/// use sky_verify::{StandardChecks, VerifyConfig};
///
/// let checks = StandardChecks::new(&VerifyConfig::default());
/// let pick = Problem::new("pick", "demo", Domain::Choice, "A or B?", Answer::Choice("B".into()));
/// let checked = checks.check(&pick, "The answer is (B).", FinishReason::Stop)?;
/// assert!(checked.verdict.is_correct());
/// # Ok::<(), sky_types::CheckError>(())
/// ```
pub struct StandardChecks {
    math: MathCheck,
    #[cfg(feature = "sandbox")]
    code: Option<CodeCheck>,
}

impl StandardChecks {
    /// Checks for every domain but code.
    pub fn new(config: &VerifyConfig) -> Self {
        Self {
            math: MathCheck::new(config.math.clone()),
            #[cfg(feature = "sandbox")]
            code: None,
        }
    }

    /// Checks for every domain; the sandbox is opened only when `has_code`.
    ///
    /// # Errors
    /// As [`open_sandbox`].
    #[cfg(feature = "sandbox")]
    pub fn open(
        config: &VerifyConfig,
        has_code: bool,
        paths: &GuestPaths,
        check_guest: impl FnOnce(&Path) -> Result<(), FileError>,
    ) -> Result<Self, VerifyError> {
        let mut checks = Self::new(config);
        if has_code {
            let sandbox = open_sandbox(paths, check_guest)?;
            checks.code = Some(CodeCheck::new(sandbox, config.code.clone()));
        }
        Ok(checks)
    }

    #[cfg(feature = "sandbox")]
    fn code(&self) -> Option<&dyn Check> {
        self.code.as_ref().map(|code| code as &dyn Check)
    }

    #[cfg(not(feature = "sandbox"))]
    fn code(&self) -> Option<&dyn Check> {
        None
    }
}

impl Check for StandardChecks {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish_reason: FinishReason,
    ) -> Result<CheckOutcome, CheckError> {
        let check: &dyn Check = match problem.domain {
            Domain::Math | Domain::Puzzle | Domain::Choice => &self.math,
            Domain::Code => self.code().ok_or_else(|| no_check(problem))?,
        };
        check.check(problem, reply, finish_reason)
    }

    fn estimated_cost(&self, reply: &str) -> usize {
        let math = self.math.estimated_cost(reply);
        self.code()
            .map_or(math, |code| code.estimated_cost(reply).max(math))
    }
}

impl fmt::Debug for StandardChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandardChecks")
            .field("math", &self.math)
            .field("code", &self.code().is_some())
            .finish()
    }
}

/// Opens the sandbox of the Python guest under `paths`.
///
/// `check_guest` is called with the guest's folder before the guest is baked, so that a damaged
/// download is found first. It is not called when these very files were baked before.
///
/// # Errors
/// When the guest is missing, `check_guest` refuses it, or the cache folder cannot be used.
#[cfg(feature = "sandbox")]
pub fn open_sandbox(
    paths: &GuestPaths,
    check_guest: impl FnOnce(&Path) -> Result<(), FileError>,
) -> Result<Sandbox, VerifyError> {
    let found = Sandbox::find(paths)?;
    if !found.is_baked() {
        check_guest(&paths.guest)?;
    }
    Ok(found.open()?)
}
