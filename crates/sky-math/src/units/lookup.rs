//! Which unit a word names.

use std::{collections::HashMap, sync::OnceLock};

use dashu_ratio::RBig;

use super::{
    prefix,
    table::{MAX_NAME, Measure, Row, SCALES, UNITS},
};

/// What a unit measures, by its name, which may have a prefix.
pub(super) fn find(word: &str) -> Option<Measure> {
    if let Some(&(_, dimension, num, den)) = listed(word) {
        let size = RBig::from_parts(num.into(), u64::try_from(den).unwrap_or(1).into());
        return Some(Measure { dimension, size });
    }
    prefix::find(word)
}

/// Whether a word names a unit.
pub(crate) fn is_unit(word: &str) -> bool {
    find(word).is_some()
}

/// A unit of the table.
fn listed(word: &str) -> Option<&'static Row> {
    static NAMES: OnceLock<HashMap<&'static str, &'static Row>> = OnceLock::new();
    if word.len() > MAX_NAME {
        return None;
    }
    let names = NAMES.get_or_init(|| {
        let each = |row: &'static Row| row.0.split(' ').map(move |name| (name, row));
        UNITS.iter().flat_map(each).collect()
    });
    // `Mg` and `Mm` begin with another prefix than `mg` and `mm`; `KG` and `Cm` are careless.
    let mega = word.starts_with('M') && word.len() == 2 && !word.ends_with('i');
    let other_case =
        || (word.len() > 1 && !mega).then(|| names.get(word.to_ascii_lowercase().as_str()))?;
    names.get(word).or_else(other_case).copied()
}

/// The number that a word multiplies by: `million`, `dozen`.
pub(super) fn scale(word: &str) -> Option<RBig> {
    // `K` is a kelvin.
    let word = if word.len() > 1 {
        word.to_ascii_lowercase()
    } else {
        word.to_owned()
    };
    SCALES
        .iter()
        .find(|(name, ..)| *name == word)
        .map(|&(_, num, den)| RBig::from_parts(num.into(), u64::try_from(den).unwrap_or(1).into()))
}

/// Whether a run of letters after a number, without any markup, is a unit and not a product of
/// names: two letters at least.
pub(crate) fn is_plain_unit(word: &str) -> bool {
    word.len() >= 2
        && (listed(word).is_some()
            || prefix::is_plain(word)
            || matches!(word, "unit" | "units" | "am" | "pm" | "AM" | "PM"))
}

/// Whether a text is made of known units: `m/s`, `kg\cdot m\,s^{-2}`.
pub(crate) fn is_unit_text(text: &str) -> bool {
    let mut runs = 0;
    let plain = text.replace("\\cdot", " ");
    let known = plain
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|run| !run.is_empty())
        .all(|run| {
            runs += 1;
            find(run).is_some()
        });
    let marks = plain
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || " ~\\,^{}-/.*".contains(c));
    known && marks && runs > 0
}
