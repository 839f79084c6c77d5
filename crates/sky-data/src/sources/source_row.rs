use std::{collections::BTreeMap, ops::Deref};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use sky_types::Json;

/// One row of a source as it is written. Numbers keep every digit: tests hold integers of any size,
/// and a [`Value`] would make doubles of what is beyond 64 bits.
///
/// ```
/// use sky_data::sources::{Format, SourceRow, from_row};
///
/// let row: SourceRow = serde_json::from_str(
///     r#"{"problem": "What is 3^60?", "answer": 42391158275216203514294433201}"#,
/// )?;
/// let problem = from_row(Format::Math, &row, 0)?.into_problem().ok_or("left out")?;
/// let digits = "42391158275216203514294433201";
/// assert_eq!(problem.answer, sky_types::Answer::Math(digits.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRow(Json);

impl SourceRow {
    /// The row's JSON text, without blanks between values.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// The row's fields, for readers.
    ///
    /// # Errors
    /// When the row is not an object.
    pub(super) fn fields(&self) -> serde_json::Result<Fields<'_>> {
        Ok(Fields {
            values: serde_json::from_str(self.text())?,
            row: self,
        })
    }
}

impl<'de> Deserialize<'de> for SourceRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(Self)
    }
}

impl From<Map<String, Value>> for SourceRow {
    fn from(row: Map<String, Value>) -> Self {
        Self(Json::from(Value::Object(row)))
    }
}

/// A row's fields as values, and each as it is written where digits count.
pub(super) struct Fields<'a> {
    values: Map<String, Value>,
    row: &'a SourceRow,
}

impl Fields<'_> {
    /// A field as it is written.
    pub(super) fn exact(&self, key: &str) -> Option<Json> {
        if !self.values.contains_key(key) {
            return None;
        }
        // The text has been read as an object once, so that reading it again cannot fail.
        let mut fields: BTreeMap<String, Json> = serde_json::from_str(self.row.text()).ok()?;
        fields.remove(key)
    }

    /// The first of these fields that is a text or a number, as text with every digit.
    pub(super) fn name(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| match self.values.get(*key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) => Some(self.exact(key)?.text().to_owned()),
            _ => None,
        })
    }
}

impl Deref for Fields<'_> {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}
