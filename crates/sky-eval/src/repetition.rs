/// How much of a text's end is looked at, in bytes.
const WINDOW: usize = 4000;
/// The least length of an end that is a loop, in bytes.
const LEAST: usize = 300;
/// The least number of times that its unit is there.
const TIMES: usize = 4;

/// Whether a reply ends in a loop: the last 300 bytes or more are one unit, at least four times.
///
/// Greedy decoding of a small model often ends so, and so does a reply that a token limit cut off.
/// A last unit may be cut short.
pub fn ends_in_loop(text: &str) -> bool {
    let bytes = text.trim_end().as_bytes();
    let bytes = &bytes[bytes.len().saturating_sub(WINDOW)..];
    (1..=bytes.len() / TIMES).any(|unit| {
        let alike = bytes
            .iter()
            .rev()
            .zip(bytes[..bytes.len() - unit].iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        alike + unit >= LEAST.max(TIMES * unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_found_and_lists_are_not() {
        let looped = format!("First, look. {}", "Wait, let me check again. ".repeat(20));
        assert!(ends_in_loop(&looped));
        assert!(
            ends_in_loop(&looped[..looped.len() - 7]),
            "a unit cut short"
        );
        assert!(ends_in_loop(&"a".repeat(400)));
        assert!(ends_in_loop(&"né ".repeat(200)));
        assert!(!ends_in_loop(&"Wait, let me check again. ".repeat(3)));
        let list: String = (0..300)
            .map(|n| format!("{n} + {n} = {}\n", 2 * n))
            .collect();
        assert!(!ends_in_loop(&list));
        assert!(!ends_in_loop(""));
        let ended = format!("{}So the answer is 5.", "Wait. ".repeat(100));
        assert!(!ends_in_loop(&ended));
    }
}
