use super::{
    budget::Budget,
    compare::{
        Comparer, Comparison, choice_letter, list_items, listed_alike, normalized_words,
        truth_value,
    },
    expr::{Expr, Kind},
    extract::{self, Extraction, Stated},
    grade::{Grade, Graded},
    lex::{Commas, Spelling},
    options::Options,
    parse::{self, ParseError, Reading, Tree},
    unicode_to_latex::unicode_to_latex,
    units, wording,
};

/// Compares answers under fixed conventions. Cheap to make, free of state, safe to share between
/// threads.
#[derive(Clone, Debug, Default)]
pub struct MathChecker {
    options: Options,
}

/// Steps that every call has, and steps for each byte of its texts; `Options::budget` bounds the
/// sum.
const BASE_STEPS: u64 = 800_000;
const STEPS_PER_BYTE: u64 = 40;
/// The last letter that is a choice in any set; a gold answer further on extends it.
const LAST_CHOICE: char = 'J';

/// A side of a comparison: its text, and its tree when it has one.
struct Side {
    text: String,
    tree: Result<Tree, ParseError>,
}

impl Side {
    fn read(text: &str, reading: Reading, budget: &Budget) -> Self {
        let text = unicode_to_latex(text);
        let text = wording::reword(&text).into_owned();
        let tree = match wording::number(text.trim()) {
            Some(value) => Ok(Tree {
                expr: Kind::Num {
                    value,
                    decimals: None,
                }
                .at(0..text.len()),
                ambiguous_division: false,
            }),
            None => parse::parse(&text, reading, budget),
        };
        Self { text, tree }
    }

    fn expr(&self) -> Option<&Expr> {
        self.tree.as_ref().ok().map(|t| &t.expr)
    }
}

impl MathChecker {
    /// A checker with these conventions.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// The conventions.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Finds the answer in a whole response.
    pub fn extract(&self, response: &str) -> Option<Extraction> {
        extract::extract(response).ok()
    }

    /// Judges a whole response (or a bare answer) against a gold answer (or a whole gold solution
    /// with a box).
    pub fn check(&self, gold: &str, response: &str) -> Graded {
        let budget = self.budget(gold.len() + response.len());
        let gold = extract::extract_gold(gold).into_owned();
        let choice = choice_letter(&gold);
        let mut found = extract::extract(response);
        if choice.is_some() {
            let letters_as_units = found
                .as_ref()
                .is_ok_and(|f| choice_letter(&f.answer).is_some());
            if !letters_as_units && let Some(letter) = extract::leading_choice(response) {
                found = Ok(letter);
            }
        }
        if !gold.contains('!')
            && let Ok(one) = &found
            && let Some(number) = extract::exclaimed(response, one)
        {
            found = Ok(number);
        }
        let graded = |grade, found: Option<Extraction>, reason: String| Graded {
            grade,
            gold: gold.clone(),
            rule: found.as_ref().map(|f| f.rule),
            extracted: found.map(|f| f.answer),
            reason,
            steps: budget.used(),
        };
        let found = match found {
            Ok(found) => found,
            Err(none) => {
                return match extract::words(response).filter(|f| self.same_words(&gold, &f.answer))
                {
                    Some(found) => graded(Grade::Correct, Some(found), "the same words".to_owned()),
                    None => graded(Grade::Unparsed, None, none.reason().to_owned()),
                };
            }
        };
        if gold.is_empty() {
            return graded(
                Grade::Wrong,
                Some(found),
                "the gold answer is empty".to_owned(),
            );
        }
        let judged = self.judge(&gold, &found.answer, true, &budget);
        if judged.equal {
            return graded(Grade::Correct, Some(found), judged.why);
        }
        if let Some(why) = self.second_look(&gold, &found.answer, &budget) {
            return graded(Grade::Correct, Some(found), why);
        }
        match extract::mixed(response, &gold) {
            Some(same) => graded(Grade::Correct, Some(same), "the same text".to_owned()),
            None => graded(Grade::Wrong, Some(found), judged.why),
        }
    }

    /// Judges a response to a multiple-choice problem against the letter of the right choice, in
    /// either case. What counts is the choice that the response states last; an answer of the
    /// letter and the choice's text is right too. A response that states none is
    /// [`Grade::Unparsed`], whatever letters stand in its formulas and prose.
    pub fn check_choice(&self, letter: &str, response: &str) -> Graded {
        let budget = self.budget(letter.len() + response.len());
        let gold_text = extract::extract_gold(letter).into_owned();
        let Some(gold) = choice_letter(&gold_text.to_uppercase())
            .or_else(|| wording::lone_letter(&gold_text))
            .map(|c| c.to_ascii_uppercase())
        else {
            // The right answer is no letter: compare what it says.
            return self.check(letter, response);
        };
        let stated = extract::stated_choice(response, gold.max(LAST_CHOICE));
        // A look at the text costs about one step a byte; running out changes nothing here.
        let _ = budget.take(response.len() as u64);
        let (grade, extracted, reason) = match stated {
            Ok(Stated::One(found)) => (
                if found == gold {
                    Grade::Correct
                } else {
                    Grade::Wrong
                },
                Some(found.to_string()),
                format!("choice {gold} against choice {found}"),
            ),
            Ok(Stated::Several(all)) => (
                Grade::Wrong,
                Some(all),
                "the response states several choices".to_owned(),
            ),
            Err(none) => (Grade::Unparsed, None, none.reason().to_owned()),
        };
        Graded {
            grade,
            gold: gold.to_string(),
            rule: extracted.as_ref().map(|_| extract::Rule::ChoiceLetter),
            extracted,
            reason,
            steps: budget.used(),
        }
    }

    /// Whether two bare answers mean the same, without the tolerance that a decimal gold answer
    /// has. Symmetric.
    pub fn equal(&self, a: &str, b: &str) -> bool {
        let budget = self.budget(a.len() + b.len());
        let (a, b) = (extract::extract_gold(a), extract::extract_gold(b));
        // In both directions, so that no convention can prefer a side.
        self.judge(&a, &b, false, &budget).equal || self.judge(&b, &a, false, &budget).equal
    }

    /// Whether an answer or a part of one means the gold answer.
    pub(super) fn means(&self, gold: &str, answer: &str, budget: &Budget) -> bool {
        self.judge(gold, answer, true, budget).equal
    }

    /// The budget of a call on this many bytes of text: short texts get less.
    fn budget(&self, bytes: usize) -> Budget {
        let worth = BASE_STEPS.saturating_add(STEPS_PER_BYTE.saturating_mul(bytes as u64));
        Budget::new(self.options.budget.min(worth))
    }

    fn judge(&self, gold: &str, answer: &str, is_gold: bool, budget: &Budget) -> Comparison {
        let compare = Comparer {
            options: &self.options,
            budget,
            gold: is_gold,
            nested: false,
        };
        let plain = Reading::default();
        let a = Side::read(gold, plain, budget);
        let b = Side::read(answer, plain, budget);
        if let Some(judged) = self.compare_words(&a, &b) {
            return judged;
        }
        let first = match (a.expr(), b.expr()) {
            (Some(x), Some(y)) => compare.compare(x, y),
            _ => self.compare_texts(&a, &b),
        };
        if first.equal || budget.is_spent() {
            return first;
        }
        for (reading_a, reading_b) in alternative_readings(&a, &b, self.options.decimal_log) {
            let other_a = Side::read(gold, reading_a, budget);
            let other_b = Side::read(answer, reading_b, budget);
            if let (Some(x), Some(y)) = (other_a.expr(), other_b.expr()) {
                let judged = compare.compare(x, y);
                if judged.equal {
                    return Comparison {
                        why: format!("{}, in another reading", judged.why),
                        ..judged
                    };
                }
            }
        }
        // Words set as letters, or in a form without a tree.
        let words = |side: &Side| {
            side.expr()
                .is_none_or(|e| e.any(&|k| matches!(k, Kind::Text(_))))
        };
        if words(&a) || words(&b) {
            let (x, y) = (
                normalized_words(&a.text, &self.options),
                normalized_words(&b.text, &self.options),
            );
            let wordy = x.chars().filter(|c| c.is_alphabetic()).count() >= 2;
            let listed = || {
                let list_of = |side: &Side| list_items(&side.text, &self.options);
                !x.contains(|c: char| c.is_ascii_digit())
                    && list_of(&a).is_some_and(|p| Some(p) == list_of(&b))
            };
            let alike = || listed_alike(&a.text, &b.text, &self.options);
            if wordy && (x == y && alike() || listed()) {
                return Comparison {
                    equal: true,
                    why: "the same words".to_owned(),
                };
            }
        }
        first
    }

    /// Choices, truth values and words set as mathematics, which are compared as such.
    fn compare_words(&self, a: &Side, b: &Side) -> Option<Comparison> {
        if let (Some(x), Some(y)) = (choice_letter(&a.text), choice_letter(&b.text)) {
            return Some(Comparison {
                equal: x == y,
                why: format!("choice {x} against choice {y}"),
            });
        }
        if let (Some(x), Some(y)) = (truth_value(&a.text), truth_value(&b.text))
            && (x.is_spelled_out || y.is_spelled_out)
        {
            return Some(Comparison {
                equal: x.is_true == y.is_true,
                why: format!("{} against {}", x.is_true, y.is_true),
            });
        }
        // Two words set as mathematics are words, not products of letters.
        let word = |side: &Side| {
            let letters = side.expr().is_none_or(|e| matches!(e.kind, Kind::Mul(_)));
            letters && units::is_wordlike(side.text.trim())
        };
        if word(a) && word(b) {
            let (x, y) = (
                normalized_words(&a.text, &self.options),
                normalized_words(&b.text, &self.options),
            );
            return Some(Comparison {
                equal: x == y,
                why: format!("the word \"{x}\" against \"{y}\""),
            });
        }
        None
    }

    /// When a side has no tree: the same text, or not.
    fn compare_texts(&self, a: &Side, b: &Side) -> Comparison {
        let bare = |text: &str| {
            let mut out = String::with_capacity(text.len());
            for part in text.split_whitespace() {
                // `1 2` is not 12.
                let digit = |c: char| c.is_ascii_digit();
                if out.ends_with(digit) && part.starts_with(digit) {
                    out.push(' ');
                }
                out.extend(part.chars().filter(|c| !matches!(c, '{' | '}' | '$')));
            }
            out
        };
        let (x, y) = (bare(&a.text), bare(&b.text));
        if !x.is_empty() && x == y {
            return Comparison {
                equal: true,
                why: "the same text, which has no parse".to_owned(),
            };
        }
        let side = match (&a.tree, &b.tree) {
            (Err(e), _) => ("gold answer", e),
            (_, Err(e)) => ("answer", e),
            _ => {
                return Comparison {
                    equal: false,
                    why: "different texts".to_owned(),
                };
            }
        };
        Comparison {
            equal: false,
            why: format!(
                "the {} has no parse: {} at byte {}",
                side.0, side.1.what, side.1.at.start
            ),
        }
    }
}

/// Other readings worth a try, when the first came out unequal.
fn alternative_readings(a: &Side, b: &Side, decimal_log: bool) -> Vec<(Reading, Reading)> {
    let mut out = Vec::new();
    let plain = Reading::default();
    let loose = |side: &Side| side.tree.as_ref().is_ok_and(|t| t.ambiguous_division);
    let tight = Reading {
        juxtaposition_first: true,
        ..plain
    };
    match (loose(a), loose(b)) {
        (true, true) => out.extend([(tight, tight), (plain, tight), (tight, plain)]),
        (true, false) => out.push((tight, plain)),
        (false, true) => out.push((plain, tight)),
        (false, false) => {}
    }
    let with_commas = |commas| Reading {
        spelling: Spelling {
            commas,
            ..plain.spelling
        },
        ..plain
    };
    let (decimal, parting) = (
        with_commas(Commas::Decimal),
        with_commas(Commas::Separators),
    );
    out.extend(other_bars_and_names(a, b));
    if decimal_log && (a.text.contains("log") || b.text.contains("log")) {
        let reading = Reading {
            decimal_log,
            ..plain
        };
        out.push((reading, reading));
    }
    for (one, other, first) in [(a, b, true), (b, a, false)] {
        let pair = |reading| {
            if first {
                (reading, plain)
            } else {
                (plain, reading)
            }
        };
        // Only for a decimal: `3,0` is no way to write 3, nor `1,2` one for 6/5.
        let decimal_point = other.expr().is_some_and(|e| {
            let number = match &e.kind {
                Kind::Neg(inner) => &inner.kind,
                kind => kind,
            };
            matches!(
                number,
                Kind::Num {
                    decimals: Some(1..),
                    ..
                }
            )
        });
        if decimal_point && is_decimal_comma(&one.text) {
            out.push(pair(decimal));
        }
        let collection = other.expr().is_some_and(|e| matches!(&e.kind, Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) if items.len() > 1));
        if collection
            && one
                .expr()
                .is_some_and(|e| matches!(e.kind, Kind::Num { .. } | Kind::List(_)))
            && one.text.contains(',')
        {
            out.push(pair(parting));
        }
    }
    out
}

/// Bars that open within others, and Greek letters in plain letters.
fn other_bars_and_names(a: &Side, b: &Side) -> Vec<(Reading, Reading)> {
    let mut out = Vec::new();
    let plain = Reading::default();
    let nested = |side: &Side| Reading {
        nested_bars: parse::may_nest_bars(&side.text),
        ..plain
    };
    let bars = (nested(a), nested(b));
    if bars != (plain, plain) {
        out.push(bars);
    }
    if has_short_greek(&a.text) || has_short_greek(&b.text) {
        let greek = Reading {
            spelling: Spelling {
                greek: true,
                ..plain.spelling
            },
            ..plain
        };
        out.push((greek, greek));
    }
    out
}

/// Whether a run of letters names a Greek letter, or is a product of two: `mu`.
fn has_short_greek(text: &str) -> bool {
    let names = ["mu", "nu", "xi", "Mu", "Nu", "Xi", "Eta"];
    let mut before = ' ';
    text.split_inclusive(|c: char| !c.is_ascii_alphabetic())
        .any(|part| {
            let run = part.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
            let command = std::mem::replace(&mut before, part.chars().next_back().unwrap_or(' '));
            command != '\\' && names.contains(&run)
        })
}

/// `1,22`: digits, one comma, and not the three digits of a thousand.
fn is_decimal_comma(text: &str) -> bool {
    let text = text.trim().trim_start_matches(['-', '+']);
    let Some((whole, fraction)) = text.split_once(',') else {
        return false;
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    // `1 234,5` and `1'234,5` too.
    let whole = whole.replace([' ', '\''], "").replace("\\", "");
    digits(&whole) && digits(fraction) && fraction.len() != 3
}
