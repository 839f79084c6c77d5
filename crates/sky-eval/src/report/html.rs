use std::fmt;

use serde::Serialize;

/// Escapes text for an HTML element or a double-quoted attribute.
pub(super) struct Esc<'a>(pub(super) &'a str);

impl fmt::Display for Esc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let mut chars = piece.chars();
            let replacement = match chars.next_back() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                Some('\'') => "&#39;",
                _ => {
                    f.write_str(piece)?;
                    continue;
                }
            };
            f.write_str(chars.as_str())?;
            f.write_str(replacement)?;
        }
        Ok(())
    }
}

/// JSON for a `<script>` element. It has no `<`, so nothing in it ends the element or opens a
/// comment.
pub(super) fn script_json<T: Serialize>(value: &T) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    // These characters occur only inside JSON strings, where the escape means the same.
    Ok(json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029"))
}

/// `73.4 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}\u{202f}%", share * 100.0)
}

/// `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 problem`, `12 problems`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A number with about three significant digits, for axes: `0.25`, `1.8`, `5e-5`.
pub(super) fn axis(number: f64) -> String {
    if number == 0.0 {
        return "0".into();
    }
    let size = number.abs();
    if !(1e-3..1e6).contains(&size) {
        return format!("{number:.1e}").replace(".0e", "e");
    }
    let decimals = (2.0 - size.log10().floor()).clamp(0.0, 5.0) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Dollars: `$456.00`, `$1,234.50`, and two significant digits below ten cents, `$0.0021`, so that
/// what costs little does not look free.
pub(super) fn dollars(amount: f64) -> String {
    let amount = if amount.is_finite() {
        amount.max(0.0)
    } else {
        0.0
    };
    if amount == 0.0 {
        return "$0".into();
    }
    if amount >= 0.1 {
        let cents = (amount * 100.0).round() as u64;
        return format!("${}.{:02}", count(cents / 100), cents % 100);
    }
    let decimals = (1.0 - amount.log10().floor()).clamp(2.0, 9.0) as usize;
    let text = format!("{amount:.decimals$}");
    let short = text.trim_end_matches('0');
    if short.ends_with('.') {
        return "under $0.000000001".into();
    }
    format!("${short}")
}

/// A share as a CSS percentage, clamped to 0..=1.
pub(super) fn css(share: f64) -> String {
    let share = if share.is_finite() { share } else { 0.0 };
    format!("{:.2}%", share.clamp(0.0, 1.0) * 100.0)
}

/// The note in place of a stage that has not run.
pub(super) fn missing(what: &str, stage: &str) -> String {
    format!(
        "<p class=\"missing\">{} <span>The stage <code>{}</code> has not run.</span></p>",
        Esc(what),
        Esc(stage)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_inert() {
        let hostile = "a</script><script>alert('1')</script> & \"b\" <!-- \u{2028}";
        let shown = Esc(hostile).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'']), "{shown}");
        assert!(shown.starts_with("a&lt;/script&gt;") && shown.contains(" &amp; &quot;b&quot; "));
        let json = script_json(&hostile).unwrap();
        assert!(!json.contains(['<', '>', '&', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
        assert_eq!(Esc("plain").to_string(), "plain");
        assert_eq!(Esc("").to_string(), "");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "problem"), "1 problem");
        for (number, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (5e-5, "5e-5"),
            (1.8, "1.8"),
            (100.0, "100"),
            (1234.0, "1234"),
            (2.5e-6, "2.5e-6"),
        ] {
            assert_eq!(axis(number), text);
        }
        for (amount, text) in [
            (0.0, "$0"),
            (0.000_21, "$0.00021"),
            (0.004, "$0.004"),
            (0.037, "$0.037"),
            (0.5, "$0.50"),
            (456.0, "$456.00"),
            (1234.5, "$1,234.50"),
            (f64::NAN, "$0"),
        ] {
            assert_eq!(dollars(amount), text);
        }
        assert_eq!(css(f64::NAN), "0.00%");
        assert_eq!(css(1.5), "100.00%");
    }
}
