//! Text without the commands that set it.

use crate::{latex_names, lex::group_end, unicode_to_latex::letters};

/// The text without the marks that set words.
pub(crate) fn flat(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let name = if c == '\\' { letters(&rest[1..]) } else { "" };
        if latex_names::is_text(name) || latex_names::is_alphabet(name) {
            let open = at + 1 + name.len();
            if let Some(end) = group_end(text, open) {
                ends.push(end - 1);
                at = open + 1;
                out.push(' ');
                continue;
            }
        }
        if ends.last() == Some(&at) {
            ends.pop();
            out.push(' ');
        } else if c == '\\' && rest[1..].starts_with([' ', ',', ';', ':', '!']) {
            out.push(' ');
            at += 1;
        } else if c == '~' {
            out.push(' ');
        } else {
            out.push(c);
        }
        at += c.len_utf8();
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}
