//! Sentences that say of a value that it is not so, before it and behind it.

/// Whether the sentence that ends here says that what follows is not so: `I doubt that`.
pub(crate) fn before(before: &str) -> bool {
    const DENIALS: [&str; 24] = [
        "not true",
        "untrue that",
        "is false that",
        "is wrong that",
        "wrong to say",
        "not the case",
        "not correct that",
        "incorrect that",
        "impossible that",
        "unlikely that",
        "doubt that",
        "doubt the",
        "doubt if",
        "doubt whether",
        "doubtful",
        "not sure that",
        "not sure if",
        "not sure whether",
        "not certain that",
        "n't think",
        "not think",
        "n't believe",
        "not believe",
        "deny that",
    ];
    const TURNS: [&str; 6] = [" so ", " but ", " hence ", " thus ", " therefore ", " and "];
    let from = before.rfind(['.', '\n', '?', '!']).unwrap_or(0);
    let sentence = before[from..].to_ascii_lowercase().replace('’', "'");
    let denial = DENIALS.iter().find_map(|words| sentence.split_once(words));
    denial.is_some_and(|(head, rest)| {
        let doubtless = ["no ", "not ", "n't ", "without a "]
            .iter()
            .any(|word| head.ends_with(word));
        // "It is not the case that 4 fits, so it is 5."
        !doubtless && !TURNS.iter().any(|turn| rest.contains(turn))
    })
}

/// Verbs between a value and what is said of it.
const VERBS: [&str; 13] = [
    "is ",
    "are ",
    "was ",
    "were ",
    "would be ",
    "will be ",
    "can be ",
    "must be ",
    "may be ",
    "has to be ",
    "seems ",
    "looks ",
    "being ",
];

/// Verbs that are negated themselves.
const NEGATED_VERBS: [&str; 11] = [
    "cannot",
    "can't",
    "can not",
    "isn't",
    "aren't",
    "wasn't",
    "weren't",
    "won't",
    "wouldn't",
    "will not",
    "would not",
];

/// What a value fails to do, after `does not`.
const FAILING: [&str; 7] = [
    "work",
    "fit",
    "hold",
    "satisfy",
    "count",
    "solve",
    "make sense",
];

/// Adverbs that may stand between the verb and the denial.
const ADVERBS: [&str; 10] = [
    "clearly ",
    "also ",
    "obviously ",
    "therefore ",
    "thus ",
    "definitely ",
    "certainly ",
    "simply ",
    "just ",
    "then ",
];

/// What is said of a value that is not the answer.
const DENIALS_AFTER: [&str; 24] = [
    "not",
    "impossible",
    "wrong",
    "incorrect",
    "false",
    "invalid",
    "untrue",
    "never",
    "excluded",
    "ruled out",
    "rejected",
    "extraneous",
    "inadmissible",
    "infeasible",
    "absurd",
    "nonsense",
    "unlikely",
    "a mistake",
    "an error",
    "a contradiction",
    "too big",
    "too large",
    "too small",
    "out of the question",
];

/// Whether what follows a value says that it is not so: ` is impossible`, `, which is wrong`.
pub(crate) fn after(behind: &str) -> bool {
    let head: String = behind.chars().take(80).collect();
    let head = head.to_ascii_lowercase().replace('’', "'");
    let mut rest = head.trim_start_matches([' ', ',', '*', '_', '"', '$', '~']);
    for lead in ["which ", "but that ", "but this ", "but it ", "that "] {
        rest = rest.strip_prefix(lead).unwrap_or(rest);
    }
    let begins = |text: &str, words: &str| {
        text.strip_prefix(words)
            .is_some_and(|next| !next.starts_with(char::is_alphanumeric))
    };
    // `5不是答案`.
    if [
        "不是",
        "不对",
        "不正确",
        "不成立",
        "不符合",
        "不可能",
        "是错",
        "错误",
    ]
    .iter()
    .any(|words| rest.starts_with(words))
    {
        return true;
    }
    if NEGATED_VERBS.iter().any(|words| begins(rest, words)) {
        return true;
    }
    if let Some(fails) = ["does not ", "doesn't ", "do not ", "don't ", "fails to "]
        .iter()
        .find_map(|words| rest.strip_prefix(words))
    {
        return FAILING.iter().any(|words| fails.starts_with(words));
    }
    let Some(said) = VERBS.iter().find_map(|verb| rest.strip_prefix(verb)) else {
        return false;
    };
    let said = ADVERBS
        .iter()
        .find_map(|adverb| said.strip_prefix(adverb))
        .unwrap_or(said);
    DENIALS_AFTER.iter().any(|words| begins(said, words))
}

/// The text without the questions at its end, which state nothing.
pub(crate) fn without_questions(text: &str) -> &str {
    const ROUNDS: usize = 16;
    let mut text = text;
    for _ in 0..ROUNDS {
        let end = text.trim_end_matches([' ', '\n', '\t', '\r', '*', '_', '"', ')']);
        let Some(question) = end.strip_suffix('?') else {
            break;
        };
        let begins = [". ", "! ", "? ", "\n", "$$", "\\]"]
            .iter()
            .filter_map(|mark| question.rfind(mark).map(|at| at + mark.len()))
            .max();
        text = &text[..begins.unwrap_or(0)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_and_what_is_none() {
        for text in [
            "I doubt that the answer is ",
            "I don’t think it is ",
            "It is unlikely that ",
        ] {
            assert!(before(text), "{text}");
        }
        for text in [
            "There is no doubt that it is ",
            "I am not sure whether 4 fits, but it is ",
            "It is not true that it is 4. It is ",
        ] {
            assert!(!before(text), "{text}");
        }
        for text in [
            " is impossible.",
            ", which is not possible",
            " can't be right",
            " does not work",
        ] {
            assert!(after(text), "{text}");
        }
        for text in [
            " is the answer",
            ", which is notable",
            " apples",
            " wrong answers",
            "",
        ] {
            assert!(!after(text), "{text}");
        }
    }

    #[test]
    fn questions_at_the_end_are_left_out() {
        assert_eq!(without_questions("Is the answer 5?"), "");
        assert_eq!(without_questions("It is 5. Is 6 more?").trim(), "It is 5.");
        assert_eq!(without_questions("What is 2+2? 4"), "What is 2+2? 4");
    }
}
