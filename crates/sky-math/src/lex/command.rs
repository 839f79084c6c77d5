//! Commands: layout, text, alphabets, sets of numbers, escaped signs.

use super::{Lexer, token::Tok};
use crate::{latex_names, unicode_to_latex::letters, units};

impl Lexer<'_, '_> {
    /// A backslash and what follows it.
    pub(super) fn command(&mut self) {
        let rest = &self.rest()[1..];
        let name = letters(rest);
        let Some(next) = rest.chars().next() else {
            self.at += 1;
            return;
        };
        if name.is_empty() {
            self.escaped(next);
            return;
        }
        let name = known_prefix(name);
        let end = self.at + 1 + name.len();
        if latex_names::is_layout(name) {
            self.layout(name, end);
            return;
        }
        if matches!(
            name,
            "hspace" | "vspace" | "tag" | "label" | "color" | "textcolor"
        ) {
            let group = self.group(end).unwrap_or(end);
            self.at = group;
            self.space = true;
            return;
        }
        if latex_names::is_text(name) {
            self.text_group(end);
            return;
        }
        if latex_names::is_alphabet(name) {
            // `\mathrm{lcm}` is a word, `\mathbf{105}` is its content.
            if let Some(close) = self.group(end) {
                let content = self.text[end + 1..close - 1].trim();
                let wordy = content
                    .bytes()
                    .all(|b| b.is_ascii_alphabetic() || b == b' ' || b == b'~' || b == b'-')
                    && content.len() >= 2;
                let after_number = matches!(
                    self.out.last().map(|t| &t.tok),
                    Some(Tok::Num(_) | Tok::Ch(')' | '}'))
                );
                if wordy || after_number && units::is_unit_text(content) {
                    self.push(Tok::Text(content), close);
                    return;
                }
            }
            self.at = end;
            return;
        }
        if matches!(name, "mathbb" | "Bbb") && self.blackboard_set(end) {
            return;
        }
        self.push(Tok::Cmd(name), end);
    }

    /// A backslash before a sign: the end of a row, a brace, an escaped sign, a delimiter.
    fn escaped(&mut self, next: char) {
        let end = self.at + 1 + next.len_utf8();
        match next {
            '\\' => self.push(Tok::Row, end),
            '{' | '}' => {
                self.depth = if next == '{' {
                    self.depth + 1
                } else {
                    self.depth.saturating_sub(1)
                };
                self.push(Tok::Cmd(&self.rest()[1..2]), end);
            }
            '%' | '&' | '#' => self.push(Tok::Ch(next), end),
            '|' => self.push(Tok::Ch('|'), end),
            '$' | '_' => self.push(Tok::Cmd(&self.rest()[1..2]), end),
            // `\(`, `\[` and spacing.
            _ => self.skip(1 + next.len_utf8()),
        }
    }

    /// Spacing, `\left` and the like, with the invisible delimiter that may follow.
    fn layout(&mut self, name: &str, end: usize) {
        let invisible = matches!(name, "left" | "right" | "middle")
            && self.text[end..].trim_start().starts_with('.');
        let dot = if invisible {
            self.text[end..].find('.').map_or(0, |i| i + 1)
        } else {
            0
        };
        let spaced = matches!(name, "quad" | "qquad" | "space" | "enspace") || self.space;
        self.at = end + dot;
        self.space = spaced;
    }

    /// `\text{...}`.
    fn text_group(&mut self, end: usize) {
        let open = end + (self.text[end..].len() - self.text[end..].trim_start().len());
        if let Some(close) = self.group(open) {
            let content = &self.text[open + 1..close - 1];
            let money = matches!(content.trim(), "\\$" | "$");
            self.push(
                if money {
                    Tok::Cmd("$")
                } else {
                    Tok::Text(content)
                },
                close,
            );
        } else {
            self.at = end;
        }
    }

    /// `\mathbb{R}`: one token for a set of numbers, with the sign that may follow it.
    fn blackboard_set(&mut self, end: usize) -> bool {
        let after = self.text[end..]
            .trim_start()
            .trim_start_matches('{')
            .trim_start();
        if let Some(letter) = after.chars().next().filter(char::is_ascii_alphabetic) {
            let from = self.text.len() - after.len();
            let mut to = from + 1;
            if self.text[end..from].contains('{') {
                to = self.text[to..].find('}').map_or(to, |i| to + i + 1);
            }
            // `\mathbb{Z}^+`, `\mathbb{Z}_{>0}`: the natural numbers.
            let behind: String = self.text[to..].chars().take(10).collect();
            let positive = [
                "^+",
                "_+",
                "^{+}",
                "_{+}",
                "_{>0}",
                "_{\\ge0}",
                "_{\\ge 0}",
                "_{\\geq0}",
                "_{\\geq 0}",
                "^{>0}",
            ]
            .into_iter()
            .find(|sign| behind.starts_with(sign))
            .filter(|_| matches!(letter, 'Z' | 'R'));
            if let Some(sign) = positive {
                let set = match (letter, sign.contains("\\ge")) {
                    ('Z', _) => "Naturals",
                    (_, false) => "PositiveReals",
                    (_, true) => "NonnegativeReals",
                };
                self.push(Tok::Cmd(set), to + sign.len());
                return true;
            }
            let set = match letter {
                'R' => "Reals",
                'Z' => "Integers",
                'N' => "Naturals",
                'Q' => "Rationals",
                'C' => "Complexes",
                _ => &self.text[from..from + 1],
            };
            self.push(Tok::Cmd(set), to);
            return true;
        }
        false
    }
}

/// The longest known command that an unknown one begins with: `\quadx` is `\quad x`. A name without
/// one stays whole.
fn known_prefix(name: &str) -> &str {
    if latex_names::is_command(name) || name.len() > 40 {
        return name;
    }
    (2..name.len())
        .rev()
        .map(|n| &name[..n])
        .find(|prefix| {
            latex_names::is_command(prefix)
                && !matches!(
                    *prefix,
                    "in" | "to" | "le" | "ge" | "ne" | "lt" | "gt" | "re" | "ni"
                )
        })
        .unwrap_or(name)
}
