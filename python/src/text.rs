//! Python's strings as Rust's.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A `str`, with each half of a surrogate pair replaced by U+FFFD.
///
/// A model's reply may hold such halves, which UTF-8 cannot express. An exception for them would
/// end a reward loop.
pub(crate) struct Text(pub(crate) String);

impl<'a, 'py> FromPyObject<'a, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let text = object.cast::<PyString>()?;
        Ok(Self(match text.to_cow() {
            Ok(text) => text.into_owned(),
            Err(_) => text.to_string_lossy().into_owned(),
        }))
    }
}

/// The strings of a list, tuple, column or any other iterable.
pub(crate) fn texts(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if object.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!(
            "{name} must be a list of str, not one str"
        )));
    }
    let mut found = Vec::with_capacity(object.len().unwrap_or_default());
    for item in object.try_iter()? {
        let item = item?;
        let text: Text = item.extract().map_err(|_: PyErr| {
            PyTypeError::new_err(format!(
                "{name}[{}] must be a str, not {}",
                found.len(),
                class_name(&item)
            ))
        })?;
        found.push(text.0);
    }
    Ok(found)
}

/// The name of an object's class, for an error.
pub(crate) fn class_name(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map_or_else(|_| "an object".to_owned(), |name| name.to_string())
}

/// A text of the caller's as a `repr` shows it, shortened.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(MOST).collect();
    format!("{:?}", head + "...")
}
