//! SI prefixes, and the units that take them.

use dashu_ratio::RBig;

use super::table::{MAX_NAME, Measure};
use crate::exact;

/// Symbol, name and power of ten.
const PREFIXES: [(&str, &str, i64); 20] = [
    ("Y", "yotta", 24),
    ("Z", "zetta", 21),
    ("E", "exa", 18),
    ("P", "peta", 15),
    ("T", "tera", 12),
    ("G", "giga", 9),
    ("M", "mega", 6),
    ("k", "kilo", 3),
    ("h", "hecto", 2),
    ("da", "deca", 1),
    ("d", "deci", -1),
    ("c", "centi", -2),
    ("m", "milli", -3),
    ("u", "micro", -6),
    ("n", "nano", -9),
    ("p", "pico", -12),
    ("f", "femto", -15),
    ("a", "atto", -18),
    ("z", "zepto", -21),
    ("y", "yocto", -24),
];

/// Symbol, names in the singular, dimension, and the power of ten of its size in base units.
const UNITS: [(&str, &str, &str, i64); 30] = [
    ("m", "meter metre", "m", 0),
    ("s", "second", "s", 0),
    ("g", "gram", "kg", -3),
    ("A", "ampere amp", "A", 0),
    ("K", "kelvin", "K", 0),
    ("mol", "mole", "mol", 0),
    ("cd", "candela", "cd", 0),
    ("Hz", "hertz", "s-1", 0),
    ("N", "newton", "kg m s-2", 0),
    ("Pa", "pascal", "kg m-1 s-2", 0),
    ("J", "joule", "kg m2 s-2", 0),
    ("W", "watt", "kg m2 s-3", 0),
    ("C", "coulomb", "A s", 0),
    ("V", "volt", "kg m2 s-3 A-1", 0),
    ("F", "farad", "A2 s4 kg-1 m-2", 0),
    ("Omega", "ohm", "kg m2 s-3 A-2", 0),
    ("S", "siemens", "A2 s3 kg-1 m-2", 0),
    ("Wb", "weber", "kg m2 s-2 A-1", 0),
    ("T", "tesla", "kg s-2 A-1", 0),
    ("H", "henry", "kg m2 s-2 A-2", 0),
    ("lm", "lumen", "cd", 0),
    ("lx", "lux", "cd m-2", 0),
    ("Bq", "becquerel", "s-1", 0),
    ("Gy", "gray", "m2 s-2", 0),
    ("Sv", "sievert", "m2 s-2", 0),
    ("kat", "katal", "mol s-1", 0),
    ("L", "liter litre", "m3", -3),
    ("l", "", "m3", -3),
    ("eV", "electronvolt", "eV", 0),
    ("bar", "", "kg m-1 s-2", 5),
];

/// Dimension and size of a unit with or without a prefix: `GN`, `Sv`, `nanocoulombs`.
pub(super) fn find(word: &str) -> Option<Measure> {
    // Words and a measure of acidity.
    if word.len() > MAX_NAME || matches!(word, "as" | "pH") {
        return None;
    }
    let (_, dimension, power) = split(word)?;
    let ten = exact::ten_to(power.unsigned_abs());
    let size = if power < 0 { RBig::ONE / ten } else { ten };
    Some(Measure { dimension, size })
}

/// Whether a run of letters with a prefix is no product of names: `kPa`, `millitesla`, but not
/// `kT`.
pub(super) fn is_plain(word: &str) -> bool {
    word.len() >= 3
        && split(word).is_some_and(|(base, ..)| {
            let long = base.len() >= 4 && word.len() >= 5;
            long || base != word
                && matches!(
                    base,
                    "Pa" | "Hz" | "Sv" | "Bq" | "Gy" | "eV" | "mol" | "bar"
                )
        })
}

/// The unit without its prefix, its dimension and the power of ten of its size.
fn split(word: &str) -> Option<(&str, &'static str, i64)> {
    let base = |rest: &str| {
        let lower = rest.strip_suffix('s').unwrap_or(rest);
        let row = UNITS.iter().find(|(symbol, names, ..)| {
            *symbol == rest
                || names
                    .split(' ')
                    .any(|name| !name.is_empty() && name == lower)
        });
        row.or_else(|| UNITS.iter().find(|(_, names, ..)| *names == rest))
    };
    let found = |rest| {
        base(rest).map(|(symbol, _, dimension, power)| (*symbol == rest, *dimension, *power))
    };
    if let Some((_, dimension, power)) = found(word) {
        return Some((word, dimension, power));
    }
    PREFIXES.iter().find_map(|(symbol, name, ten)| {
        let short = word.strip_prefix(symbol).and_then(|rest| {
            let (is_symbol, dimension, power) = found(rest)?;
            is_symbol.then_some((rest, dimension, power + ten))
        });
        short.or_else(|| {
            let rest = word.strip_prefix(name)?;
            let (is_symbol, dimension, power) = found(rest)?;
            (!is_symbol).then_some((rest, dimension, power + ten))
        })
    })
}
