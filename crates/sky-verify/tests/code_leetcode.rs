//! Problems as LeetCode and LiveCodeBench pose them: linked lists and trees, arguments by name,
//! answers left in place, classes, and what LiveCodeBench's harness puts around a program.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "../../sky-sandbox/tests/guest/mod.rs"]
mod guest;

use std::sync::OnceLock;

use serde_json::{Value, json};
use sky_types::{Answer, Check, CheckError, Domain, FinishReason, Problem, Verdict};
use sky_verify::CodeCheck;

fn checker() -> Option<&'static CodeCheck> {
    static CHECKER: OnceLock<CodeCheck> = OnceLock::new();
    guest::sandbox()?;
    Some(CHECKER.get_or_init(|| CodeCheck::open(&guest::sky_home()).unwrap()))
}

/// The verdict's name with its detail.
fn judge(tests: &Value, program: &str) -> Option<String> {
    judged(
        Answer::Tests(serde_json::from_value(tests.clone()).unwrap()),
        program,
    )
}

fn judged(answer: Answer, program: &str) -> Option<String> {
    let problem = Problem::new("p", "own", Domain::Code, "", answer);
    let reply = format!("```python\n{program}\n```");
    Some(
        match checker()?.check(&problem, &reply, FinishReason::Stop) {
            Ok(checked) => format!("{}: {}", checked.verdict, checked.detail),
            Err(CheckError::Unsupported { reason, .. }) => {
                format!("{}: {reason}", Verdict::Unsupported)
            }
            Err(error) => panic!("{error}"),
        },
    )
}

/// Starter code, one input, what is expected, and programs with the verdict's name.
fn table(name: &str, starter_code: &str, input: Value, output: Value, programs: &[(&str, &str)]) {
    let tests = json!({
        "fn_name": name, "starter_code": starter_code,
        "inputs": Value::Array(vec![input]), "outputs": Value::Array(vec![output]),
    });
    for (expected, program) in programs {
        let Some(found) = judge(&tests, program) else {
            return;
        };
        assert!(found.starts_with(expected), "{program}\n{found}");
    }
}

#[test]
fn linked_lists() {
    let reverse = "class Solution:\n    def reverse(self, head: Optional[ListNode]) -> Optional[ListNode]:\n        ";
    let program = "class Solution:\n    def reverse(self, head):\n        last = None\n        while head: head.next, last, head = last, head, head.next\n        return last";
    let own = format!(
        "class ListNode:\n    def __init__(self, x):\n        self.val = x\n        self.next = None\n{program}"
    );
    let endless = "class Solution:\n    def reverse(self, head):\n        head.next = head\n        return head";
    let with = "class Solution:\n    def reverse(self, head):\n        out = None\n        while head:\n            out = ListNode(head.val, out)\n            head = head.next\n        return out";
    table(
        "reverse",
        reverse,
        json!([[1, 2, 3]]),
        json!([3, 2, 1]),
        &[
            ("correct", program),
            ("correct", &own),
            ("correct", with),
            (
                "wrong",
                "class Solution:\n    def reverse(self, head): return head",
            ),
            (
                "wrong",
                "class Solution:\n    def reverse(self, head): return None",
            ),
            ("runtime_error", endless),
            (
                "runtime_error",
                "class Solution:\n    def reverse(self, head): return [3, 2, 1]",
            ),
        ],
    );
    table(
        "reverse",
        reverse,
        json!([[]]),
        json!([]),
        &[("correct", program)],
    );
    table(
        "merge",
        "class Solution:\n    def merge(self, lists: List[Optional[ListNode]]) -> Optional[ListNode]: pass",
        json!([[[1, 4], [], [2]]]),
        json!([1, 2, 4]),
        &[(
            "correct",
            "class Solution:\n    def merge(self, lists):\n        values = []\n        for item in lists:\n            while item: values.append(item.val); item = item.next\n        out = None\n        for value in sorted(values, reverse=True): out = ListNode(value, out)\n        return out",
        )],
    );
}

#[test]
fn trees() {
    let invert =
        "class Solution:\n    def invert(self, root: Optional[TreeNode]) -> Optional[TreeNode]:";
    let program = "class Solution:\n    def invert(self, root):\n        if root: root.left, root.right = self.invert(root.right), self.invert(root.left)\n        return root";
    table(
        "invert",
        invert,
        json!([[1, 2, Value::Null, 3]]),
        json!([1, Value::Null, 2, Value::Null, 3]),
        &[
            ("correct", program),
            (
                "wrong",
                "class Solution:\n    def invert(self, root): return root",
            ),
            (
                "runtime_error",
                "class Solution:\n    def invert(self, root):\n        root.left = root\n        return root",
            ),
        ],
    );
    table(
        "depth",
        "class Solution:\n    def depth(self, root: 'TreeNode | None') -> int:",
        json!({"root": [3, 9, 20, Value::Null, Value::Null, 15, 7]}),
        json!(3),
        &[(
            "correct",
            "class Solution:\n    def depth(self, root):\n        return 1 + max(self.depth(root.left), self.depth(root.right)) if root else 0",
        )],
    );
}

#[test]
fn arguments_by_name_and_answers_in_place() {
    let add = json!({
        "fn_name": "f", "starter_code": "def f(a: int, b: int) -> int:",
        "inputs": [{"b": 1, "a": 5}], "outputs": [4],
    });
    for (expected, program) in [
        ("correct", "def f(a, b): return a - b"),
        ("wrong", "def f(b, a): return b - a - 100"),
        ("runtime_error", "def f(x, y): return x - y"),
    ] {
        let Some(found) = judge(&add, program) else {
            return;
        };
        assert!(found.starts_with(expected), "{program}\n{found}");
    }
    // Its keys are no parameters: one argument, its keys numbers again.
    let count = json!({"fn_name": "f", "starter_code": "def f(d: dict):", "inputs": [{"1": 5}], "outputs": [1]});
    let found = judge(&count, "def f(d): return min(d)").unwrap();
    assert!(found.starts_with("correct"), "{found}");
    table(
        "sort",
        "class Solution:\n    def sort(self, nums: List[int]) -> None:\n        \"\"\"In place.\"\"\"",
        json!([[2, 0, 1]]),
        json!([0, 1, 2]),
        &[
            (
                "correct",
                "class Solution:\n    def sort(self, nums): nums.sort()",
            ),
            (
                "wrong",
                "class Solution:\n    def sort(self, nums): return sorted(nums)",
            ),
        ],
    );
}

#[test]
fn classes_are_driven_call_by_call() {
    let starter = "class Counter2:\n\n    def __init__(self, start: int):\n        \n\n    def add(self, by: int) -> None:\n        \n\n    def get(self) -> int:\n        \n";
    table(
        "Counter2",
        starter,
        json!([["Counter2", "add", "get"], [[5], [2], []]]),
        json!([Value::Null, Value::Null, 7]),
        &[
            (
                "correct",
                "class Counter2:\n    def __init__(self, start): self.n = start\n    def add(self, by): self.n += by\n    def get(self): return self.n",
            ),
            (
                "wrong",
                "class Counter2:\n    def __init__(self, start): self.n = start\n    def add(self, by): pass\n    def get(self): return self.n",
            ),
            (
                "runtime_error",
                "class Counter2:\n    def __init__(self, start): self.n = start",
            ),
        ],
    );
    table(
        "Walk",
        "class Walk:\n    def __init__(self, root: Optional[TreeNode]):\n    def next(self) -> int:",
        json!([["Walk", "next", "next"], [[[2, 1, 3]], [], []]]),
        json!([Value::Null, 1, 2]),
        &[(
            "correct",
            "class Walk:\n    def __init__(self, root):\n        def go(at):\n            if at:\n                yield from go(at.left)\n                yield at.val\n                yield from go(at.right)\n        self.it = go(root)\n    def next(self): return next(self.it)",
        )],
    );
}

#[test]
fn types_that_no_test_builds_are_unsupported() {
    table(
        "clone",
        "class Solution:\n    def clone(self, node: Optional['Node']) -> Optional['Node']:",
        json!([[[2], [1]]]),
        json!([[2], [1]]),
        &[(
            "unsupported",
            "class Solution:\n    def clone(self, node): return node",
        )],
    );
}

#[test]
fn live_code_bench_lends_its_imports_and_a_deep_stack() {
    let stdin = json!({"inputs": ["3 1 2\n"], "outputs": ["1 20000\n"]});
    let mut lent = stdin.clone();
    lent["harness"] = json!("live_code_bench");
    let program = "h = list(map(int, input().split()))\nheapify(h)\ndef f(n): return n and 1 + f(n - 1)\nprint(heappop(h), f(20000))";
    for (tests, expected) in [(stdin, "runtime_error"), (lent, "correct")] {
        let Some(found) = judge(&tests, program) else {
            return;
        };
        assert!(found.starts_with(expected), "{found}");
    }
}

/// Problems of a `check` function: the prefix and the test as LeetCodeDataset writes them.
#[test]
fn a_method_is_an_entry_point() {
    let prefix = "from typing import *\nclass ListNode:\n    def __init__(self, val=0, next=None):\n        self.val = val\n        self.next = next\n\ndef list_node(values):\n    head = None\n    for value in reversed(values): head = ListNode(value, head)\n    return head\n\ndef is_same_list(p, q):\n    while p and q:\n        if p.val != q.val: return False\n        p, q = p.next, q.next\n    return p is None and q is None\n";
    let plain = "def check(candidate):\n    assert candidate(nums = [3, 1], k = 2) == [1, 3, 2]\n";
    let nodes = "def check(candidate):\n    assert is_same_list(candidate(head = list_node([1, 2])), list_node([2, 1]))\n";
    let reverse = "class Solution:\n    def f(self, head: Optional[ListNode]) -> Optional[ListNode]:\n        last = None\n        while head: head.next, last, head = last, head, head.next\n        return last";
    let cases = [
        (
            plain,
            "class Solution:\n    def f(self, nums, k): return sorted(nums) + [k]",
            "correct",
        ),
        (
            plain,
            "class Solution:\n    def f(self, nums, k): return [k]",
            "wrong",
        ),
        (
            plain,
            "class Solution:\n    def g(self, nums, k): return [k]",
            "runtime_error",
        ),
        (
            "def check(candidate): pass",
            "class Solution:\n    def f(self): pass",
            "unsupported",
        ),
        (nodes, reverse, "correct"),
        (
            nodes,
            "class Solution:\n    def f(self, head): return head",
            "wrong",
        ),
    ];
    for (test, program, expected) in cases {
        let answer = json!({"test": test, "prefix": prefix, "entry_point": "Solution().f"});
        let answer = Answer::Program(serde_json::from_value(answer).unwrap());
        let Some(found) = judged(answer, program) else {
            return;
        };
        assert!(found.starts_with(expected), "{test}\n{program}\n{found}");
    }
}

/// HumanEval+ and MBPP+ compare with numpy.
#[test]
fn tests_use_what_they_need_of_numpy() {
    let test = "import numpy as np\n\ndef is_floats(x):\n    if isinstance(x, float): return True\n    if isinstance(x, (list, tuple)): return all(isinstance(i, float) for i in x)\n    if isinstance(x, np.ndarray): return x.dtype == np.float64 or x.dtype == np.float32\n    return False\n\ndef assertion(out, exp, atol):\n    if atol == 0 and is_floats(exp): atol = 1e-6\n    if out != exp and atol != 0:\n        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n    else:\n        assert out == exp\n\ndef check(candidate):\n    assertion(candidate(1), [0.1, 0.3], 0)\n    assertion(candidate(0), [], 0)\n";
    let cases = [
        ("def f(n): return [0.1, 0.1 + 0.2][:2 * n]", "correct"),
        ("def f(n): return [0.1, 0.31][:2 * n]", "wrong"),
        ("def f(n): return [0.1, 0.3, 0.3][:3 * n]", "runtime_error"),
        ("def f(n): return ['0.1', 0.3][:2 * n]", "runtime_error"),
        ("def f(n): return [float('nan'), 0.3][:2 * n]", "wrong"),
        (
            "class A:\n    def __sub__(self, other): return 0\n    __rsub__ = __sub__\ndef f(n): return [A(), A()][:2 * n]",
            "runtime_error",
        ),
        (
            "import numpy\ndef f(n): return [0.1, 0.3][:2 * n]",
            "runtime_error",
        ),
    ];
    for (program, expected) in cases {
        let answer = json!({"test": test, "entry_point": "f"});
        let answer = Answer::Program(serde_json::from_value(answer).unwrap());
        let Some(found) = judged(answer, program) else {
            return;
        };
        assert!(found.starts_with(expected), "{program}\n{found}");
    }
    let more = json!({"test": "import numpy as np\nassert np.linalg.det(f(1)) == 1"});
    let answer = Answer::Program(serde_json::from_value(more).unwrap());
    let Some(found) = judged(answer, "def f(n): return n") else {
        return;
    };
    assert_eq!(found, "unsupported: its test uses numpy.linalg");
}
