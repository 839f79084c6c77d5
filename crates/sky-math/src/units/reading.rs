//! Reads the words behind a number as a unit.

use super::{
    Unit,
    lookup::{find, scale},
    table::{FILLERS, QUALIFIERS, WAYS},
};
use crate::negation;

/// A piece of what stands behind a number.
enum Piece<'a> {
    Word(&'a str),
    Power(i32),
    Per,
    /// A number that is no power: part of a statement.
    Number(&'a str),
}

/// Takes `kg\cdot m\,s^{-2}`, `m/s^2` and `square feet` apart.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let run = |test: fn(char) -> bool| rest.find(|c| !test(c)).unwrap_or(rest.len());
        let len = if c.is_alphabetic() {
            let len = run(char::is_alphabetic);
            out.push(Piece::Word(&rest[..len]));
            len
        } else if c == '\\' {
            let name = rest[1..]
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len() - 1);
            1 + name.max(usize::from(
                rest.len() > 1 && name == 0 && rest.as_bytes()[1].is_ascii(),
            ))
        } else if c == '/' {
            out.push(Piece::Per);
            1
        } else if c == '^' {
            let body = rest[1..].trim_start_matches(['{', '(', ' ']);
            let sign = usize::from(body.starts_with(['-', '+']));
            let digits = body[sign..]
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(body.len() - sign);
            if let Ok(power @ -9..=9) = body[..sign + digits].trim_start_matches('+').parse::<i32>()
            {
                out.push(Piece::Power(power));
            }
            rest.len() - body.len() + sign + digits
        } else if c.is_ascii_digit() {
            let len = run(|c| c.is_ascii_digit() || c == '.');
            // `m2`.
            let glued =
                text[..text.len() - rest.len()].ends_with(|c: char| c.is_ascii_alphabetic());
            match rest[..len].parse() {
                Ok(power @ 2..=3) if glued => out.push(Piece::Power(power)),
                _ => out.push(Piece::Number(&rest[..len])),
            }
            len
        } else {
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    out
}

/// The side that `or less` and `at least` bound a number from.
fn bound(words: &str) -> Option<&'static str> {
    const UPPER: [&str; 11] = [
        "or less",
        "or fewer",
        "or below",
        "or under",
        "or lower",
        "or smaller",
        "at most",
        "no more than",
        "not more than",
        "maximum",
        "or earlier",
    ];
    const LOWER: [&str; 11] = [
        "or more",
        "or greater",
        "or above",
        "or over",
        "or higher",
        "or larger",
        "at least",
        "no less than",
        "not less than",
        "minimum",
        "or later",
    ];
    if UPPER.iter().any(|phrase| words.contains(phrase)) {
        Some("at most")
    } else if LOWER.iter().any(|phrase| words.contains(phrase)) {
        Some("at least")
    } else {
        None
    }
}

/// What the whole text says, for each of its words.
struct Context<'a> {
    lower: &'a str,
    /// `or less` or the like was found in it.
    bounded: bool,
    /// `5 more than x` is not `5 more`.
    compared: bool,
}

/// A unit on the way, word by word.
struct UnitReader<'a> {
    unit: Unit,
    said: Vec<String>,
    /// The sign of the powers to come: negative behind `per`.
    sign: i32,
    /// The power of the next unit: `square` was read.
    next_power: i32,
    /// The unit or noun last taken, with its sign.
    last: Option<(&'a str, i32)>,
}

impl<'a> UnitReader<'a> {
    /// Takes one word; true when it took the next one too.
    fn word(
        &mut self,
        word: &'a str,
        after: Option<i32>,
        next: Option<&Piece<'a>>,
        context: &Context<'_>,
    ) -> bool {
        let mut skip = false;
        let counts = |next| matches!(next, Some(&Piece::Word(w)) if find(w).is_none());
        let plain = word.to_ascii_lowercase();
        let final_word = next.is_none();
        match plain.as_str() {
            "per" => self.sign = -1,
            "square" | "sq" => self.next_power = 2,
            "cubic" | "cu" => self.next_power = 3,
            "squared" | "cubed" => {
                let power = if plain == "squared" { 2 } else { 3 };
                match self.last {
                    Some((word, sign)) => {
                        self.unit.take(word, sign * (power - 1));
                    }
                    None if final_word => self.unit.power = power as u32,
                    None => self.said.push(plain),
                }
            }
            // An inch at the end of a list of units, a preposition elsewhere.
            "in" if !(final_word || after.is_some()) || self.unit.is_known() && self.sign > 0 => {}
            "metric" => {}
            _ if context.bounded
                && (QUALIFIERS.contains(&plain.as_str())
                    || WAYS.contains(&plain.as_str())
                    || matches!(plain.as_str(), "maximum" | "minimum")) => {}
            _ if QUALIFIERS.contains(&plain.as_str())
                || context.compared && WAYS.contains(&plain.as_str()) =>
            {
                self.said.push(plain);
            }
            // An ampere, but in front of what is counted.
            _ if FILLERS.contains(&plain.as_str()) && (word != "A" || counts(next)) => {}
            _ => {
                if let Some(scale) = scale(word) {
                    self.unit.scale *= scale;
                    return false;
                }
                let power =
                    self.sign * after.unwrap_or(1) * std::mem::replace(&mut self.next_power, 1);
                let word = match (plain.as_str(), next) {
                    ("light", Some(Piece::Word(year))) if singular(year) == "year" => {
                        skip = true;
                        "lightyear"
                    }
                    ("tons" | "ton", _) if context.lower.contains("metric") => "tonne",
                    _ => word,
                };
                // `5 dollars` of `$5 dollars` names it once.
                if self.unit.take(word, power) {
                    self.last = Some((word, self.sign));
                } else {
                    let noun = singular(word);
                    let noun = if self.sign < 0 {
                        format!("per {noun}")
                    } else {
                        noun
                    };
                    if !self.unit.nouns.contains(&noun) {
                        self.unit.nouns.push(noun);
                    }
                }
            }
        }
        skip
    }
}

/// Reads what stands behind a number: `inches^2`, `square feet`, `km/h`, `kg m s^{-2}`, `million
/// dollars`, `or less`.
pub(crate) fn read(text: &str) -> Unit {
    let unit = Unit::none();
    // `p.m.` is one word.
    let text = text
        .replace("a.m", "am")
        .replace("p.m", "pm")
        .replace("A.M", "am")
        .replace("P.M", "pm");
    // `µF` and `kΩ`, rewritten as commands.
    let text = match text.contains('\\') {
        true => text
            .replace("\\mu ", "u")
            .replace("\\mu", "u")
            .replace("\\Omega", "Omega"),
        false => text,
    };
    let lower = text.to_lowercase();
    let mut said: Vec<String> = Vec::new();
    if let Some(bound) = bound(&lower) {
        said.push(bound.to_owned());
    }
    let bounded = !said.is_empty();
    if negation::after(&lower) {
        said.push("denied".to_owned());
    }
    let pieces = pieces(&text);
    // `5 more than x` is not `5 more`.
    let compared = lower.split_whitespace().any(|w| matches!(w, "or" | "than"));
    let context = Context {
        lower: &lower,
        bounded,
        compared,
    };
    let mut reader = UnitReader {
        unit,
        said,
        sign: 1,
        next_power: 1,
        last: None,
    };
    let mut skip = false;
    for (i, piece) in pieces.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        let after = match pieces.get(i + 1) {
            Some(Piece::Power(power)) => Some(*power),
            _ => None,
        };
        let word = match piece {
            Piece::Per => {
                reader.sign = -1;
                continue;
            }
            Piece::Power(_) => continue,
            Piece::Number(digits) => {
                reader.said.push((*digits).to_owned());
                continue;
            }
            Piece::Word(word) => *word,
        };
        skip = reader.word(word, after, pieces.get(i + 1), &context);
    }
    let UnitReader { mut unit, said, .. } = reader;
    unit.nouns.sort_unstable();
    unit.qualifier = said.join(" ");
    unit
}

/// The singular, without case.
fn singular(word: &str) -> String {
    let word = word.to_lowercase();
    for (many, one) in [
        ("people", "person"),
        ("men", "man"),
        ("women", "woman"),
        ("children", "child"),
    ] {
        if word == many {
            return one.to_owned();
        }
    }
    for (ending, instead) in [
        ("ies", "y"),
        ("sses", "ss"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("xes", "x"),
    ] {
        if let Some(stem) = word.strip_suffix(ending) {
            return stem.to_owned() + instead;
        }
    }
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_owned(),
        _ => word,
    }
}
