/// Splits a text into words, for comparing texts: in lower case, with whole numbers (`1.5`, `1,000`
/// as `1000`), each operator a word, and without other punctuation. So `What is 3 + 5?` equals
/// `what is 3+5`, and neither equals `What is 3 - 5?`.
pub fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let digit = |at: Option<usize>| {
        at.and_then(|at| chars.get(at))
            .is_some_and(char::is_ascii_digit)
    };
    let mut words = Vec::new();
    let mut word = String::new();
    let flush = |word: &mut String, words: &mut Vec<String>| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    for (at, &c) in chars.iter().enumerate() {
        let inside_number = digit(at.checked_sub(1)) && digit(Some(at + 1));
        match c {
            _ if c.is_alphanumeric() => word.extend(c.to_lowercase()),
            '.' if inside_number => word.push('.'),
            ',' if inside_number => {}
            '\'' | '’' => {}
            '+' | '-' | '−' | '*' | '×' | '÷' | '/' | '=' | '<' | '>' | '^' | '%' | '≤' | '≥'
            | '!' | '|' => {
                flush(&mut word, &mut words);
                // An exclamation mark after a word is punctuation; after a number it is a
                // factorial.
                if c != '!' || digit(at.checked_sub(1)) {
                    words.push(if c == '−' {
                        "-".into()
                    } else {
                        c.to_string()
                    });
                }
            }
            _ => flush(&mut word, &mut words),
        }
    }
    flush(&mut word, &mut words);
    words
}

/// Joins [`words`] by single spaces. Texts that differ only in case, spacing and punctuation give
/// the same result.
pub fn normalise(text: &str) -> String {
    words(text).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_goes_and_mathematics_stays() {
        assert_eq!(normalise("What is  3+5 ?"), normalise("what is 3 + 5"));
        assert_ne!(normalise("What is 3 - 5?"), normalise("What is 3 + 5?"));
        assert_eq!(normalise("1,000 dollars."), "1000 dollars");
        assert_ne!(normalise("1.5"), normalise("15"));
        assert_ne!(normalise("5!"), normalise("5"));
        assert_eq!(normalise("Stop!"), "stop");
        assert_eq!(normalise("Ana's"), normalise("Ana’s"));
        assert_eq!(words("x^{12} − 1"), ["x", "^", "12", "-", "1"]);
        assert!(words(" \n?! ").is_empty());
    }
}
