use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde_json::{Map, Value};
use sky_math::Options;
use sky_types::Section;
use sky_verify::VerifyConfig;

use crate::parallel::check_all;
use crate::text::{Text, texts};
use crate::verdict::Verdict;

/// Compares answers by value, under fixed conventions.
///
/// Safe to share between threads. `preset` is `default`, `math_verify` or `strict`; keywords set
/// single conventions on top of it.
#[pyclass(frozen, module = "sky_verify")]
pub(crate) struct MathChecker {
    checker: sky_math::MathChecker,
}

/// The conventions of a preset, with these changes.
fn options(preset: &str, changes: Map<String, Value>) -> PyResult<Options> {
    let preset = match preset {
        "default" => Options::default(),
        "math_verify" => Options::math_verify(),
        "strict" => Options::strict(),
        other => {
            return Err(PyValueError::new_err(format!(
                "no preset {other:?}: default, math_verify or strict"
            )));
        }
    };
    let invalid = |error: serde_json::Error| PyValueError::new_err(error.to_string());
    let mut fields = serde_json::to_value(preset).map_err(invalid)?;
    if let Value::Object(fields) = &mut fields {
        fields.extend(changes);
    }
    let mut config = VerifyConfig::default();
    config.math = serde_json::from_value(fields).map_err(invalid)?;
    let checked = config.check();
    checked.map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(config.math)
}

/// A dictionary of Python's as JSON, through Python's own `json`.
fn json_of(dict: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    let dumps = dict.py().import("json")?.getattr("dumps")?;
    let text: Text = dumps.call1((dict,))?.extract()?;
    serde_json::from_str(&text.0).map_err(|error| PyTypeError::new_err(error.to_string()))
}

#[pymethods]
impl MathChecker {
    #[new]
    #[pyo3(signature = (preset="default", **options))]
    fn new(preset: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let changes = options.map_or_else(|| Ok(Map::new()), json_of)?;
        let options = self::options(preset, changes)?;
        let checker = sky_math::MathChecker::new(options);
        Ok(Self { checker })
    }

    /// The conventions, each by its name.
    #[getter]
    fn options<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = serde_json::to_string(self.checker.options())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.import("json")?.getattr("loads")?.call1((text,))
    }

    /// Judges a reply against a gold answer, or against a gold solution with a box.
    fn check(&self, py: Python<'_>, gold: Text, reply: Text) -> Verdict {
        Verdict::of_answer(py.detach(|| self.checker.check(&gold.0, &reply.0)))
    }

    /// Judges a reply to a multiple-choice problem against the letter of the right choice.
    fn check_choice(&self, py: Python<'_>, letter: Text, reply: Text) -> Verdict {
        Verdict::of_answer(py.detach(|| self.checker.check_choice(&letter.0, &reply.0)))
    }

    /// Judges many replies, each against the gold answer at its position, on all cores.
    #[pyo3(signature = (golds, replies, threads=None))]
    fn check_many(
        &self,
        py: Python<'_>,
        golds: &Bound<'_, PyAny>,
        replies: &Bound<'_, PyAny>,
        threads: Option<usize>,
    ) -> PyResult<Vec<Verdict>> {
        let (golds, replies) = (texts("golds", golds)?, texts("replies", replies)?);
        if golds.len() != replies.len() {
            return Err(PyValueError::new_err(format!(
                "{} golds but {} replies",
                golds.len(),
                replies.len()
            )));
        }
        check_all(py, golds.len(), threads, |index, _| {
            let graded = self.checker.check(&golds[index], &replies[index]);
            Ok(Verdict::of_answer(graded))
        })
    }

    /// Whether two bare answers mean the same. Symmetric.
    fn equal(&self, py: Python<'_>, a: Text, b: Text) -> bool {
        py.detach(|| self.checker.equal(&a.0, &b.0))
    }

    /// The answer of a whole reply; none when there is none.
    fn extract(&self, py: Python<'_>, reply: Text) -> Option<String> {
        py.detach(|| Some(self.checker.extract(&reply.0)?.answer))
    }

    /// A verdict spelled out for a person, with both parse trees.
    fn explain(&self, py: Python<'_>, gold: Text, reply: Text) -> String {
        py.detach(|| self.checker.explain(&gold.0, &reply.0).to_string())
    }

    fn __repr__(&self) -> String {
        format!("MathChecker({:?})", self.checker.options())
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyAny>)> {
        Ok((PyTuple::empty(py), self.options(py)?))
    }
}
