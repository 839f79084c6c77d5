use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Json, Version};

/// What kind of answer a problem has, and so who checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// An expression compared by value.
    Math,
    /// A program run against tests.
    Code,
    /// One letter out of a few.
    Choice,
    /// A logic or science puzzle with a short answer.
    Puzzle,
}

/// One line of `problems.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Format version, 1.
    #[serde(default)]
    pub v: Version<1>,
    /// Unique within a file; samples and verdicts refer to it.
    pub id: String,
    /// Where the problem comes from: a dataset's name, or a generator's family.
    pub source: String,
    /// Who checks the answer.
    pub domain: Domain,
    /// What the model is asked.
    pub prompt: String,
    /// What a right reply has to match.
    pub answer: Answer,
    /// Whatever else the source says (level, year, subject); no stage depends on it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

impl Problem {
    /// A problem with empty `meta`.
    pub fn new(
        id: impl Into<String>,
        source: impl Into<String>,
        domain: Domain,
        prompt: impl Into<String>,
        answer: Answer,
    ) -> Self {
        Self {
            v: Version,
            id: id.into(),
            source: source.into(),
            domain,
            prompt: prompt.into(),
            answer,
            meta: Map::new(),
        }
    }
}

/// What a right reply has to match. On disk: `{"math": "3/4"}`, `{"choice": "B"}`, `{"tests":
/// {...}}` or `{"program": {...}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A mathematical value in LaTeX or plain text.
    Math(String),
    /// The letter of the right choice.
    Choice(String),
    /// Inputs with the outputs expected of the program.
    Tests(Tests),
    /// A test program that runs beside the candidate.
    Program(Program),
}

/// Input/output tests under the field names that APPS, TACO and LiveCodeBench use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// One entry a test: a string for standard input, or the list of arguments when `fn_name` is
    /// set; with `starter_code`, an object of arguments by name too.
    pub inputs: Vec<Json>,
    /// One entry a test: what is expected on standard output, or returned.
    pub outputs: Vec<Json>,
    /// The function (or method of `class Solution`) to call; without it the program reads standard
    /// input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fn_name: Option<String>,
    /// The code that a solver starts from. Its annotations say which arguments and results of
    /// `fn_name` are LeetCode's `ListNode` and `TreeNode`, which tests write as lists of values. A
    /// function that returns `None` answers in its first argument. When `fn_name` is a class of it,
    /// a test has the names of the calls and the arguments of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starter_code: Option<String>,
    /// The harness that the tests were written for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub harness: Harness,
    /// Time limit of one test in seconds on a native interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<f64>,
    /// Further outputs that are as right as `outputs`: none at all, or one list a test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Vec<Json>>,
    /// How standard output is compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub compare: Compare,
    /// Most that a number with a fraction may be off, absolutely or relative to the expected one;
    /// 1e-6 unless given. With 0 it must have the same value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// A special judge, for problems with many right outputs: Python source that defines
    /// `accepts(input, expected, output)`. It is asked instead of comparing, in an interpreter of
    /// its own, and accepts with `True`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
}

/// What a benchmark's own harness puts around a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harness {
    /// Nothing for a program that reads standard input; common imports for one whose function is
    /// called: APPS, TACO.
    #[default]
    Plain,
    /// Common imports for both, and a recursion limit of 50,000: LiveCodeBench.
    LiveCodeBench,
}

/// How standard output is compared with what is expected. Blanks at the end of the output never
/// count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// Line by line, blanks around a line not counted: APPS, TACO, LiveCodeBench.
    #[default]
    Lines,
    /// Character by character, numbers included.
    Exact,
    /// Word by word, however they are spread over lines: CodeContests.
    Words,
    /// As `words`, capitals or not: many a Codeforces problem takes "YES" and "yes".
    WordsAnyCase,
    /// As `lines`, in any order.
    LinesAnyOrder,
    /// As `words`, in any order.
    WordsAnyOrder,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Assert-style tests: HumanEval's `check(candidate)`, MBPP's assertions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Python source that raises when the candidate is wrong.
    pub test: String,
    /// The function under test, or an expression that ends with it (`Solution().add`). When set,
    /// the last thing run is `check(<entry_point>)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<String>,
    /// Source that stands before the candidate: HumanEval's signature and docstring, for
    /// completions that continue them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Time limit of the whole run in seconds on a native interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<f64>,
}
