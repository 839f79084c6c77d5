//! Folds what is only layout, so that one problem written in two ways is found twice and two
//! problems never count as one.

/// LaTeX commands that only space or size what stands around them.
const LAYOUT_COMMANDS: [&str; 30] = [
    "quad",
    "qquad",
    "enspace",
    "enskip",
    "thinspace",
    "medspace",
    "thickspace",
    "negthinspace",
    "negmedspace",
    "negthickspace",
    "displaystyle",
    "textstyle",
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "biggl",
    "biggr",
    "Biggl",
    "Biggr",
    "bigm",
    "Bigm",
    "hfill",
    "noindent",
];

/// Folds case, blanks, LaTeX spacing and sizing commands, typographic quotes and dashes, and the
/// punctuation at the very end. Everything else counts: signs, brackets, digits, the names of LaTeX
/// commands.
///
/// ```
/// use sky_data::fold_layout;
///
/// assert_eq!(fold_layout(r"What is $3 \, + 5$ ?"), fold_layout("what is  $3+5$"));
/// assert_ne!(fold_layout("Evaluate (8-3)*2."), fold_layout("Evaluate 8-(3*2)."));
/// assert_ne!(fold_layout("f(1, 2)"), fold_layout("f(12)"));
/// ```
pub fn fold_layout(text: &str) -> String {
    let mut folded = Folded::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\\' => command(&mut folded, after),
            _ if is_blank(c) => {
                folded.blank = true;
                after
            }
            _ => {
                folded.push(c, after);
                after
            }
        };
    }
    let end = folded
        .text
        .trim_end_matches(['.', '?', ':', ';', ',', '。', '？']);
    // A text that is all punctuation stays what it is.
    let length = if end.is_empty() {
        folded.text.len()
    } else {
        end.len()
    };
    folded.text.truncate(length);
    folded.text
}

/// Blanks, and characters without width: byte order marks, joiners, soft hyphens.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}'
        )
}

/// Reads a LaTeX command after its backslash; returns what follows it.
fn command<'a>(folded: &mut Folded, after: &'a str) -> &'a str {
    let length = after
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(after.len());
    let (name, rest) = after.split_at(length);
    if name.is_empty() {
        return match after.chars().next() {
            Some(c) if matches!(c, ',' | ';' | ':' | '!' | '>') || is_blank(c) => {
                folded.blank = true;
                &after[c.len_utf8()..]
            }
            // `\{`, `\%`, a line break's second backslash: both characters count.
            Some(c) => {
                folded.push('\\', after);
                folded.text.push(c);
                &after[c.len_utf8()..]
            }
            None => {
                folded.push('\\', "");
                ""
            }
        };
    }
    if LAYOUT_COMMANDS.contains(&name) {
        folded.blank = true;
        // The delimiter that is not drawn.
        return match name {
            "left" | "right" => rest.strip_prefix('.').unwrap_or(rest),
            _ => rest,
        };
    }
    if matches!(name, "hspace" | "vspace") {
        let group = rest.strip_prefix('*').unwrap_or(rest);
        if let Some((_, rest)) = group.strip_prefix('{').and_then(|g| g.split_once('}')) {
            folded.blank = true;
            return rest;
        }
    }
    folded.push('\\', after);
    // The case of a command's name counts: `\Delta` is not `\delta`.
    folded.text.push_str(match name {
        "dfrac" | "tfrac" => "frac",
        name => name,
    });
    rest
}

#[derive(Default)]
struct Folded {
    text: String,
    /// Whether blanks stand between the text and what comes next.
    blank: bool,
}

impl Folded {
    /// Adds a character; `after` is what follows it.
    fn push(&mut self, c: char, after: &str) {
        let c = match c {
            '‘' | '’' | '′' => '\'',
            '“' | '”' => '"',
            '−' | '–' | '‐' | '‑' => '-',
            c => c,
        };
        if std::mem::take(&mut self.blank) && self.blank_counts(c, after) {
            self.text.push(' ');
        }
        // Delta is not delta.
        if matches!(c, 'Α'..='Ω') {
            self.text.push(c);
        } else {
            self.text.extend(c.to_lowercase());
        }
    }

    /// Whether taking the blank away before `next` could make another text.
    fn blank_counts(&self, next: char, after: &str) -> bool {
        let mut before = self.text.chars().rev();
        let Some(last) = before.next() else {
            return false;
        };
        let is_quote = |c: char| matches!(c, '\'' | '"' | '`');
        // Two words, two numbers; what a string of a program says.
        if last.is_alphanumeric() && next.is_alphanumeric()
            || is_quote(last) && !next.is_alphanumeric()
            || is_quote(next) && !last.is_alphanumeric()
        {
            return true;
        }
        // `1. 5` is not 1.5; `1, 234` is two numbers and `1,234` may be one.
        let between_digits =
            next.is_ascii_digit() && before.next().is_some_and(|c| c.is_ascii_digit());
        match last {
            '.' => between_digits,
            ',' => {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count() + 1;
                between_digits && digits == 3
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_folded() {
        for (one, other) in [
            ("What is  3+5 ?", "what is 3 + 5"),
            ("f(1,2)", "f( 1, 2 )"),
            (r"\dfrac{1}{2}", r"\frac {1} {2}"),
            (r"\left( x \right)", "(x)"),
            (r"\left.x\right|_0", "x|_0"),
            (r"a\,b\;c\quad d\hspace{1em}e", "a b c d e"),
            ("Ana’s − “x”", "Ana's - \"x\""),
            ("one\u{a0}two\r\n", "\u{feff}One Two"),
            (r"$\pi  r^2$", r"$\pi r^2$"),
        ] {
            assert_eq!(fold_layout(one), fold_layout(other));
        }
    }

    #[test]
    fn what_means_something_else_stays_apart() {
        for (one, other) in [
            ("Evaluate (8-3)*2.", "Evaluate 8-(3*2)."),
            (r"\frac{1}{2+3}", r"\frac{1}{2}+3"),
            (r"A \cup B", r"A \cap B"),
            ("A ∪ B", "A ∩ B"),
            (r"\lfloor x \rfloor", r"\lceil x \rceil"),
            ("⌊2.5⌋", "⌈2.5⌉"),
            ("f(1,2)", "f(12)"),
            ("f(1, 2)", "f(1 2)"),
            ("[1, 2]", "(1, 2)"),
            ("1 2", "12"),
            ("1.5", "15"),
            ("1. 5", "1.5"),
            ("1, 234", "1,234"),
            ("5!", "5"),
            ("x_1", "x^1"),
            (r"\Delta", r"\delta"),
            ("Δ", "δ"),
            ("|x|", "x"),
            ("~x", "x"),
            ("5 % 3", "5 3"),
            ("$5", "5"),
            ("a ≠ b", "a = b"),
            ("a & b", "a | b"),
            ("x'", "x"),
            ("split at ' '", "split at ''"),
            ("¬p", "p"),
            ("√2", "2"),
            ("2^{10}", "2^10"),
            ("30°", "30"),
            ("#a", "a"),
            (r"\leftarrow", r"\rightarrow"),
            ("?", "."),
        ] {
            assert_ne!(fold_layout(one), fold_layout(other));
        }
    }

    #[test]
    fn any_text_folds_and_folding_twice_changes_nothing() {
        for text in [
            "",
            "\\",
            "\\\\",
            r"\left",
            r"\left.",
            r"\hspace{",
            r"\hspace{é}é",
            "é\\é",
            "…?",
            " \\ ",
            r"\ \! x",
            "ß ẞ İ",
        ] {
            let once = fold_layout(text);
            assert!(once.len() <= 3 * text.len().max(1), "{text}");
        }
        let text = r"If $\left(x+1\right)^2 = 4 \, y$, what is `a b`?";
        assert_eq!(fold_layout(&fold_layout(text)), fold_layout(text));
    }
}
