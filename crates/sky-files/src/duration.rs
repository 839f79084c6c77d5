/// Seconds for a reader: `0.04 s`, `7.3 s`, `4 min 10 s`, `19 h 02 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 1.0 => format!("{seconds:.2} s"),
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_follows_the_size() {
        assert_eq!(duration(0.044), "0.04 s");
        assert_eq!(duration(59.44), "59.4 s");
        assert_eq!(duration(250.2), "4 min 10 s");
        assert_eq!(duration(68_520.0), "19 h 02 min");
        assert_eq!(duration(f64::NAN), "0.00 s");
    }
}
