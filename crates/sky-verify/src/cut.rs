//! Replies that the token limit cut off: what stands last was not finished, and is no answer.

use sky_math::{Grade, Graded, Rule};

/// Whether the answer of a cut reply was finished before the cut.
///
/// `The answer is 13` may have been going to be 135, and the last number of a text is where the
/// model happened to be. A closed box or tag is finished; an answer in a sentence is when the
/// sentence ended, so that the reply up to there (`grade` reads it) has the same answer.
pub(crate) fn stands(graded: &Graded, reply: &str, grade: impl Fn(&str) -> Option<Graded>) -> bool {
    if graded.grade == Grade::Unparsed {
        return false;
    }
    match graded.rule {
        None => false,
        Some(rule) if rule.is_a_guess() => false,
        Some(Rule::Boxed | Rule::AnswerTag) => true,
        Some(_) => {
            let ended = ended(reply);
            ended.len() == reply.len()
                || grade(ended).is_some_and(|earlier| {
                    earlier.extracted == graded.extracted && earlier.rule == graded.rule
                })
        }
    }
}

/// The reply up to the end of its last finished sentence or line.
fn ended(reply: &str) -> &str {
    let text = reply.trim_end_matches([' ', '\t']);
    if text.ends_with('\n') || closes_mark(text) {
        return reply;
    }
    // `13.` may have been going to be `13.5`.
    let head = text.strip_suffix(['.', '!', '?']);
    let ends_sentence = text.ends_with('。')
        || head.is_some_and(|head| !head.ends_with(|c: char| c.is_ascii_digit() || c == '.'));
    if ends_sentence {
        return reply;
    }
    let marks = text.char_indices().rev().find(|&(at, c)| match c {
        '\n' | '。' => true,
        '.' | '!' | '?' => text[at + 1..].starts_with(char::is_whitespace),
        _ => false,
    });
    marks.map_or("", |(at, c)| &text[..at + c.len_utf8()])
}

/// Whether the text ends with a closed box, a closed tag or a closed JSON object of a string.
fn closes_mark(text: &str) -> bool {
    let bare = text.trim_end_matches(['$', '.', '*', ')', ']', '\\', ' ', '`', '\n']);
    if bare.ends_with("</answer>") || bare.ends_with("\"}") {
        return true;
    }
    let Some(inner) = bare.rfind("boxed{").map(|at| &bare[at + "boxed".len()..]) else {
        return false;
    };
    let mut depth = 0_i64;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1 == inner.len();
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sky_types::{Answer, Check, Domain, FinishReason, Problem, Verdict};

    use crate::MathCheck;

    fn verdict(answer: Answer, domain: Domain, reply: &str, finish: FinishReason) -> Verdict {
        let problem = Problem::new("p", "demo", domain, "?", answer);
        let check = MathCheck::default();
        check.check(&problem, reply, finish).unwrap().verdict
    }

    #[test]
    fn what_stands_at_the_cut_is_truncated() {
        for (gold, reply) in [
            ("135", "The answer is 13"),
            ("13", "The answer is 13"),
            ("13", "The answer is 13."),
            ("13", "The answer is 13 "),
            ("13", "So the total is 13"),
            ("13", "13"),
            ("13", "**Answer:** 13"),
            ("13", "work\n#### 13"),
            ("13", "The answer is $13$"),
            ("13", r"The answer is \frac{26}{2}"),
            ("13", "The answer is 12. Wait, the answer is 13"),
            ("13", r"\boxed{13"),
            ("13", r"<think>It is \boxed{13}. But"),
            ("7", "Step 1. 3 + 4 = 7. Step 2: now"),
        ] {
            let cut = verdict(
                Answer::Math(gold.into()),
                Domain::Math,
                reply,
                FinishReason::Length,
            );
            assert_eq!(cut, Verdict::Truncated, "{reply}");
        }
        for reply in ["The answer is B", "I pick (B", "The answer is B or"] {
            let cut = verdict(
                Answer::Choice("B".into()),
                Domain::Choice,
                reply,
                FinishReason::Length,
            );
            assert_eq!(cut, Verdict::Truncated, "{reply}");
        }
    }

    #[test]
    fn what_was_finished_before_the_cut_counts() {
        for (gold, reply, right) in [
            ("13", r"It is $\boxed{13}$", Verdict::Correct),
            ("13", r"\boxed{13}. To check, take", Verdict::Correct),
            ("13", "<answer>13</answer> and", Verdict::Correct),
            ("13", "The answer is 13. To check", Verdict::Correct),
            ("13", "The answer is 13.\nNote that 5", Verdict::Correct),
            ("13", "work\n#### 13\n", Verdict::Correct),
            ("13", "The answer is $13$.", Verdict::Correct),
            ("13", r"\boxed{12}. To check, take 13", Verdict::Wrong),
            ("13", "The answer is 12. To check, 13", Verdict::Wrong),
        ] {
            let cut = verdict(
                Answer::Math(gold.into()),
                Domain::Math,
                reply,
                FinishReason::Length,
            );
            assert_eq!(cut, right, "{reply}");
        }
        for reply in [
            r"\boxed{b}",
            r"So $\boxed{\text{B}}$.",
            "The answer is B. Because",
            "{\"answer\": \"B\"}",
        ] {
            let cut = verdict(
                Answer::Choice("B".into()),
                Domain::Choice,
                reply,
                FinishReason::Length,
            );
            assert_eq!(cut, Verdict::Correct, "{reply}");
        }
    }

    #[test]
    fn a_reply_that_ended_by_itself_is_read_as_it_stands() {
        let of = |reply: &str| {
            verdict(
                Answer::Math("13".into()),
                Domain::Math,
                reply,
                FinishReason::Stop,
            )
        };
        assert_eq!(of("The answer is 13"), Verdict::Correct);
        assert_eq!(of("The answer is 135"), Verdict::Wrong);
    }
}
