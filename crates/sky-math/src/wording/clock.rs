//! Times of day and dates: `20:34:00`, `8:34 P.M.`, `2020-01-02`.

use super::flat::flat;

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    /// Since midnight.
    pub(crate) seconds: u32,
    /// Written so that it can be nothing else: `20:34` is a ratio too.
    pub(crate) certain: bool,
}

/// Reads `20:34`, `20:34:00`, `08:34 P.M.`, `3 pm`.
pub(crate) fn time(text: &str) -> Option<Time> {
    if text.len() > 40 {
        return None;
    }
    let flat = flat(text).to_ascii_lowercase();
    let flat = flat.trim().trim_end_matches('.').replace('.', "");
    let half = ["am", "pm"].into_iter().find(|half| flat.ends_with(half));
    let clock = half
        .and_then(|half| flat.strip_suffix(half))
        .unwrap_or(&flat);
    let parts: Vec<&str> = clock.trim_end().split(':').collect();
    let read = |i: usize, below: u32| -> Option<u32> {
        let Some(part) = parts.get(i) else {
            return Some(0);
        };
        // Minutes and seconds have two digits.
        let digits = part.len() == 2 || i == 0 && part.len() == 1;
        let number = digits && part.bytes().all(|b| b.is_ascii_digit());
        number.then(|| part.parse().ok())?.filter(|n| *n < below)
    };
    if parts.len() > 3 || parts.len() < 2 && half.is_none() {
        return None;
    }
    let (hours, minutes, seconds) = (read(0, 24)?, read(1, 60)?, read(2, 60)?);
    let hours = match half {
        Some(_) if !(1..=12).contains(&hours) => return None,
        Some(half) => hours % 12 + if half == "pm" { 12 } else { 0 },
        None => hours,
    };
    Some(Time {
        seconds: (hours * 60 + minutes) * 60 + seconds,
        certain: half.is_some() || parts.len() == 3,
    })
}

/// `2020-01-02`, `1/2/2020`: a date, not a difference or a quotient.
pub(super) fn date(flat: &str) -> Option<String> {
    let mark = ['-', '/'].into_iter().find(|mark| flat.contains(*mark))?;
    let parts: Vec<usize> = flat
        .split(mark)
        .map(|part| {
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then_some(part.len())
        })
        .collect::<Option<_>>()?;
    matches!(parts.as_slice(), [4, 2, 2] | [1 | 2, 1 | 2, 4])
        .then(|| format!(r"\text{{on {flat}}}"))
}

/// `3 pm`, `3:30 p.m.`: minutes of half a day.
pub(super) fn time_of_day(lower: &str) -> Option<String> {
    let lower = lower.replace('.', "");
    let half = ["am", "pm"]
        .into_iter()
        .find(|half| lower.ends_with(half))?;
    let clock = lower.strip_suffix(half)?.trim_end();
    let (hours, minutes) = clock.split_once(':').unwrap_or((clock, "0"));
    let read = |t: &str, below: u32| t.trim().parse::<u32>().ok().filter(|n| *n < below);
    let (hours, minutes) = (read(hours, 13)?, read(minutes, 60)?);
    Some(format!(r"{}\text{{ {half}}}", hours % 12 * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        for (text, seconds, certain) in [
            ("20:34", 74_040, false),
            ("20:34:00", 74_040, true),
            ("08:34 P.M.", 74_040, true),
            ("12:05 am", 300, true),
            (r"3 \text{ pm}", 54_000, true),
        ] {
            assert_eq!(time(text), Some(Time { seconds, certain }), "{text}");
        }
        for text in ["3:7", "25:00", "13:00 pm", "3", "1:2:3", "am"] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
