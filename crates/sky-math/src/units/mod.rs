//! Units: what a stated unit measures and how large it is, so that `3.5 hours` and `210 minutes`
//! can be compared.

mod lookup;
mod prefix;
mod reading;
mod table;

use std::collections::BTreeMap;

use dashu_ratio::RBig;

use lookup::find;
pub(crate) use lookup::{is_plain_unit, is_unit, is_unit_text};
pub(crate) use reading::read;
use table::Measure;

/// What a unit says, with its size.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unit {
    /// What `million` and `dozen` multiply the number by: part of the value.
    pub(crate) scale: RBig,
    /// `5 squared`: the power that is part of the value.
    pub(crate) power: u32,
    /// The size in base units.
    pub(crate) size: RBig,
    /// Powers of base units; empty for what is counted.
    pub(crate) dimension: BTreeMap<String, i32>,
    /// What is counted, in the singular, words that name no unit.
    pub(crate) nouns: Vec<String>,
    /// What makes it another thing than the bare number: `or less`, `pm`, `north`.
    pub(crate) qualifier: String,
}

impl Unit {
    /// A number without a unit.
    pub(crate) fn none() -> Self {
        Self {
            scale: RBig::ONE,
            power: 1,
            size: RBig::ONE,
            dimension: BTreeMap::new(),
            nouns: Vec::new(),
            qualifier: String::new(),
        }
    }

    /// Whether it has a size.
    pub(crate) fn is_known(&self) -> bool {
        !self.dimension.is_empty()
    }

    /// Whether it says anything at all.
    pub(crate) fn is_named(&self) -> bool {
        self.is_known() || !self.nouns.is_empty() || !self.qualifier.is_empty()
    }

    /// The unit of a product (`sign` 1) or a quotient (-1).
    pub(crate) fn times(mut self, other: &Self, sign: i32) -> Self {
        let raise = |value: &RBig| {
            if sign > 0 {
                value.clone()
            } else {
                RBig::ONE / value.clone()
            }
        };
        self.scale *= raise(&other.scale);
        self.size *= raise(&other.size);
        for (base, power) in &other.dimension {
            self.add(base, power * sign);
        }
        self.nouns.extend(other.nouns.iter().cloned());
        self.nouns.sort_unstable();
        self.qualifier.push_str(&other.qualifier);
        self
    }

    fn add(&mut self, base: &str, power: i32) {
        let sum = self.dimension.remove(base).unwrap_or(0) + power;
        if sum != 0 {
            self.dimension.insert(base.to_owned(), sum);
        }
    }

    /// Multiplies by a known unit to a power; false when the word is none.
    fn take(&mut self, word: &str, power: i32) -> bool {
        let Some(Measure { dimension, size }) = find(word) else {
            return false;
        };
        let size = size.pow(isize::try_from(power.unsigned_abs()).unwrap_or(1));
        self.size *= if power < 0 { RBig::ONE / size } else { size };
        for part in dimension.split(' ') {
            let at = part.find(|c: char| c == '-' || c.is_ascii_digit());
            let (base, times) = part.split_at(at.unwrap_or(part.len()));
            self.add(base, times.parse().unwrap_or(1) * power);
        }
        true
    }

    /// Whether what is counted may be the same: one side names no more than the other.
    pub(crate) fn counts_the_same(&self, other: &Self) -> bool {
        let within = |a: &[String], b: &[String]| a.iter().all(|word| b.contains(word));
        within(&self.nouns, &other.nouns) || within(&other.nouns, &self.nouns)
    }
}

/// Whether a run of letters reads as an English word rather than as a product of names.
pub(super) fn is_wordlike(word: &str) -> bool {
    let vowels = word
        .bytes()
        .filter(|b| b"aeiouy".contains(&b.to_ascii_lowercase()))
        .count();
    word.len() >= 4
        && vowels >= 1
        && vowels < word.len()
        && word.bytes().all(|b| b.is_ascii_alphabetic())
        && word.bytes().skip(1).all(|b| b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        let (a, b) = (read(a), read(b));
        a.dimension == b.dimension && a.size == b.size && a.scale == b.scale && a.nouns == b.nouns
    }

    #[test]
    fn units_are_products_with_dimensions() {
        for (a, b) in [
            ("inches^2", "square inches"),
            ("cm^3", "mL"),
            ("m/s", "m s^{-1}"),
            ("~m\\,s^{-2}", "m/s^2"),
            ("meters per second squared", "m/s^2"),
            ("kg*m^2", "kg\\cdot m^2"),
            ("kg m s^{-2}", "newtons"),
            ("kilometers per hour", "km/h"),
            ("sq. ft", "ft^2"),
            ("million dollars", "million USD"),
            ("light years", "lightyears"),
            ("metric tons", "tonnes"),
            ("m2", "square meters"),
            ("nC", "nanocoulombs"),
            ("mSv", "millisieverts"),
            ("Bq", "Hz"),
            ("J", "N m"),
            ("A s", "coulombs"),
            ("apples", "apple"),
        ] {
            assert!(same(a, b), "{a} {b}: {:?} {:?}", read(a), read(b));
        }
        for (a, b) in [
            ("m", "m^2"),
            ("km/h", "m/s"),
            ("dollars", "euros"),
            ("dollars", "million dollars"),
            ("tons", "kg"),
            ("apples", "oranges"),
            ("m s", "m/s"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        assert_eq!(read("hours").size, RBig::from(3600));
        assert!(is_plain_unit("cm") && !is_plain_unit("m") && !is_plain_unit("xy"));
        // A product of names as well.
        assert!(is_plain_unit("kPa") && !is_plain_unit("kT") && !is_plain_unit("lx"));
    }

    #[test]
    fn words_that_say_more() {
        assert_eq!(read("or less").qualifier, read("at most").qualifier);
        assert_eq!(read("p.m.").qualifier, "pm");
        assert_eq!(read("km north").qualifier, "north");
        assert_eq!(read("squared").power, 2);
        assert_eq!(read("remainder 2").qualifier, "remainder 2");
        assert!(read("apples left in total").qualifier.is_empty());
    }
}
