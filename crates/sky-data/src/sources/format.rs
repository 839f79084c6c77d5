use serde::{Deserialize, Serialize};

/// The format of a file's rows: the public data set that they are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Our own `problems.jsonl`.
    Problems,
    /// GSM8K: `question`, `answer` ending in `#### 18`.
    Gsm8k,
    /// MATH, AMC, OlympiadBench-like: `problem`, `answer` or a `solution` with a box.
    Math,
    /// AIME: as MATH, also `prompt`, `Problem` or `Question` for the question and `Answer`.
    Aime,
    /// NuminaMath-CoT: `source`, `problem`, `solution` with a box.
    Numina,
    /// MBPP: `text`, `test_list`, `test_setup_code`.
    Mbpp,
    /// APPS: `question`, `input_output`, `starter_code`.
    Apps,
    /// TACO: APPS' fields.
    Taco,
    /// LiveCodeBench: `question_content`, `public_test_cases`, `private_test_cases`.
    LiveCodeBench,
    /// OlympiadBench: `question`, `final_answer`, `unit`.
    #[serde(rename = "olympiadbench")]
    OlympiadBench,
    /// GPQA: `Question`, `Correct Answer`, `Incorrect Answer 1` to `3`; options in a seeded order.
    Gpqa,
    /// ARC: `question`, `choices` with `text` and `label`, `answerKey`.
    Arc,
    /// MMLU: `question`, a list `choices`, `answer` from 0.
    Mmlu,
    /// HumanEval: `prompt`, `test`, `entry_point`.
    HumanEval,
}

impl Format {
    /// Every format with its name on the command line.
    pub const ALL: [(&'static str, Self); 14] = [
        ("problems", Self::Problems),
        ("gsm8k", Self::Gsm8k),
        ("math", Self::Math),
        ("aime", Self::Aime),
        ("numina", Self::Numina),
        ("mbpp", Self::Mbpp),
        ("apps", Self::Apps),
        ("taco", Self::Taco),
        ("livecodebench", Self::LiveCodeBench),
        ("olympiadbench", Self::OlympiadBench),
        ("gpqa", Self::Gpqa),
        ("arc", Self::Arc),
        ("mmlu", Self::Mmlu),
        ("humaneval", Self::HumanEval),
    ];

    /// Its name on the command line, which is also the `source` of its problems.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, format)| *format == self)
            .map_or("problems", |(name, _)| name)
    }

    /// The format with this name; none for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, format)| *format)
    }
}
