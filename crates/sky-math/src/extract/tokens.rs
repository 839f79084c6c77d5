//! Prose taken apart into numbers, names, signs and brackets, to see what a number is part of.

use crate::glyphs::is_cjk;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tok {
    /// Digits with separators, decimals, a sign of money in front, a percent sign behind.
    Number,
    /// Letters, and the digits behind them.
    Word,
    /// `\sqrt`.
    Command,
    /// A sign between two operands, or the sign of one.
    Sign,
    /// `°`, `²`, `!`.
    Postfix,
    /// A sign behind which a value begins: `=`, `≈`, an arrow.
    Lead,
    Colon,
    Comma,
    Open,
    Close,
    /// Marks of emphasis, which say nothing.
    Mark,
    /// What no formula contains.
    Break,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) tok: Tok,
    pub(super) start: usize,
    pub(super) end: usize,
    /// White space stands before it.
    pub(super) spaced: bool,
}

/// LaTeX signs that stand between two operands.
const SIGNS: [&str; 24] = [
    "cdot", "times", "div", "pm", "mp", "cup", "cap", "le", "leq", "ge", "geq", "ne", "neq", "lt",
    "gt", "in", "setminus", "land", "lor", "circ", "bmod", "mid", "leqslant", "geqslant",
];
const LEADS: [&str; 8] = [
    "approx",
    "implies",
    "Rightarrow",
    "rightarrow",
    "to",
    "iff",
    "therefore",
    "equiv",
];

/// The tokens of a piece of text; offsets count from `base`.
pub(super) fn tokens(text: &str, base: usize) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut at = 0;
    let mut spaced = true;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() || c == '~' {
            spaced = true;
            at += c.len_utf8();
            continue;
        }
        // `=.8`.
        let point = c == '.'
            && out
                .last()
                .is_none_or(|t| matches!(t.tok, Tok::Lead | Tok::Sign | Tok::Open | Tok::Mark));
        let (tok, len) = token(rest, c, spaced || point);
        out.push(Token {
            tok,
            start: base + at,
            end: base + at + len,
            spaced,
        });
        at += len;
        spaced = tok == Tok::Break && c == '\\';
    }
    out
}

fn token(rest: &str, c: char, spaced: bool) -> (Tok, usize) {
    let len = c.len_utf8();
    let next = rest[len..].chars().next();
    match c {
        '0'..='9' => (Tok::Number, number(rest)),
        '.' if next.is_some_and(|c| c.is_ascii_digit()) && spaced => (Tok::Number, number(rest)),
        '$' | '€' | '£' | '¥' | '￥' => match next {
            Some('0'..='9') => (Tok::Number, len + number(&rest[len..])),
            _ => (Tok::Break, len),
        },
        'U' if rest.starts_with("US$") => match rest[3..].chars().next() {
            Some('0'..='9') => (Tok::Number, 3 + number(&rest[3..])),
            _ => (Tok::Break, 3),
        },
        '\\' => command(rest, next),
        '√' | '∛' => (Tok::Command, len),
        '∞' => (Tok::Word, len),
        '*' | '_' => emphasis(rest, c, spaced),
        '=' if rest.starts_with("=>") => (Tok::Lead, 2),
        '=' if rest.starts_with("==") => (Tok::Lead, 2),
        '=' | '≈' | '≃' | '≅' | '→' | '⇒' | '⟹' => (Tok::Lead, len),
        '-' if rest.starts_with("->") => (Tok::Lead, 2),
        '<' | '>' | '!' if next == Some('=') => (Tok::Sign, 2),
        '!' | '°' | '²' | '³' | '%' => (Tok::Postfix, len),
        '△' | '▲' if next.is_some_and(|c| c.is_ascii_digit()) => (Tok::Sign, len),
        '+' | '-' | '−' | '–' | '/' | '×' | '·' | '⋅' | '÷' | '^' | '<' | '>' | '≤' | '≥' | '≠'
        | '±' | '∪' | '∩' | '|' | '∈' => (Tok::Sign, len),
        ':' | '∶' => (Tok::Colon, len),
        ',' => (Tok::Comma, len),
        '(' | '[' | '{' => (Tok::Open, len),
        ')' | ']' | '}' => (Tok::Close, len),
        c if c.is_alphabetic() && !is_cjk(c) => {
            let word = |c: char| c.is_alphanumeric() && !is_cjk(c);
            (Tok::Word, rest.find(|c| !word(c)).unwrap_or(rest.len()))
        }
        _ => (Tok::Break, len),
    }
}

/// Length of a number: `1,234.5`, `.5`, `12%`.
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut end = 0;
    loop {
        while bytes.get(end).is_some_and(u8::is_ascii_digit) {
            end += 1;
        }
        let more = matches!(bytes.get(end), Some(b',' | b'.'))
            && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !more {
            break;
        }
        end += 1;
    }
    for percent in ["%", "\\%"] {
        if rest[end..].starts_with(percent) {
            return end + percent.len();
        }
    }
    end
}

fn command(rest: &str, next: Option<char>) -> (Tok, usize) {
    match next {
        Some('$') => match rest[2..].chars().next() {
            Some('0'..='9') => (Tok::Number, 2 + number(&rest[2..])),
            _ => (Tok::Break, 2),
        },
        Some('{') => (Tok::Open, 2),
        Some('}') => (Tok::Close, 2),
        Some(',' | ';' | '!' | ' ' | ':') => (Tok::Mark, 2),
        Some(c) if c.is_ascii_alphabetic() => {
            let len = rest[1..]
                .find(|c: char| !c.is_ascii_alphabetic())
                .map_or(rest.len(), |at| at + 1);
            let name = &rest[1..len];
            let tok = if SIGNS.contains(&name) {
                Tok::Sign
            } else if LEADS.contains(&name) {
                Tok::Lead
            } else if matches!(name, "left" | "right" | "quad" | "qquad" | "displaystyle") {
                Tok::Mark
            } else {
                Tok::Command
            };
            (tok, len)
        }
        Some(c) => (Tok::Break, 1 + c.len_utf8()),
        None => (Tok::Break, 1),
    }
}

/// `**5**` is emphasis, `2**3` and `2 ** 3` are powers.
fn emphasis(rest: &str, mark: char, spaced: bool) -> (Tok, usize) {
    let len = rest.len() - rest.trim_start_matches(mark).len();
    let next = rest[len..].chars().next();
    let open = next.is_none_or(|c| c.is_whitespace() || is_cjk(c) || ".,;:!?)\"'".contains(c));
    if spaced == open && len <= 2 || !spaced && !open && len <= 2 {
        (Tok::Sign, len)
    } else {
        (Tok::Mark, len)
    }
}
