use std::time::{Duration, SystemTime};

use sky_types::derive_seed;

/// Longest wait between two tries, even when the server asks for more.
const LONGEST: Duration = Duration::from_secs(120);

/// The wait after try number `attempt`, counted from 0: what the server asked for, else `base`,
/// doubled each time. Seeded jitter takes off up to half of that, so that the workers of a pool do
/// not come back all at once.
pub(super) fn wait(
    base: Duration,
    attempt: u32,
    retry_after: Option<Duration>,
    seed: u64,
) -> Duration {
    if let Some(asked) = retry_after {
        return asked.min(LONGEST);
    }
    let full = base.saturating_mul(1 << attempt.min(16)).min(LONGEST);
    let chance = derive_seed(seed, "backoff", u64::from(attempt)) as f64 / u64::MAX as f64;
    full.mul_f64(1.0 - chance / 2.0)
}

/// `Retry-After`: seconds, or a date as RFC 9110 writes it.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        let sane = (0.0..=1e9).contains(&seconds);
        return sane.then(|| Duration::from_secs_f64(seconds));
    }
    let at = imf_date(header)?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(at.saturating_sub(now)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|m| *m == month)? as i64 + 1;
    let year: i64 = parts.next()?.parse().ok()?;
    let time: Vec<i64> = parts
        .next()?
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [hour, minute, second] = time[..] else {
        return None;
    };
    let sane = (1970..10_000).contains(&year)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !sane {
        return None;
    }
    // Days from the civil calendar, with March as the first month (Hinnant, "chrono-compatible
    // low-level date algorithms").
    let years = if month > 2 { year } else { year - 1 };
    let era = years.div_euclid(400);
    let year_of_era = years.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    u64::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let base = Duration::from_secs(1);
        for attempt in 0..40 {
            let wait = wait(base, attempt, None, 5);
            let full = base.saturating_mul(1 << attempt.min(16)).min(LONGEST);
            assert!(wait <= full && wait >= full / 2);
        }
        assert_eq!(
            wait(base, 0, Some(Duration::from_secs(9)), 5),
            Duration::from_secs(9)
        );
        assert_eq!(wait(base, 0, Some(Duration::from_secs(9_999)), 5), LONGEST);
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after("7", at(0)), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("0.5", at(0)), Some(Duration::from_millis(500)));
        assert_eq!(imf_date(date), Some(784_111_777));
        assert_eq!(
            retry_after(date, at(784_111_770)),
            Some(Duration::from_secs(7))
        );
        assert_eq!(retry_after(date, at(784_111_790)), Some(Duration::ZERO));
        for hostile in [
            "",
            "-1",
            "NaN",
            "inf",
            "1e300",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49",
        ] {
            assert_eq!(retry_after(hostile, at(0)), None, "{hostile}");
        }
    }
}
