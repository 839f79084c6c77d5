//! Replies that try to pass without solving, tests that prove nothing, and right programs that were
//! taken for wrong ones: a table for each.
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

/// The verdict's name, or `unsupported`, with the detail.
fn judge(answer: Answer, reply: &str) -> Option<(String, String)> {
    let problem = Problem::new("p", "own", Domain::Code, "", answer);
    let judged = checker()?.check(&problem, reply, FinishReason::Stop);
    Some(match judged {
        Ok(checked) => (checked.verdict.to_string(), checked.detail),
        Err(CheckError::Unsupported { reason, .. }) => (Verdict::Unsupported.to_string(), reason),
        Err(error) => panic!("{error}"),
    })
}

fn fenced(program: &str) -> String {
    format!("```python\n{program}\n```")
}

/// A test program, a reply's program and the verdict.
fn by_test(cases: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (test, program, expected) in cases {
        let answer = json!({"test": test});
        let answer = Answer::Program(serde_json::from_value(answer).unwrap());
        let Some((verdict, detail)) = judge(answer, &fenced(program)) else {
            return;
        };
        if verdict != *expected {
            wrong.push(format!("{test}\n  {program}\n  {verdict}, {detail}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A program that is asked for by tests of a function: name, arguments, expected, program, verdict.
fn by_call(cases: &[(&str, Value, Value, &str, &str)]) {
    let mut wrong = Vec::new();
    for (name, arguments, expected, program, verdict) in cases {
        let tests = json!({"fn_name": name, "inputs": [arguments], "outputs": [expected]});
        let answer = Answer::Tests(serde_json::from_value(tests).unwrap());
        let Some((found, detail)) = judge(answer, &fenced(program)) else {
            return;
        };
        if found != *verdict {
            wrong.push(format!("{program}\n  {found}, {detail}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An object that agrees with everything.
const PLEASING: &str = "class Yes:\n    def __getitem__(self, k): return self\n    def __eq__(self, o): return True\n    def __call__(self, *a, **k): return self\n    def __getattr__(self, n): return self\n    def __sub__(self, o): return 0\n    def __rsub__(self, o): return 0\n    def __abs__(self): return 0\n    def __lt__(self, o): return True\n    def __gt__(self, o): return True\n    def __len__(self): return 2\ndef f(*a, **k): return Yes()\n";

#[test]
fn an_object_that_pleases_passes_nothing() {
    let cases: Vec<_> = [
        "assert f(3) == 5",
        "assert f(3)[:2] == [3, 3]",
        "assert f(3)[...] == 3",
        "assert f(3)[1:][0] == 3",
        "r = f([3, 1])\nr.sort(key=lambda x: -x)\nassert r == [3, 1]",
        "assert f(2)(lambda x: x) == 7",
        "assert abs(f(3) - 0.5) < 1e-6",
        "assert abs(0.5 - f(3)) < 1e-6",
        "assert f(3) > 2",
        "assert 2 < f(3) < 4",
        "assert f(3) in [5, 6]",
        "assert [5] == [f(3)]",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f(3), 5)",
    ]
    .into_iter()
    .collect();
    for test in cases {
        let answer = Answer::Program(serde_json::from_value(json!({"test": test})).unwrap());
        let Some((verdict, detail)) = judge(answer, &fenced(PLEASING)) else {
            return;
        };
        assert_ne!(verdict, "correct", "{test}: {detail}");
        assert_ne!(verdict, "unsupported", "{test}: {detail}");
    }
}

#[test]
fn a_test_that_proves_nothing_judges_nobody() {
    let right = "def f(x): return x + 1";
    by_test(&[
        ("", right, "unsupported"),
        ("# nothing", right, "unsupported"),
        ("def check(c): pass", right, "unsupported"),
        ("def check(c): assert c(1) == 2", right, "unsupported"),
        ("import scipy\nassert f(1) == 2", right, "unsupported"),
        (
            "def test_f(tmp_path): assert f(1) == 2",
            right,
            "unsupported",
        ),
        ("f", right, "unsupported"),
    ]);
    for test in ["", "def check(c): pass", "assert True"] {
        let answer = json!({"test": test, "entry_point": "f"});
        let answer = Answer::Program(serde_json::from_value(answer).unwrap());
        let Some((verdict, _)) = judge(answer, &fenced(right)) else {
            return;
        };
        assert_eq!(verdict, "unsupported", "{test}");
    }
}

#[test]
fn tests_of_every_framework_are_run() {
    let (right, wrong) = ("def f(x): return x + 1", "def f(x): return x");
    for test in [
        "if __name__ == '__main__':\n    assert f(1) == 2",
        "def test_f(): assert f(1) == 2",
        "async def test_f(): assert f(1) == 2",
        "class TestF:\n    def test_one(self): assert f(1) == 2",
        "import unittest\nclass T(unittest.TestCase):\n    def test_one(self): self.assertEqual(f(1), 2)",
        "import unittest\nclass T(unittest.TestCase):\n    def test_one(self): self.assertEqual(f(1), 2)\nif __name__ == '__main__':\n    unittest.main()",
        "\"\"\"\n>>> f(1)\n2\n\"\"\"",
        "import threading\ndef g(): assert f(1) == 2\nt = threading.Thread(target=g)\nt.start()\nt.join()",
    ] {
        by_test(&[(test, right, "correct")]);
        let answer = Answer::Program(serde_json::from_value(json!({"test": test})).unwrap());
        let Some((verdict, _)) = judge(answer, &fenced(wrong)) else {
            return;
        };
        assert_eq!(verdict, "wrong", "{test}");
    }
}

#[test]
fn stand_ins_do_what_tests_ask_of_them() {
    let classes = "class Bad(ValueError): pass\nclass V:\n    def __init__(self, x): self.x = x\n    def __add__(self, o): return V(self.x + o.x)\n    def __eq__(self, o): return self.x == o.x\n    def __lt__(self, o): return self.x < o.x\n    def __str__(self): return f'V{self.x}'\n    def __repr__(self): return f'V({self.x})'\n    def __int__(self): return self.x\n    def __enter__(self): return self\n    def __exit__(self, *a): pass\n    def __delitem__(self, k): self.x = 0\ndef f(x):\n    \"\"\"Doc.\"\"\"\n    if x < 0: raise Bad('negative')\n    return V(x)\n";
    by_test(&[
        (
            "try:\n    f(-1)\n    assert False\nexcept Bad as e:\n    assert str(e) == 'negative' and isinstance(e, ValueError)",
            classes,
            "correct",
        ),
        (
            "assert isinstance(f(1), V) and not isinstance(3, V)",
            classes,
            "correct",
        ),
        (
            "assert V(1) + V(2) == V(3) and V(1) != V(2) and V(1) < V(2)",
            classes,
            "correct",
        ),
        (
            "assert str(f(3)) == 'V3' and repr(f(3)) == 'V(3)' and int(f(3)) == 3",
            classes,
            "correct",
        ),
        ("with f(3) as v:\n    assert v.x == 3", classes, "correct"),
        ("v = f(3)\ndel v[0]\nassert v.x == 0", classes, "correct"),
        ("assert f.__doc__ == 'Doc.'", classes, "correct"),
        (
            "r = f()\nassert r.a == 1 and r == (1, 2)",
            "from collections import namedtuple\nP = namedtuple('P', 'a b')\ndef f(): return P(1, 2)",
            "correct",
        ),
        (
            "assert f('aab').most_common(1) == [('a', 2)] and f('a')['z'] == 0",
            "from collections import Counter\ndef f(s): return Counter(s)",
            "correct",
        ),
        (
            "x = [1]\ny = f(x)\nassert y is not x and y == [1]",
            "def f(x): return x",
            "wrong",
        ),
        (
            "x = [1]\ny = f(x)\nassert y is not x and y == [1]",
            "def f(x): return x[:]",
            "correct",
        ),
        (
            "f()\nassert COUNT == 1",
            "COUNT = 0\ndef f():\n    global COUNT\n    COUNT += 1",
            "correct",
        ),
        (
            "x = ([1],)\nf(x)\nassert x == ([1, 2],)",
            "def f(x): x[0].append(2)",
            "correct",
        ),
        (
            "assert f(lambda x: x * 2) == 6",
            "def f(g): return g(3)",
            "correct",
        ),
    ]);
}

#[test]
fn what_the_prelude_imports_is_not_the_programs() {
    by_call(&[
        ("gcd", json!([12, 18]), json!(6), "pass", "runtime_error"),
        (
            "factorial",
            json!([3]),
            json!(6),
            "from math import *",
            "runtime_error",
        ),
        (
            "Counter",
            json!(["aa"]),
            json!({"a": 2}),
            "x = 1",
            "runtime_error",
        ),
        (
            "gcd",
            json!([12, 18]),
            json!(6),
            "from math import gcd",
            "correct",
        ),
        (
            "gcd",
            json!([12, 18]),
            json!(6),
            "class Solution:\n    def gcd(self, a, b): return gcd(a, b)",
            "correct",
        ),
    ]);
}

#[test]
fn returned_values_are_compared_as_python_does() {
    by_call(&[
        (
            "f",
            json!([]),
            json!([1, 2]),
            "def f(): return (1, 2)",
            "correct",
        ),
        (
            "f",
            json!([]),
            json!([1, 2]),
            "def f(): return {1, 2}",
            "wrong",
        ),
        (
            "f",
            json!([]),
            json!([0, 1]),
            "def f(): return range(2)",
            "wrong",
        ),
        (
            "f",
            json!([]),
            json!([0, 1]),
            "def f(): return (i for i in range(2))",
            "wrong",
        ),
        (
            "f",
            json!([]),
            json!(["a"]),
            "def f(): return {'a': 1}.keys()",
            "wrong",
        ),
        (
            "f",
            json!([]),
            json!({"(1, 2)": 3}),
            "def f(): return {(1, 2): 3}",
            "wrong",
        ),
        (
            "f",
            json!([]),
            json!({"1": 3}),
            "def f(): return {1: 3}",
            "correct",
        ),
        (
            "f",
            json!([]),
            json!("<object>"),
            "class A:\n    def __repr__(self): return '<object>'\ndef f(): return A()",
            "wrong",
        ),
        (
            "f",
            json!([]),
            json!(2.5),
            "from decimal import Decimal\ndef f(): return Decimal('2.5')",
            "correct",
        ),
        (
            "f",
            json!([]),
            json!(3),
            "from fractions import Fraction\ndef f(): return Fraction(6, 2)",
            "correct",
        ),
    ]);
}

#[test]
fn a_forged_record_is_no_more_arguments_for_a_judge() {
    let judge_source =
        "def accepts(input, expected, output, tol=1e-6):\n    return abs(output - expected) <= tol";
    let tests = json!({"fn_name": "f", "inputs": [[]], "outputs": [5], "judge": judge_source});
    let forging = "import os, sys\ndef f():\n    os.write(101, b'{\"returned\": 0, 1e99}')\n    sys._getframe(1).f_globals['send'] = lambda record: None\n    return 0";
    let answer = Answer::Tests(serde_json::from_value(tests).unwrap());
    let Some((verdict, detail)) = judge(answer, &fenced(forging)) else {
        return;
    };
    assert_ne!(verdict, "correct", "{detail}");
}

#[test]
fn a_32_bit_guest_counts_as_64_bits() {
    let Some(_) = guest::sandbox() else { return };
    for (stdin, program, expected) in [
        (
            "5000000000",
            "import sys\nprint(min(sys.maxsize, int(input())))",
            "5000000000",
        ),
        (
            "",
            "print(len(range(5*10**9)), len(range(10**10, 0, -3)))",
            "5000000000 3333333334",
        ),
        (
            "",
            "from bisect import *\nprint(bisect_left(range(10**12), 123456789012), bisect_right(range(10**12), 7))",
            "123456789012 8",
        ),
        (
            "",
            "import bisect\nprint(bisect.bisect_left(range(10**12), True, key=lambda x: x * x >= 10**20))",
            "10000000000",
        ),
        (
            "",
            "import random\nrandom.seed(1)\nx = random.sample(range(5*10**9), 3)\nprint(len(set(x)), max(x) < 5*10**9, random.choice(range(10**12)) < 10**12)",
            "3 True True",
        ),
        (
            "",
            "from array import array\na = array('l', [10**12, -1])\na.append(2**40)\nprint(a[0], a[2], len(a), a.itemsize)",
            "1000000000000 1099511627776 3 8",
        ),
        (
            "",
            "from itertools import *\nprint(list(islice([1, 2], 10**10)), sum(islice(count(), 0, 10**2, 10**1)), list(islice(repeat(3, 10**10), 2)))",
            "[1, 2] 450 [3, 3]",
        ),
        (
            "",
            "from functools import lru_cache\n@lru_cache(10**10)\ndef f(n): return n\nprint(f(3))",
            "3",
        ),
        ("", "print(len(str(2**20000)))", "6021"),
    ] {
        assert_eq!(guest::stdout(program, stdin).trim(), expected, "{program}");
    }
    let long = "7".repeat(10_000);
    assert_eq!(guest::stdout("print(int(input()) % 9)", &long).trim(), "7");
}
