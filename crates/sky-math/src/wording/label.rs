//! The letter of a choice in front of its text: `c. 3`, `(B) 18`, `C Cecile`.

use super::flat::flat;
use crate::negation;

/// A choice with its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Labelled<'a> {
    /// In upper case.
    pub(crate) letter: char,
    /// The text that the letter stands for.
    pub(crate) text: &'a str,
}

/// The letter of a choice and its text.
pub(crate) fn labelled(text: &str) -> Option<Labelled<'_>> {
    let text = text.trim().trim_matches('$').trim();
    let bare = ["\\textbf{", "\\text{", "\\mathrm{", "\\mathbf{", "**"]
        .iter()
        .find_map(|open| text.strip_prefix(open))
        .unwrap_or(text);
    let open = bare.starts_with('(');
    let bare = bare.trim_start_matches('(');
    let letter = bare.chars().next().filter(char::is_ascii_alphabetic)?;
    if !letter.eq_ignore_ascii_case(&letter.to_ascii_uppercase())
        || !('A'..='H').contains(&letter.to_ascii_uppercase())
    {
        return None;
    }
    let behind = &bare[1..];
    let mark = if open {
        behind.strip_prefix(')')
    } else {
        behind.strip_prefix([')', '.', ':'])
    };
    let rest = match mark {
        Some(rest) => {
            let rest = rest.trim_start_matches([':', '.', '}', '*']);
            // `(a)b` is a product, `a:b` a ratio.
            let gap = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '~');
            (gap.len() < rest.len() || rest.starts_with("\\ ") || rest.starts_with("\\quad")).then(
                || {
                    gap.trim_start_matches("\\ ")
                        .trim_start_matches("\\quad")
                        .trim()
                },
            )?
        }
        // "C Cecile"; "A rhombus" begins with an article.
        None if !open && letter.is_ascii_uppercase() => {
            let rest = behind.strip_prefix([' ', '\n'])?.trim_start();
            let mut letters = rest.chars();
            let name = letters.next().is_some_and(char::is_uppercase)
                && letters.next().is_some_and(char::is_lowercase);
            name.then_some(rest)?
        }
        None => return None,
    };
    (!rest.is_empty() && !another(rest) && !negation::after(rest)).then_some(Labelled {
        letter: letter.to_ascii_uppercase(),
        text: rest,
    })
}

/// Whether a text names another choice: `3, (B) 4`.
fn another(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(1)).any(|i| {
        bytes[i].is_ascii_uppercase()
            && matches!(bytes[i + 1], b')' | b'.' | b':')
            && i.checked_sub(1)
                .is_none_or(|j| matches!(bytes[j], b' ' | b'(' | b',' | b'\n'))
    })
}

/// The letter of a choice in either case, alone or in brackets: `b`, `(B)`, `b)`.
pub(crate) fn lone_letter(text: &str) -> Option<char> {
    let bare = flat(text);
    let bare = bare.trim_matches(['(', ')', '[', ']', '.', '*', '$', ' ', '{', '}']);
    let mut chars = bare.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if ('A'..='H').contains(&c.to_ascii_uppercase()) => Some(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for (text, letter, rest) in [
            ("c. 3", 'C', "3"),
            ("(B) 18", 'B', "18"),
            ("d) x + 1", 'D', "x + 1"),
            ("b: 2", 'B', "2"),
            ("C Cecile", 'C', "Cecile"),
            (r"\textbf{(E)}\ 30", 'E', "30"),
        ] {
            let found = Labelled { letter, text: rest };
            assert_eq!(labelled(text), Some(found), "{text}");
        }
        for text in ["A rhombus", "(a)b", "a:b", "x. 3", "(A) 3, (B) 4", "A", "5"] {
            assert_eq!(labelled(text), None, "{text}");
        }
    }
}
