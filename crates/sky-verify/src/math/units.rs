//! Units: what a stated unit measures and how large it is, so that `3.5 hours` and `210 minutes` can be compared.

use dashu_ratio::RBig;

/// What a unit measures, with its size in the first of its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unit {
    /// Kind and power, as in `length^2`; unknown words are a kind each.
    pub(crate) kind: String,
    pub(crate) size: Option<RBig>,
}

/// `(names, kind, numerator, denominator)`; sizes from the SI brochure (9th edition) and the 1959 yard and pound agreement.
const UNITS: &[(&str, &str, i64, i64)] = &[
    ("m meter meters metre metres", "length", 1, 1),
    (
        "km kilometer kilometers kilometre kilometres",
        "length",
        1000,
        1,
    ),
    (
        "cm centimeter centimeters centimetre centimetres",
        "length",
        1,
        100,
    ),
    (
        "mm millimeter millimeters millimetre millimetres",
        "length",
        1,
        1000,
    ),
    ("nm nanometer nanometers", "length", 1, 1_000_000_000),
    ("inch inches in", "length", 254, 10_000),
    ("ft foot feet", "length", 3048, 10_000),
    ("yd yard yards", "length", 9144, 10_000),
    ("mi mile miles", "length", 1_609_344, 1000),
    ("s sec secs second seconds", "time", 1, 1),
    ("ms millisecond milliseconds", "time", 1, 1000),
    ("min mins minute minutes", "time", 60, 1),
    ("h hr hrs hour hours", "time", 3600, 1),
    ("day days", "time", 86_400, 1),
    ("week weeks", "time", 604_800, 1),
    ("month months", "months", 1, 1),
    ("year years yr yrs", "months", 12, 1),
    ("g gram grams", "mass", 1, 1),
    ("kg kilogram kilograms", "mass", 1000, 1),
    ("mg milligram milligrams", "mass", 1, 1000),
    ("lb lbs pound pounds", "mass", 45_359_237, 100_000),
    ("oz ounce ounces", "mass", 45_359_237, 1_600_000),
    ("l L liter liters litre litres", "volume", 1, 1),
    ("ml mL milliliter milliliters", "volume", 1, 1000),
    ("gallon gallons", "gallon", 1, 1),
    ("dollar dollars USD usd", "dollar", 1, 1),
    ("cent cents", "dollar", 1, 100),
    ("euro euros EUR", "euro", 1, 1),
    ("yen", "yen", 1, 1),
    ("yuan", "yuan", 1, 1),
    ("rupee rupees", "rupee", 1, 1),
    ("mph", "mile/hour", 1, 1),
    ("kph", "km/h", 1, 1),
    ("N newton newtons", "force", 1, 1),
    ("J joule joules", "energy", 1, 1),
    ("kJ", "energy", 1000, 1),
    ("W watt watts", "power", 1, 1),
    ("kW", "power", 1000, 1),
    ("Hz hertz", "frequency", 1, 1),
    ("K kelvin kelvins", "temperature", 1, 1),
    ("V volt volts", "voltage", 1, 1),
    ("rad radian radians", "angle", 1, 1),
    ("mol moles mole", "amount", 1, 1),
    ("Pa pascal pascals", "pressure", 1, 1),
    ("erg ergs", "erg", 1, 1),
    ("eV", "eV", 1, 1),
    ("AU au", "AU", 1, 1),
    ("pc parsec parsecs", "parsec", 1, 1),
    ("unit units", "", 1, 1),
];

fn find(word: &str) -> Option<&'static (&'static str, &'static str, i64, i64)> {
    let exact = |w: &str| {
        UNITS
            .iter()
            .find(|(names, ..)| names.split(' ').any(|name| name == w))
    };
    exact(word).or_else(|| exact(&word.to_ascii_lowercase()).filter(|_| word.len() > 2))
}

/// Whether a run of letters after a number, without any markup, is a unit and not a product of names: two letters at least.
pub(super) fn is_plain_unit(word: &str) -> bool {
    word.len() >= 2 && find(word).is_some_and(|(_, kind, ..)| !kind.is_empty() || word.len() > 3)
}

/// Whether a text is made of known units: `m/s`, `kg\cdot m\,s^{-2}`.
pub(super) fn is_unit_text(text: &str) -> bool {
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
        .all(|c| c.is_ascii_alphanumeric() || " ~\\,^{}-/.".contains(c));
    known && marks && runs > 0
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

/// Reads a unit as it was written: `inches^2`, `square feet`, `m^2`, `km/h`, `sq. cm`.
pub(crate) fn read(text: &str) -> Unit {
    let mut power = 1_u32;
    let mut words = Vec::new();
    let mut raised = false;
    let spaced = text
        .replace(['{', '}', '$', '.', ',', '\\', '(', ')'], " ")
        .replace('^', " ^ ")
        .replace('/', " / ");
    for word in spaced.split_whitespace() {
        match word {
            "square" | "sq" | "squared" => power = 2,
            "cubic" | "cubed" | "cu" => power = 3,
            "^" => raised = true,
            "per" => words.push("/".to_owned()),
            "text" | "mathrm" | "mbox" | "of" | "the" | "a" => {}
            _ if raised => {
                raised = false;
                if words.len() == 1 {
                    power = word.parse().unwrap_or(1);
                } else {
                    words.push(word.to_owned());
                }
            }
            _ => words.push(word.to_owned()),
        }
    }
    if let [word] = words.as_slice()
        && let Some(&(_, kind, num, den)) = find(word)
    {
        let power = power.min(9);
        let size = RBig::from_parts(num.into(), u64::try_from(den).unwrap_or(1).into())
            .pow(isize::try_from(power).unwrap_or(1));
        if kind.is_empty() {
            return Unit {
                kind: String::new(),
                size: None,
            };
        }
        // A cubic decimetre is a litre.
        if kind == "length" && power == 3 {
            return Unit {
                kind: "volume".to_owned(),
                size: Some(size * RBig::from(1000)),
            };
        }
        let kind = if power == 1 {
            kind.to_owned()
        } else {
            format!("{kind}^{power}")
        };
        return Unit {
            kind,
            size: Some(size),
        };
    }
    Unit {
        kind: words.join(" ").to_lowercase(),
        size: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_kind_have_sizes() {
        assert_eq!(read("inches^2"), read("square inches"));
        assert_eq!(read("hours").size, Some(RBig::from(3600)));
        assert_eq!(read("cm^3"), read("mL"));
        assert_ne!(read("m").kind, read("m^2").kind);
        assert!(is_plain_unit("cm") && !is_plain_unit("m") && !is_plain_unit("xy"));
    }
}
