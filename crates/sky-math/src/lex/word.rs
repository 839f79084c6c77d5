//! Runs of letters: words, functions with letters glued to them, products of names.

use super::{Lexer, token::Tok};
use crate::{latex_names, unicode_to_latex::letters};

/// Letters beside a function, in bytes.
struct Glued {
    /// Those before it.
    stem: usize,
    /// Those of its argument, behind it.
    argument: usize,
}

impl<'a> Lexer<'a, '_> {
    /// A run of letters: a word, a function with letters glued to it, or a product of names.
    pub(super) fn word(&mut self) {
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
        if let Some(Glued { stem, argument }) = self.glued(run, behind) {
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

    /// The letters that are glued to a function: one before it in `xsin(x)`, one behind it in
    /// `sinx`, both in `xsinx`.
    fn glued(&self, run: &str, behind: &str) -> Option<Glued> {
        if run.len() > 16 {
            return None;
        }
        let plain = is_plain_function;
        if let Some(name) = run.strip_suffix('x') {
            let function =
                latex_names::function(name).is_some() && !matches!(name, "re" | "im" | "Re" | "Im");
            if function {
                return Some(Glued {
                    stem: 0,
                    argument: 1,
                });
            }
            if name.get(1..).is_some_and(plain) {
                return Some(Glued {
                    stem: 1,
                    argument: 1,
                });
            }
        }
        // `nlogn`, `ylny`.
        let ends = run.get(..1).is_some_and(|first| run.ends_with(first));
        if ends && run.len() > 3 && plain(&run[1..run.len() - 1]) {
            return Some(Glued {
                stem: 1,
                argument: 1,
            });
        }
        let called = behind.starts_with('(') || behind.starts_with("\\left(");
        let raised = behind.starts_with(['^', '_']) || behind.starts_with(" (");
        (1..run.len()).find_map(|stem| {
            let (before, name) = run.split_at(stem);
            let fits = called && latex_names::is_glued_function(name)
                || raised && stem == 1 && plain(name);
            (fits && (stem <= 2 || self.known_word(before))).then_some(Glued { stem, argument: 0 })
        })
    }
}

/// A function whose argument is often written without brackets.
fn is_plain_function(name: &str) -> bool {
    matches!(
        name,
        "sin" | "cos" | "tan" | "cot" | "sec" | "csc" | "ln" | "log"
    )
}
