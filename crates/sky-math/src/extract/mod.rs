//! Where the answer stands in a response. Every scan is linear in the length of the text.

mod answer_like;
mod atom;
mod boxed;
mod choice;
mod correction;
mod extraction;
mod formula;
mod grow;
mod joined;
mod leads;
mod located;
mod phrase;
mod prose;
mod section;
mod spans;
mod stated_choice;
mod tokens;

use std::borrow::Cow;

use correction::Later;
pub(crate) use extraction::NoAnswer;
pub use extraction::{Extraction, Rule};
use located::Located;
pub(crate) use stated_choice::Stated;

use super::glyphs;

/// Finds the answer of a whole response.
pub(crate) fn extract(response: &str) -> Result<Extraction, NoAnswer> {
    let response = glyphs::halfwidth(response);
    let text = section::final_part(&response).ok_or(NoAnswer::UnfinishedThought)?;
    if text.trim().is_empty() {
        return Err(NoAnswer::Empty);
    }
    let Announced { answer, rule, end } = match marked(text)? {
        Some(found) => found,
        None => {
            let found = phrase::after_phrase_at(text).filter(|it| !tidy(&it.answer).is_empty());
            match found {
                Some(found) => Announced::by(Rule::Phrase, found),
                None => return unmarked(text).ok_or(NoAnswer::NothingFound),
            }
        }
    };
    match correction::later(&text[end..], rule) {
        Later::Stands => found(&answer, rule),
        Later::Replaced(later) => found(&later.answer, later.rule),
        Later::TakenBack => None,
    }
    .ok_or(NoAnswer::NothingFound)
}

fn found(answer: &str, rule: Rule) -> Option<Extraction> {
    let answer = tidy(answer);
    (!answer.is_empty()).then(|| Extraction {
        answer: leads::without_emphasis(&answer),
        rule,
    })
}

/// An answer that the response marks as its answer.
struct Announced {
    answer: String,
    rule: Rule,
    /// Where it ends. A correction can only stand behind it.
    end: usize,
}

impl Announced {
    fn by<T: Into<String>>(rule: Rule, found: Located<T>) -> Self {
        Self {
            answer: found.answer.into(),
            rule,
            end: found.end,
        }
    }
}

/// The answer in a box, a tag or behind hash marks.
fn marked(text: &str) -> Result<Option<Announced>, NoAnswer> {
    if let Some(tag) = section::answer_tag(text) {
        let behind = &text[tag.end..];
        // A box behind the tag is the later word.
        if let Some(found) = boxed::last(behind).filter(|_| !boxed::is_open(behind)) {
            return Ok(Some(Announced {
                answer: found.answer,
                rule: Rule::Boxed,
                end: tag.end + found.end,
            }));
        }
        if boxed::is_open(tag.answer) {
            return Err(NoAnswer::UnfinishedBox);
        }
        return Ok(Some(match boxed::last(tag.answer) {
            Some(found) => Announced {
                answer: found.answer,
                rule: Rule::Boxed,
                end: tag.end,
            },
            None => Announced::by(Rule::AnswerTag, tag),
        }));
    }
    if boxed::is_open(text) {
        return Err(NoAnswer::UnfinishedBox);
    }
    if let Some(found) = boxed::last(text) {
        return Ok(Some(Announced::by(Rule::Boxed, found)));
    }
    Ok(phrase::hash_marks(text)
        .filter(|found| !tidy(found.answer).is_empty())
        .map(|found| Announced::by(Rule::HashMarks, found)))
}

/// The answer of a text that announces none.
fn unmarked(text: &str) -> Option<Extraction> {
    // `1..` is no number.
    let dots = text.trim_end();
    if dots.ends_with("..") && !dots.ends_with("...") && !dots.contains(' ') {
        return None;
    }
    phrase::whole_response(text)
        .and_then(|answer| found(answer, Rule::Whole))
        .or_else(|| phrase::last_value(text).and_then(|last| found(&last.answer, last.rule)))
        .or_else(|| phrase::few_words(text).and_then(|answer| found(answer, Rule::Whole)))
}

/// The gold answer: a dataset's field may be bare, in dollars, or a whole solution with a box.
pub(crate) fn extract_gold(gold: &str) -> Cow<'_, str> {
    let trimmed = gold.trim();
    if let Some(found) = boxed::last(trimmed) {
        return Cow::Owned(tidy(&found.answer).into_owned());
    }
    if let Some(found) = phrase::hash_marks(trimmed) {
        return Cow::Owned(tidy(found.answer).into_owned());
    }
    tidy(trimmed)
}

/// The number in `The answer is 5!`: in prose the mark is no factorial.
pub(crate) fn exclaimed(response: &str, found: &Extraction) -> Option<Extraction> {
    let number = found.answer.strip_suffix('!')?;
    let at = response.rfind(&found.answer)?;
    let plain = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || matches!(c, '*' | '"'));
    let alone = plain(response[..at].chars().next_back())
        && plain(response[at + found.answer.len()..].chars().next());
    let digits = number
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'/' | b'-'));
    (found.rule == Rule::Phrase && alone && digits).then(|| Extraction {
        answer: number.to_owned(),
        rule: found.rule,
    })
}

/// The letter of a choice when a response begins with one: `A. Because ...`.
/// Else the one that its sentences settle on.
pub(crate) fn leading_choice(response: &str) -> Option<Extraction> {
    let response = glyphs::halfwidth(response);
    let text = section::final_part(&response)?;
    phrase::leading_choice(text)
        .or_else(|| choice::settled(text))
        .map(|letter| Extraction {
            answer: letter.to_string(),
            rule: Rule::ChoiceLetter,
        })
}

/// The choice that a reply to a multiple-choice problem states; letters up to `last` are choices.
pub(crate) fn stated_choice(response: &str, last: char) -> Result<Stated, NoAnswer> {
    let response = glyphs::halfwidth(response);
    let text = section::final_part(&response).ok_or(NoAnswer::UnfinishedThought)?;
    if text.trim().is_empty() {
        return Err(NoAnswer::Empty);
    }
    if boxed::is_open(text) {
        return Err(NoAnswer::UnfinishedBox);
    }
    stated_choice::stated(text, last).ok_or(NoAnswer::NoChoice)
}

/// A whole response, for a gold answer in words.
pub(crate) fn words(response: &str) -> Option<Extraction> {
    let text = section::final_part(response)?;
    found(text, Rule::Whole)
}

/// The answer when the gold answer is words and formulas, such as `odd $n$`, and the response is
/// or announces the same text.
pub(crate) fn mixed(response: &str, gold: &str) -> Option<Extraction> {
    let spans = spans::math_spans(gold);
    let mut words = String::new();
    let mut at = 0;
    for span in &spans {
        words.push_str(&gold[at..span.start]);
        at = span.end;
    }
    words.push_str(&gold[at..]);
    if spans.is_empty() || !words.contains(char::is_alphabetic) {
        return None;
    }
    let bare = |text: &str| {
        let text = text.trim().trim_end_matches(['.', '!']);
        let bare: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '$')
            .collect();
        bare
    };
    let text = section::final_part(response)?;
    let found = |answer: &str, rule| {
        (bare(answer) == bare(gold)).then(|| Extraction {
            answer: answer.trim().to_owned(),
            rule,
        })
    };
    found(text, Rule::Whole).or_else(|| {
        let said = phrase::announced_sentence(text)?;
        found(said, Rule::Phrase)
    })
}

/// Takes off what surrounds an answer: white space, math delimiters, bold marks, quotes, a full
/// stop.
fn tidy(text: &str) -> Cow<'_, str> {
    let mut text = text.trim();
    loop {
        let before = text;
        // `1..` is no number, nor the end of a sentence.
        if !text.ends_with("..") {
            text = text.trim_end_matches(['.', ',', ';', ':', '。']).trim();
        }
        for (open, close) in [
            ("$$", "$$"),
            ("$", "$"),
            (r"\(", r"\)"),
            (r"\[", r"\]"),
            ("**", "**"),
            ("`", "`"),
            ("\"", "\""),
        ] {
            let inner = text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
            if let Some(inner) = inner.filter(|inner| !holds(inner, open) && !inner.ends_with('\\'))
            {
                text = inner.trim();
            }
        }
        // Only one of a pair was taken along.
        for mark in ["**", r"\[", r"\("] {
            if text.matches(mark).count() == 1 {
                text = text.strip_prefix(mark).unwrap_or(text).trim();
            }
        }
        for mark in ["**", r"\]", r"\)"] {
            if text.matches(mark).count() == 1 {
                text = text.strip_suffix(mark).unwrap_or(text).trim();
            }
        }
        if text == before {
            return Cow::Borrowed(text);
        }
    }
}

/// Whether a delimiter stands in the text, but for an escaped dollar sign.
fn holds(text: &str, delimiter: &str) -> bool {
    if !delimiter.starts_with('$') {
        return text.contains(delimiter);
    }
    text.match_indices('$')
        .any(|(at, _)| !text[..at].ends_with('\\'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(text: &str) -> (String, Rule) {
        let found = extract(text).unwrap();
        (found.answer, found.rule)
    }

    #[test]
    fn the_last_box_wins() {
        assert_eq!(
            answer(r"$\boxed{7}$. Wait. $\boxed{\frac{1}{2}}$."),
            (r"\frac{1}{2}".into(), Rule::Boxed)
        );
        assert_eq!(answer(r"\boxed 5"), ("5".into(), Rule::Boxed));
        assert_eq!(
            answer(r"The answer is $\fbox{5}$."),
            ("5".into(), Rule::Boxed)
        );
        assert_eq!(
            answer(r"$\boxed{(3, 3)} \text{ for part (a) and } \boxed{(1, 1)}$").0,
            "(3, 3), (1, 1)"
        );
        assert_eq!(answer(r"\boxed{5} then \boxed{4}").0, "4");
        assert_eq!(answer(r"\boxed{\boxed{5}}").0, "5");
    }

    #[test]
    fn phrases_and_sentences() {
        assert_eq!(
            answer(
                "So it is 3.\n\nFinal Answer: The final answer is $-0.75$. I hope it is correct."
            )
            .0,
            "-0.75"
        );
        assert_eq!(
            answer("The final answer is 12,000,023. I hope it is correct. <|im_start|>user").0,
            "12,000,023"
        );
        assert_eq!(answer("**Answer:** $3$"), ("3".into(), Rule::Phrase));
        // The sign belongs to the number.
        assert_eq!(answer("The answer is -5.").0, "-5");
        assert_eq!(answer("Answer: -\\frac{1}{2}").0, "-\\frac{1}{2}");
        assert_eq!(answer("The answer is 42 because 6*7=42.").0, "42");
        assert_eq!(answer("答案是 2。").0, "2");
        assert_eq!(answer("9 * 2 = 18\nA: 18"), ("18".into(), Rule::Phrase));
        assert_eq!(
            answer("work\n#### 1,080"),
            ("1,080".into(), Rule::HashMarks)
        );
        assert_eq!(
            answer("Final Answer: The volume of $ABCD$ is 120. I hope it is correct.").0,
            "120"
        );
        assert_eq!(
            answer("So the pair $(x, y)$ that solves it is $(7, 6)$."),
            ("(7, 6)".into(), Rule::LastMath)
        );
        assert_eq!(
            answer("<answer> 12 </answer>"),
            ("12".into(), Rule::AnswerTag)
        );
        assert_eq!(
            answer("-\\frac{10}{9}"),
            ("-\\frac{10}{9}".into(), Rule::Whole)
        );
        assert_eq!(
            answer("There are then 14 of them left"),
            ("14".into(), Rule::LastNumber)
        );
    }

    #[test]
    fn thoughts_are_not_answers() {
        assert_eq!(
            extract(r"<think>It is \boxed{5}"),
            Err(NoAnswer::UnfinishedThought)
        );
        assert_eq!(answer(r"<think>It is \boxed{5}</think>\boxed{6}").0, "6");
        assert_eq!(
            answer(r"<|begin_of_thought|>\boxed{5}<|end_of_thought|><|begin_of_solution|>It is $\boxed{6}$<|end_of_solution|>").0,
            "6"
        );
        assert_eq!(extract("I could not finish."), Err(NoAnswer::NothingFound));
        assert_eq!(
            extract(r"It is 5, so \boxed{\frac{1}{2}"),
            Err(NoAnswer::UnfinishedBox)
        );
        assert_eq!(
            extract(r"\boxed{5}. No, \boxed{\frac{1}{2}"),
            Err(NoAnswer::UnfinishedBox)
        );
        assert_eq!(answer(r"\boxed{5}, as \boxed{\fbox{6}}").0, "5, 6");
        assert_eq!(answer("◁think▷It is \\boxed{5}◁/think▷\\boxed{6}").0, "6");
    }
}
