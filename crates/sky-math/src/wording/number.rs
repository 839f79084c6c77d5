//! Numbers in words: `twelve`, `one hundred and five`, `two and a half`.

use dashu_ratio::RBig;

use crate::latex_names;

/// Longer texts are not answers in words.
pub(super) const MAX_TEXT: usize = 160;

/// A number in words: `twelve`, `forty-two`, `one hundred and five`, `two thirds`, `one and a
/// half`.
pub(crate) fn number(text: &str) -> Option<RBig> {
    if text.len() > MAX_TEXT || !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let lower = text.to_ascii_lowercase().replace('-', " ");
    let words: Vec<&str> = lower.split_whitespace().collect();
    let (&last, before) = words.split_last()?;
    let Some(parts) = fraction_word(last) else {
        return integer(&words).map(RBig::from);
    };
    // `one and a half`, `two thirds`.
    let (ones, above) = match before.iter().position(|w| *w == "and") {
        Some(at)
            if matches!(before[at + 1..], ["a" | "an" | "one"])
                || integer(&before[at + 1..]).is_some_and(|n| n < parts) =>
        {
            (integer(&before[..at])?, &before[at + 1..])
        }
        _ => (0, before),
    };
    let above = match above {
        [] if last == "half" => 1,
        ["a" | "an"] => 1,
        words => integer(words)?,
    };
    Some(RBig::from(ones) + RBig::from(above) / RBig::from(parts))
}

/// Whether a text begins as a value does, perhaps a negative one.
pub(super) fn is_value(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || "\\-(.$|".contains(c))
        || number(text.split_whitespace().next().unwrap_or("")).is_some()
}

fn fraction_word(word: &str) -> Option<i64> {
    const PARTS: [&str; 9] = [
        "half", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    ];
    let single = match word {
        "halves" => "half",
        "quarter" | "quarters" => "fourth",
        word => word.strip_suffix('s').unwrap_or(word),
    };
    let at = PARTS.iter().position(|part| *part == single)?;
    i64::try_from(at + 2).ok()
}

/// An integer in words, below a thousand million million.
fn integer(words: &[&str]) -> Option<i64> {
    let (mut total, mut part, mut seen) = (0_i64, 0_i64, false);
    for (i, word) in words.iter().enumerate() {
        match *word {
            "and" if seen && i + 1 < words.len() => continue,
            "a" if i == 0 && words.len() > 1 => part = 1,
            "hundred" if (1..100).contains(&part) || part == 0 && !seen => part = part.max(1) * 100,
            "dozen" if total == 0 && i + 1 == words.len() => part = part.max(1) * 12,
            "thousand" | "million" | "billion" if part > 0 => {
                let scale = match *word {
                    "thousand" => 1000,
                    "million" => 1_000_000,
                    _ => 1_000_000_000,
                };
                if total != 0 && total % (scale * 1000) != 0 {
                    return None;
                }
                total += part * scale;
                part = 0;
            }
            word => {
                let n = latex_names::number_word(word).filter(|n| *n < 100)?;
                // `forty two`, `hundred five`; not `five two`.
                let fits = part % 100 == 0 || part % 10 == 0 && part % 100 >= 20 && n < 10 && n > 0;
                if seen && !fits {
                    return None;
                }
                part += n;
            }
        }
        seen = true;
    }
    seen.then_some(total + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        for (text, above, below) in [
            ("twelve", 12, 1),
            ("forty-two", 42, 1),
            ("One hundred and five", 105, 1),
            ("two thousand three hundred forty one", 2341, 1),
            ("a hundred", 100, 1),
            ("one half", 1, 2),
            ("three-fourths", 3, 4),
            ("two and a half", 5, 2),
            ("three and two thirds", 11, 3),
            ("half", 1, 2),
            ("zero", 0, 1),
            ("five million", 5_000_000, 1),
        ] {
            let value = RBig::from(above) / RBig::from(below);
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in [
            "five two",
            "Evelyn",
            "a",
            "and five",
            "twenty eleven",
            "thousand million",
            "third base",
            "one and",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
