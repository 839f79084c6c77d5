//! Whether an output is the expected one.

use serde_json::Value;

/// Relative and absolute tolerance of numbers with a fraction; integers are compared exactly.
const TOLERANCE: f64 = 1e-6;

/// Compares standard output with what is expected: line by line, blanks at both ends of a line and empty lines at the end of
/// the output not counted, as the graders of APPS, TACO and LiveCodeBench do; numbers with a fraction by value.
pub(super) fn same_output(found: &str, expected: &str) -> bool {
    let lines = |text: &str| {
        let text = text.trim();
        text.lines()
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let (found, expected) = (lines(found), lines(expected));
    found.len() == expected.len()
        && found
            .iter()
            .zip(&expected)
            .all(|(found, expected)| same_line(found, expected))
}

fn same_line(found: &str, expected: &str) -> bool {
    if found == expected {
        return true;
    }
    let mut found = found.split_whitespace();
    let mut expected = expected.split_whitespace();
    loop {
        match (found.next(), expected.next()) {
            (None, None) => return true,
            (Some(found), Some(expected)) if same_word(found, expected) => {}
            _ => return false,
        }
    }
}

fn same_word(found: &str, expected: &str) -> bool {
    if found == expected {
        return true;
    }
    // An integer is an integer: only a fraction may be off by a little.
    let fractional = |word: &str| word.contains(['.', 'e', 'E']);
    let number = |word: &str| {
        let plain = word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        if plain {
            word.parse::<f64>().ok()
        } else {
            None
        }
    };
    match (number(found), number(expected)) {
        (Some(a), Some(b)) if fractional(found) || fractional(expected) => close(a, b),
        _ => false,
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= TOLERANCE * b.abs().max(1.0)
}

/// Compares what a function returned with what is expected, as Python's `==` would after tuples became lists; numbers with a
/// fraction by value. APPS wraps many a single result into a list, so that is looked into as well.
pub(super) fn same_result(found: &Value, expected: &Value) -> bool {
    same_value(found, expected)
        || matches!(expected, Value::Array(items) if items.first().is_some_and(|first| same_value(found, first)))
}

fn same_value(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same_value(a, b)))
        }
        (a, b) if a == b => true,
        (a, b) => match (number(a), number(b)) {
            (Some(x), Some(y)) if a.is_f64() || b.is_f64() => close(x, y),
            // True is 1 in Python.
            (Some(x), Some(y)) => (a.is_boolean() || b.is_boolean()) && x == y,
            _ => false,
        },
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        value => value.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blanks_at_the_ends_do_not_count() {
        assert!(same_output("1 2 \n3\n\n", "1 2\n3"));
        assert!(same_output("  1  2\r\n3", "1 2\n3\n"));
        assert!(!same_output("1 2 3", "1 2\n3"));
        assert!(!same_output("1\n\n2", "1\n2"));
        assert!(!same_output("", "0"));
        assert!(!same_output("yes", "YES"));
    }

    #[test]
    fn fractions_by_value_and_integers_exactly() {
        assert!(same_output("0.3333333", "0.33333333333"));
        assert!(same_output("2.0", "2"));
        assert!(!same_output("1000000007", "1000000008"));
        assert!(!same_output("0.34", "0.33"));
        assert!(!same_output("nan", "0.0"));
        assert!(!same_output("1e400", "2.5"));
        assert!(!same_output("inf", "1.0"));
    }

    #[test]
    fn results_as_python_compares_them() {
        assert!(same_result(&json!([1, [2, 3]]), &json!([1, [2, 3]])));
        assert!(same_result(&json!(5), &json!([5])));
        assert!(same_result(&json!(true), &json!(1)));
        assert!(same_result(&json!(0.1), &json!(0.100_000_000_01)));
        assert!(!same_result(&json!("1"), &json!(1)));
        assert!(!same_result(&json!([1]), &json!([1, 2])));
        assert!(!same_result(&json!(null), &json!(0)));
    }
}
