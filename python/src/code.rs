//! Programs judged by a problem's tests.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sky_data::sources::{Format, Row, from_row};
use sky_types::{Answer, Check, CheckError, Domain, FinishReason, Verdict as Kind};
use sky_types::{CheckOutcome, Problem as SkyProblem};
use sky_verify::{CodeCheck, CodeOptions, extract};

use crate::parallel::check_all;
use crate::sandbox::{Home, PerProcess, bytes_of, checked_seconds, host_error};
use crate::text::{Text, shown, texts};
use crate::verdict::Verdict;

/// A problem with its tests, read from a row once.
#[pyclass(frozen, module = "sky_verify")]
pub(crate) struct Problem {
    problem: SkyProblem,
}

#[pymethods]
impl Problem {
    /// A line of `problems.jsonl`.
    #[new]
    fn new(json: Text) -> PyResult<Self> {
        let problem = serde_json::from_str(&json.0)
            .map_err(|error| PyValueError::new_err(format!("not a problem: {error}")))?;
        Ok(Self { problem })
    }

    /// Its id.
    #[getter]
    fn id(&self) -> &str {
        &self.problem.id
    }

    /// The data set that it is from.
    #[getter]
    fn source(&self) -> &str {
        &self.problem.source
    }

    /// What a model is asked.
    #[getter]
    fn prompt(&self) -> &str {
        &self.problem.prompt
    }

    fn __repr__(&self) -> String {
        format!("Problem({})", shown(&self.problem.id))
    }

    fn __getnewargs__(&self) -> PyResult<(String,)> {
        let json = serde_json::to_string(&self.problem)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok((json,))
    }
}

impl Problem {
    /// The function that its tests call.
    fn entry_point(&self) -> Option<&str> {
        match &self.problem.answer {
            Answer::Tests(tests) => tests.fn_name.as_deref(),
            Answer::Program(program) => program.entry_point.as_deref(),
            Answer::Math(_) | Answer::Choice(_) => None,
        }
    }
}

/// Turns a row of a data set, as JSON, into a problem. `format` is a name such as `apps`.
#[pyfunction]
pub(crate) fn problem(py: Python<'_>, format: &str, row: Text) -> PyResult<Problem> {
    let known = Format::from_name(format).ok_or_else(|| {
        let names: Vec<_> = Format::ALL.iter().map(|(name, _)| *name).collect();
        PyValueError::new_err(format!("no format {format:?}: {}", names.join(", ")))
    })?;
    let problem = py.detach(|| {
        let row = serde_json::from_str(&row.0).map_err(|error| format!("not a row: {error}"))?;
        match from_row(known, &row, 0)? {
            Row::Problem(problem) if problem.domain == Domain::Code => Ok(*problem),
            Row::Problem(_) => Err(format!("a row of {format} has no tests to run")),
            Row::Skipped { reason, .. } => Err(format!("a row of {format}: {reason}")),
        }
    });
    let problem = problem.map_err(PyValueError::new_err)?;
    Ok(Problem { problem })
}

/// Judges programs in replies by running them on a problem's tests.
///
/// `sky_verify.CodeChecker` is this class with rows of data sets in place of problems.
#[pyclass(frozen, module = "sky_verify._native")]
pub(crate) struct ProgramChecker {
    check: PerProcess,
}

#[pymethods]
impl ProgramChecker {
    #[new]
    #[pyo3(signature = (home=None, cache=None, test_seconds=4.0, program_seconds=3.0, memory_mb=256, output_mb=16, all_tests=false))]
    #[allow(clippy::too_many_arguments)] // Keywords, in Python.
    fn new(
        py: Python<'_>,
        home: Option<PathBuf>,
        cache: Option<PathBuf>,
        test_seconds: f64,
        program_seconds: f64,
        memory_mb: u64,
        output_mb: u64,
        all_tests: bool,
    ) -> PyResult<Self> {
        let options = CodeOptions {
            test_seconds: checked_seconds("test_seconds", test_seconds)?,
            program_seconds: checked_seconds("program_seconds", program_seconds)?,
            memory: bytes_of("memory_mb", memory_mb)?,
            output: bytes_of("output_mb", output_mb)?,
            all_tests,
        };
        let check = PerProcess::open(py, Home { home, cache }, options)?;
        Ok(Self { check })
    }

    /// Judges one reply.
    fn check(&self, py: Python<'_>, problem: &Problem, reply: Text) -> PyResult<Verdict> {
        let check = self.check.get(py)?;
        py.detach(|| judge(&check, problem, &reply.0))
    }

    /// Judges many replies, each by the problem at its position.
    #[pyo3(signature = (problems, replies, threads=None))]
    fn check_many(
        &self,
        py: Python<'_>,
        problems: Vec<Py<Problem>>,
        replies: &Bound<'_, PyAny>,
        threads: Option<usize>,
    ) -> PyResult<Vec<Verdict>> {
        let replies = texts("replies", replies)?;
        if problems.len() != replies.len() {
            return Err(PyValueError::new_err(format!(
                "{} problems but {} replies",
                problems.len(),
                replies.len()
            )));
        }
        let check = self.check.get(py)?;
        check_all(py, problems.len(), threads, |index, _| {
            judge(&check, problems[index].get(), &replies[index])
        })
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let home = &self.check.home;
        let options = self.check.options();
        let arguments = (
            home.home.clone(),
            home.cache.clone(),
            options.test_seconds,
            options.program_seconds,
            options.memory >> 20,
            options.output >> 20,
            options.all_tests,
        );
        Ok((
            py.get_type::<Self>().into_any().unbind(),
            arguments.into_pyobject(py)?.into_any().unbind(),
        ))
    }
}

/// A reply's verdict. A problem that cannot be judged gives the verdict `unsupported`.
fn judge(check: &CodeCheck, problem: &Problem, reply: &str) -> PyResult<Verdict> {
    let outcome = match check.check(&problem.problem, reply, FinishReason::Stop) {
        Ok(outcome) => outcome,
        Err(CheckError::Unsupported { reason, .. }) => CheckOutcome {
            verdict: Kind::Unsupported,
            detail: reason,
        },
        Err(error) => return Err(host_error(&error)),
    };
    let found = extract(reply, problem.entry_point());
    Ok(Verdict::of_program(outcome, found.map(|found| found.code)))
}
