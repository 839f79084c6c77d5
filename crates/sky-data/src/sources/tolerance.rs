//! The error that a statement allows in numbers: "Your answer is considered correct if its absolute
//! or relative error does not exceed 10^{-6}".

/// The largest allowed error that a statement names; nothing when it names none.
pub(super) fn stated_tolerance(statement: &str) -> Option<f64> {
    let mut found: Option<f64> = None;
    for (at, _) in statement.match_indices("error") {
        let before = &statement[statement.floor_char_boundary(at.saturating_sub(60))..at];
        if !["absolute", "relative"]
            .iter()
            .any(|word| before.contains(word))
        {
            continue;
        }
        let end = statement.ceil_char_boundary((at + 80).min(statement.len()));
        let after = &statement[at..end];
        // Up to the sentence's end: a later number is another matter.
        let sentence = after.split(". ").next().unwrap_or(after);
        if let Some(value) = number(sentence) {
            found = Some(found.map_or(value, |most| most.max(value)));
        }
    }
    // Anything else is no tolerance but a number that stands nearby.
    found.filter(|value| (1e-15..0.1).contains(value))
}

/// The first number of a sentence that is below one: `10^{-6}`, `10^-6`, `10−6`, `1e-6`, `0.000001`.
fn number(sentence: &str) -> Option<f64> {
    let text: String = sentence
        .chars()
        .filter(|c| !matches!(c, '{' | '}' | '$' | '\\' | '^' | ' ' | '*'))
        .map(|c| if matches!(c, '−' | '–') { '-' } else { c })
        .collect();
    let exponent = |start: &str| {
        let (_, rest) = text.split_once(start)?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..digits].parse::<i32>().ok()
    };
    if let Some(exponent) = exponent("10-")
        .or_else(|| exponent("1e-"))
        .or_else(|| exponent("1E-"))
    {
        return Some(10_f64.powi(-exponent));
    }
    let (_, rest) = text.split_once("0.")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    format!("0.{}", &rest[..digits]).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_the_error_that_they_allow() {
        for (statement, tolerance) in [
            (
                "judged as correct if the absolute or relative error from the true value is at most 10^{-6}.",
                1e-6,
            ),
            (
                "if its absolute or relative error does not exceed $$$10^{-4}$$$.",
                1e-4,
            ),
            ("absolute or relative error doesn't exceed 10 - 9.", 1e-9),
            ("an absolute error of at most 0.001 is fine", 1e-3),
            ("with a relative error of 1e-7 or less", 1e-7),
            (
                "relative error at most $10^{-6}$. The absolute error is at most $10^{-3}$.",
                1e-3,
            ),
            ("absolute or relative error is less than 10−9.", 1e-9),
        ] {
            let found = stated_tolerance(statement);
            assert!(
                found.is_some_and(|found| (found / tolerance - 1.0).abs() < 1e-9),
                "{statement}: {found:?}"
            );
        }
        for statement in [
            "Print the sum.",
            "print an error when 10^-6 is reached",
            "the absolute error. Then 10^{-6} lines follow",
            "the relative error of 5",
            "ü absolute error é",
        ] {
            assert_eq!(stated_tolerance(statement), None, "{statement}");
        }
    }
}
