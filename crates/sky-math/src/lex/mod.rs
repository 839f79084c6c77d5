//! Tokens of mathematical text, numbers read with their separators.

mod number;

use super::{
    budget::{Budget, OutOfBudget},
    latex_names,
    unicode_to_latex::letters,
    units,
};
use number::{long_list, read_number};

/// How a comma between digits reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Commas {
    /// Groups of three digits outside brackets make one number, as in `1,000`; any other comma
    /// parts items.
    #[default]
    Auto,
    /// Every comma parts items.
    Separators,
    /// A comma between digits is the decimal point, as in `1,22`.
    Decimal,
}

/// How signs that are written ambiguously read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spelling {
    pub(crate) commas: Commas,
    /// `mu` in plain letters is the Greek letter; otherwise `m` times `u`.
    pub(crate) greek: bool,
}

/// The digits of a literal, separators taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    pub(crate) whole: String,
    pub(crate) fraction: Option<String>,
    /// Digits that repeat for ever, after `fraction`.
    pub(crate) repeating: Option<String>,
    /// Power of ten.
    pub(crate) exponent: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tok<'a> {
    Num(Digits),
    /// One letter; the second part is the whole run of letters it stands in when it is the first of
    /// them.
    Letter(char, &'a str),
    /// A run of letters that has a meaning as a whole.
    Word(&'a str),
    Cmd(&'a str),
    Text(&'a str),
    Ch(char),
    /// `\\`: a row ends.
    Row,
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) tok: Tok<'a>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether white space stood before it.
    pub(crate) space: bool,
}

pub(crate) fn lex<'a>(
    text: &'a str,
    spelling: Spelling,
    budget: &Budget,
) -> Result<Vec<Token<'a>>, OutOfBudget> {
    let mut lexer = Lexer {
        text,
        at: 0,
        space: false,
        depth: 0,
        spelling,
        lists_until: 0,
        paired: unescaped_dollars(text).is_multiple_of(2),
        budget,
        out: Vec::with_capacity(text.len() / 2 + 2),
    };
    while lexer.at < text.len() {
        // Names of commands and words are looked up.
        let named = lexer
            .rest()
            .starts_with(|c: char| c == '\\' || c.is_ascii_alphabetic());
        budget.take(if named { 100 } else { 10 })?;
        lexer.step();
    }
    lexer.push(Tok::End, text.len());
    Ok(lexer.out)
}

struct Lexer<'a, 'b> {
    text: &'a str,
    at: usize,
    space: bool,
    /// Brackets open, in which a comma parts items.
    depth: u32,
    spelling: Spelling,
    /// Up to here numbers stand in a list too long for one number.
    lists_until: usize,
    /// Dollar signs come in pairs: they delimit formulas, and none is money.
    paired: bool,
    budget: &'b Budget,
    out: Vec<Token<'a>>,
}

impl<'a> Lexer<'a, '_> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, tok: Tok<'a>, end: usize) {
        self.out.push(Token {
            tok,
            start: self.at,
            end,
            space: self.space,
        });
        self.space = false;
        self.at = end;
    }

    /// The end of the group that opens at `open`. Looking for it is paid for; a spent budget ends
    /// the next step.
    fn group(&self, open: usize) -> Option<usize> {
        if self.text.as_bytes().get(open) != Some(&b'{') {
            return None;
        }
        let end = group_end(self.text, open);
        let seen = end.unwrap_or(self.text.len()) - open;
        let _ = self.budget.take(seen as u64 / 2);
        end
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.space = true;
    }

    fn step(&mut self) {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else {
            return;
        };
        match c {
            '\\' => self.command(),
            ' ' | '\n' | '\t' | '\r' | '~' => self.skip(1),
            '0'..='9' => self.number(),
            '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.number(),
            '.' if rest.starts_with("...") => {
                let dots = rest.bytes().take_while(|b| *b == b'.').count();
                self.push(Tok::Cmd("ldots"), self.at + dots);
            }
            // `1..` is no number, nor the end of a sentence.
            '.' if rest.starts_with("..") => self.push(Tok::Ch('\u{2025}'), self.at + 2),
            'a'..='z' | 'A'..='Z' => self.word(),
            '%' if rest.starts_with("%%") => self.skip(1),
            '$' if self.paired || !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.skip(1);
            }
            '$' => self.push(Tok::Cmd("$"), self.at + 1),
            _ => {
                match c {
                    '(' | '[' => self.depth += 1,
                    ')' | ']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.push(Tok::Ch(c), self.at + c.len_utf8());
            }
        }
    }

    fn command(&mut self) {
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

    fn word(&mut self) {
        let run = letters(self.rest());
        let behind = &self.text[self.at + run.len()..];
        if run == "US" && (behind.starts_with("\\$") || behind.starts_with('$')) {
            self.skip(run.len());
            return;
        }
        if self.text[..self.at].ends_with('\\') {
            self.letter_run(run);
            return;
        }
        // The digit of `atan2` is part of its name.
        if let Some(stem) = run.strip_suffix("atan")
            && stem.len() <= 2
            && behind.starts_with("2(")
        {
            self.letter_run(stem);
            let end = self.at + 5;
            self.push(Tok::Word(&self.text[self.at..end]), end);
            return;
        }
        if self.known_word(run) || run == "not" && behind.trim_start().starts_with('(') {
            self.push(Tok::Word(run), self.at + run.len());
            return;
        }
        // `sinxcosx`: what follows the first argument is read next.
        let parts = run.split_inclusive('x');
        let function = |part: &str| part.strip_suffix('x').is_some_and(is_plain_function);
        let chained = run.matches('x').count() > 1 && parts.clone().all(function);
        let run = match parts.clone().next() {
            Some(first) if chained => first,
            _ => run,
        };
        if let Some((stem, argument)) = self.glued(run, behind) {
            let name = &run[stem..run.len() - argument];
            let before = &run[..stem];
            if self.known_word(before) {
                self.push(Tok::Word(before), self.at + stem);
            } else {
                self.letter_run(before);
            }
            self.push(Tok::Word(name), self.at + name.len());
            self.letter_run(&run[run.len() - argument..]);
            return;
        }
        self.letter_run(run);
    }

    /// Each letter by itself.
    fn letter_run(&mut self, run: &'a str) {
        for (i, letter) in run.char_indices() {
            let whole = if i == 0 { run } else { "" };
            self.push(Tok::Letter(letter, whole), self.at + 1);
        }
    }

    /// Whether a run of letters has a meaning as a whole.
    fn known_word(&self, w: &str) -> bool {
        latex_names::function(w).is_some()
            || latex_names::constant(w).is_some()
            || matches!(
                w,
                "sqrt"
                    | "cbrt"
                    | "and"
                    | "or"
                    | "mod"
                    | "union"
                    | "percent"
                    | "degrees"
                    | "degree"
                    | "NaN"
                    | "nan"
                    | "Matrix"
                    | "FiniteSet"
                    | "Rational"
                    | "Fraction"
            )
            || latex_names::is_greek(w) && (w.len() >= 3 && w != "Eta" || self.spelling.greek)
    }

    /// Where a function begins that letters are glued to, and the letters of its argument: `xsin(x)`
    /// (1, 0), `sinx` (0, 1), `xsinx` (1, 1).
    fn glued(&self, run: &str, behind: &str) -> Option<(usize, usize)> {
        if run.len() > 16 {
            return None;
        }
        let plain = is_plain_function;
        if let Some(name) = run.strip_suffix('x') {
            let function =
                latex_names::function(name).is_some() && !matches!(name, "re" | "im" | "Re" | "Im");
            if function {
                return Some((0, 1));
            }
            if name.get(1..).is_some_and(plain) {
                return Some((1, 1));
            }
        }
        // `nlogn`, `ylny`.
        let ends = run.get(..1).is_some_and(|first| run.ends_with(first));
        if ends && run.len() > 3 && plain(&run[1..run.len() - 1]) {
            return Some((1, 1));
        }
        let called = behind.starts_with('(') || behind.starts_with("\\left(");
        let raised = behind.starts_with(['^', '_']) || behind.starts_with(" (");
        (1..run.len()).find_map(|stem| {
            let (before, name) = run.split_at(stem);
            let fits = called && latex_names::is_glued_function(name)
                || raised && stem == 1 && plain(name);
            (fits && (stem <= 2 || self.known_word(before))).then_some((stem, 0))
        })
    }

    fn number(&mut self) {
        if self.at >= self.lists_until {
            self.lists_until = self.at + long_list(self.rest()).unwrap_or(0);
        }
        let top = self.depth == 0 && self.at >= self.lists_until;
        // `\log_2 128`: what stands behind the index is another number.
        let index = matches!(self.out.last().map(|t| &t.tok), Some(Tok::Ch('_')));
        let rest = self.rest();
        let run = rest.find(|c: char| !c.is_ascii_digit()).filter(|_| index);
        // `2^6 300`: and what stands behind a power.
        let power = matches!(self.out.last().map(|t| &t.tok), Some(Tok::Ch('^')));
        // Not looked for in the whole rest of a long text.
        let space = || rest.bytes().take(64).position(|b| b == b' ');
        let run = if power { run.or_else(space) } else { run };
        let (digits, len) = read_number(
            &rest[..run.unwrap_or(rest.len())],
            self.spelling.commas,
            top,
        );
        self.push(Tok::Num(digits), self.at + len);
    }
}

/// A function whose argument is often written without brackets.
fn is_plain_function(name: &str) -> bool {
    matches!(
        name,
        "sin" | "cos" | "tan" | "cot" | "sec" | "csc" | "ln" | "log"
    )
}

fn unescaped_dollars(text: &str) -> usize {
    text.match_indices('$')
        .filter(|(at, _)| !text[..*at].ends_with('\\'))
        .count()
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

/// The end (past the closing brace) of the group that opens at `open`, or `None` when none does or
/// it does not end.
pub(crate) fn group_end(text: &str, open: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(open) != Some(&b'{') {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = open;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}
