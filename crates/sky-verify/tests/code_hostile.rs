//! Each test attacks one property and is named after it. None may hang, crash, leak, or reach the
//! host.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "../../sky-sandbox/tests/guest/mod.rs"]
mod guest;

use guest::{run, sandbox};
use sky_sandbox::{Exit, Limits, Outcome};
use sky_types::{Answer, Check, Domain, FinishReason, Problem, Program, Verdict};
use sky_verify::CodeCheck;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs under a fifth of a native second, as most attacks need no more.
fn attack(program: &str) -> Option<Outcome> {
    Some(sandbox()?.run(program, b"", &Limits::seconds(0.2)).unwrap())
}

/// The program tries `expression` and prints what came of it.
fn probe(expression: &str) -> Option<String> {
    let program = format!(
        "import os, sys\ntry:\n    print('GOT', repr({expression})[:200])\nexcept BaseException as e:\n    print('NO', type(e).__name__, e)\n"
    );
    Some(text(&attack(&program)?.stdout))
}

macro_rules! denied {
    ($($name:ident: $expression:expr;)*) => {$(
        #[test]
        fn $name() {
            let Some(found) = probe($expression) else { return };
            assert!(found.starts_with("NO "), "{found}");
        }
    )*};
}

macro_rules! ends_with {
    ($($name:ident: $program:expr => $exit:pat,)*) => {$(
        #[test]
        fn $name() {
            let Some(outcome) = attack($program) else { return };
            assert!(matches!(&outcome.exit, $exit), "{:?} {}", outcome.exit, text(&outcome.stderr));
        }
    )*};
}

#[test]
fn alarms_and_limits_change_nothing() {
    let program = "import resource, signal\n\
        signal.signal(signal.SIGALRM, lambda *a: print('rang'))\n\
        signal.alarm(1)\n\
        resource.setrlimit(resource.RLIMIT_AS, (1, 1))\n\
        print(len(bytes(1 << 20)), resource.getrlimit(resource.RLIMIT_CPU))";
    let Some(outcome) = attack(program) else {
        return;
    };
    assert_eq!(text(&outcome.stdout), "1048576 (-1, -1)\n");
}

denied! {
    no_tests_of_the_interpreter: "__import__('_testcapi')";
    no_internal_tests_of_the_interpreter: "__import__('_testinternalcapi')";
    no_process_can_be_forked: "os.fork()";
    no_shell_can_be_run: "os.system('id')";
    no_pipe_to_a_program: "os.popen('id').read()";
    no_subprocess: "__import__('subprocess').run(['id'])";
    no_exec: "os.execv('/bin/sh', ['sh'])";
    no_spawn: "os.spawnv(0, '/bin/sh', ['sh'])";
    no_process_pool: "__import__('multiprocessing').Pool(2)";
    no_kill: "os.kill(1, 9)";
    no_socket: "__import__('socket').create_connection(('127.0.0.1', 80))";
    no_url: "__import__('urllib.request').request.urlopen('file:///etc/passwd').read()";
    no_http: "__import__('http.client').client.HTTPConnection('127.0.0.1').request('GET', '/')";
    no_name_resolution: "__import__('socket').getaddrinfo('localhost', 80)";
    no_host_file_can_be_read: "open('/etc/passwd').read()";
    no_relative_file_can_be_read: "open('Cargo.toml').read()";
    no_climbing_path: "open('../../../../etc/passwd').read()";
    no_proc: "open('/proc/self/maps').read()";
    no_device: "open('/dev/zero', 'rb').read(10)";
    no_file_can_be_written: "open('x', 'w')";
    no_absolute_file_can_be_written: "open('/tmp/x', 'wb')";
    no_append: "open('/tmp/x', 'a')";
    no_folder_can_be_listed: "os.listdir('/')";
    no_current_folder: "os.listdir('.')";
    no_library_folder: "os.listdir('/lib/python3.11')";
    no_library_file: "open('/lib/python3.11/os.py').read()";
    no_driver_file: "open('/driver.py').read()";
    no_folder_can_be_made: "os.mkdir('/x')";
    no_file_can_be_removed: "os.unlink('/driver.py')";
    no_link: "os.symlink('/etc/passwd', '/x')";
    no_rename: "os.rename('/a', '/b')";
    no_temporary_file: "__import__('tempfile').NamedTemporaryFile()";
    no_stat_of_the_host: "os.stat('/etc/passwd')";
    no_ctypes: "__import__('ctypes')";
    no_unknown_descriptor: "os.read(7, 10)";
    no_root_descriptor: "os.listdir(3)";
    no_handed_out_code_objects: "type((lambda: 0).__code__)(0, 0, 0, 0, 0, 0, b'', (), (), (), '', '', '', 0, b'', b'')";
    no_replaced_code_objects: "(lambda: 0).__code__.replace(co_code=b'\\x64\\xff' * 8)";
    no_unmarshalled_code: "__import__('marshal').loads(b'c' + bytes(80)).co_code";
    no_listing_of_objects: "__import__('gc').get_objects()[0]";
    no_referrers: "__import__('gc').get_referrers(os)[0]";
    no_fresh_sys_module: "__import__('_imp').create_builtin(__import__('importlib.machinery').machinery.ModuleSpec('sys', None)).settrace";
    no_signal_is_sent: "__import__('os').kill(1, 9)";
    no_memory_map: "__import__('mmap')";
}

ends_with! {
    an_endless_loop_is_stopped: "while True: pass" => Exit::OutOfInstructions,
    an_endless_sum_in_c_is_stopped: "sum(range(10**18))" => Exit::OutOfInstructions,
    a_catastrophic_regex_is_stopped: "import re\nre.match('(a+)+$', 'a'*60+'b')" => Exit::OutOfInstructions,
    a_huge_power_is_stopped: "pow(7, 10**9)" => Exit::OutOfInstructions | Exit::OutOfMemory,
    an_endless_sort_key_is_stopped: "sorted(iter(int, 1))" => Exit::OutOfInstructions | Exit::OutOfMemory,
    catching_everything_does_not_help: "while True:\n    try:\n        while True: pass\n    except BaseException: pass" => Exit::OutOfInstructions,
    a_generator_without_end_is_stopped: "import itertools\nfor x in itertools.count(): pass" => Exit::OutOfInstructions,
    an_endless_finalizer_is_stopped: "class A:\n    def __del__(self):\n        while True: pass\nA()" => Exit::OutOfInstructions,
    an_endless_exit_handler_is_stopped: "import atexit\n@atexit.register\ndef f():\n    while True: pass" => Exit::OutOfInstructions,
    an_endless_repr_in_an_error_is_stopped: "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E" => Exit::OutOfInstructions,
    sleeping_uses_up_time: "import time\ntime.sleep(10**6)" => Exit::OutOfInstructions,
    random_bytes_are_not_free: "import os\nwhile True: os.urandom(10**6)" => Exit::OutOfInstructions,
    a_list_bomb_runs_out_of_memory: "x = [0] * (10**9)" => Exit::OutOfMemory,
    a_string_bomb_runs_out_of_memory: "x = 'a' * (10**10)" => Exit::OutOfMemory | Exit::Raised { .. },
    a_growing_list_runs_out_of_memory: "x = []\nwhile True: x.append(bytes(10**6))" => Exit::OutOfMemory,
    a_doubling_string_runs_out_of_memory: "x = 'ab'\nwhile True: x += x" => Exit::OutOfMemory,
    swallowed_memory_errors_still_end: "x = []\nwhile True:\n    try: x.append(bytes(10**7))\n    except MemoryError: pass" => Exit::OutOfInstructions,
    deep_nesting_is_no_crash: "x = []\nfor i in range(10**6): x = [x]\nprint(len(repr(x)))" => Exit::Raised { .. } | Exit::StackOverflow,
    deep_nesting_can_be_freed: "x = []\nfor i in range(10**6): x = [x]\ndel x" => Exit::Exited(0),
    endless_recursion_is_an_error: "def f(): f()\nf()" => Exit::Raised { .. },
    endless_recursion_without_a_limit_ends: "import sys\nsys.setrecursionlimit(2**31 - 1)\ndef f(): f()\nf()" => Exit::OutOfMemory | Exit::OutOfInstructions | Exit::StackOverflow,
    endless_recursion_in_c_ends: "import sys\nsys.setrecursionlimit(2**31 - 1)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())" => Exit::StackOverflow | Exit::OutOfInstructions | Exit::OutOfMemory,
    deep_source_is_no_crash: "eval('(' * 100000 + ')' * 100000)" => Exit::Raised { .. } | Exit::OutOfMemory,
    endless_recursion_through_large_frames_ends_before_the_heap: "import sys\nsys.setrecursionlimit(2**31 - 1)\ndef f(x): return sorted([x], key=f)\nf(0)" => Exit::StackOverflow,
    deep_source_of_operators_is_no_crash: "eval('-' * 100000 + '1')" => Exit::Raised { .. } | Exit::OutOfMemory | Exit::StackOverflow,
    a_deep_pattern_is_no_crash: "import re\nre.compile('(' * 50000 + ')' * 50000)" => Exit::Raised { .. } | Exit::OutOfInstructions,
    deep_json_is_no_crash: "import json\njson.loads('[' * 10**6)" => Exit::Raised { .. } | Exit::StackOverflow,
    leaving_early_is_seen: "import sys\nsys.exit(3)" => Exit::Exited(3),
    leaving_with_a_code_too_large_is_no_success: "import sys\nsys.exit(10**30)" => Exit::Exited(255),
    leaving_at_once_is_seen: "import os\nos._exit(4)" => Exit::Exited(4),
    aborting_is_a_crash: "import os\nos.abort()" => Exit::Crashed { .. } | Exit::Exited(_),
    a_null_byte_is_a_compile_error: "x = 1\0" => Exit::CompileError { .. },
    a_lone_surrogate_is_an_error_or_printed: "print('\\ud800')" => Exit::Exited(0) | Exit::Raised { .. },
}

#[test]
fn a_missing_package_is_named() {
    let Some(outcome) = attack("import numpy") else {
        return;
    };
    let Exit::Raised { kind, message } = outcome.exit else {
        panic!("{outcome:?}")
    };
    assert!(
        kind == "ModuleNotFoundError"
            && message.contains("numpy")
            && message.contains("standard library"),
        "{message}"
    );
}

#[test]
fn an_output_flood_is_stopped() {
    let Some(outcome) = run("while True: print('x' * 100000)", "") else {
        return;
    };
    assert_eq!(outcome.exit, Exit::OutputLimit);
    assert!(outcome.stdout.len() as u64 <= Limits::default().output);
}

#[test]
fn an_error_output_flood_is_stopped() {
    let Some(outcome) = run("import os\nwhile True: os.write(2, b'x' * 100000)", "") else {
        return;
    };
    assert_eq!(outcome.exit, Exit::OutputLimit);
}

#[test]
fn a_flood_on_the_control_channel_is_stopped() {
    let Some(outcome) = run("import os\nwhile True: os.write(101, b'x' * 100000)", "") else {
        return;
    };
    assert_eq!(outcome.exit, Exit::OutputLimit);
}

#[test]
fn memory_stays_within_its_limit() {
    let Some(sandbox) = sandbox() else { return };
    let limits = Limits {
        memory: 64 << 20,
        ..Limits::default()
    };
    let outcome = sandbox
        .run("x = bytearray(32 << 20)\nprint(len(x))", b"", &limits)
        .unwrap();
    assert_eq!(outcome.exit, Exit::Exited(0));
    assert!(
        (32 << 20..64 << 20).contains(&outcome.peak_memory),
        "{}",
        outcome.peak_memory
    );
    let outcome = sandbox
        .run("x = bytearray(80 << 20)", b"", &limits)
        .unwrap();
    assert_eq!(outcome.exit, Exit::OutOfMemory);
}

#[test]
fn no_frame_under_a_program_knows_the_driver() {
    let program = "import sys\nframe, n = sys._getframe(), 0\nwhile frame:\n    n += 1\n    for space in (frame.f_globals, frame.f_locals):\n        print(n, sorted(k for k in space if k in ('PRISTINE', 'finish', 'state', 'cell', 'send', 'receive')))\n    frame = frame.f_back";
    let Some(outcome) = run(program, "") else {
        return;
    };
    let found = text(&outcome.stdout);
    assert!(
        found.lines().count() >= 4 && found.lines().all(|line| line.ends_with("[]")),
        "{found}"
    );
}

#[test]
fn the_environment_is_empty() {
    let Some(found) = probe("dict(os.environ)") else {
        return;
    };
    assert_eq!(found, "GOT {}\n");
}

#[test]
fn the_clock_is_not_the_hosts() {
    let Some(found) = run(
        "import time\na = time.time_ns(); b = time.time_ns()\nprint(a // 10**9, b > a)",
        "",
    ) else {
        return;
    };
    assert_eq!(text(&found.stdout), "1700000000 True\n");
}

#[test]
fn entropy_is_not_the_hosts() {
    let program = "import os, random, secrets, uuid\nprint(os.urandom(8).hex(), random.random(), secrets.token_hex(4), uuid.uuid4(), id(object()))";
    let (Some(a), Some(b)) = (run(program, ""), run(program, "")) else {
        return;
    };
    assert_eq!(
        (a.exit, text(&a.stdout)),
        (Exit::Exited(0), text(&b.stdout))
    );
}

#[test]
fn another_runs_input_cannot_be_read() {
    let Some(_) = run(
        "import sys\nsecret = sys.stdin.read()",
        "the secret input of somebody else",
    ) else {
        return;
    };
    let program = "import sys, os\nprint(repr(sys.stdin.read()))\ntry:\n    print(os.read(100, 100))\nexcept OSError as e:\n    print(e)";
    assert!(!text(&run(program, "").unwrap().stdout).contains("secret"));
}

#[test]
fn poisoned_modules_do_not_outlive_their_run() {
    let poison = "import sys, builtins, json, math\nmath.pi = 3\njson.loads = None\nbuiltins.len = lambda x: 7\nsys.modules['re'] = None\ndel sys.modules['os']";
    let Some(outcome) = run(poison, "") else {
        return;
    };
    assert_eq!(outcome.exit, Exit::Exited(0));
    let program = "import math, json, re, os\nprint(math.pi > 3.1, json.loads('[1]'), len([1, 2]), re.__name__)";
    assert_eq!(guest::stdout(program, ""), "True [1] 2 re\n");
}

#[test]
fn forged_records_on_the_control_channel_change_nothing() {
    let program = "import os\nos.write(101, b'{\"exit\": 0}')\nraise ValueError('real')";
    let Some(outcome) = run(program, "") else {
        return;
    };
    assert_eq!(
        outcome.exit,
        Exit::Raised {
            kind: "ValueError".into(),
            message: "real".into()
        }
    );
}

#[test]
fn ten_megabytes_of_program_are_bounded() {
    let Some(sandbox) = sandbox() else { return };
    let program = "x = 1\n".repeat(10 << 20 >> 3);
    let outcome = sandbox.run(&program, b"", &Limits::seconds(1.0)).unwrap();
    assert!(
        !matches!(outcome.exit, Exit::Crashed { .. }),
        "{:?}",
        outcome.exit
    );
}

#[test]
fn a_hundred_thousand_lines_of_output_come_whole() {
    let Some(outcome) = run("for i in range(100000): print(i)", "") else {
        return;
    };
    assert_eq!(text(&outcome.stdout).lines().count(), 100_000);
}

#[test]
fn binary_output_and_input_come_as_they_are() {
    let Some(sandbox) = sandbox() else { return };
    let program = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])";
    let bytes: Vec<u8> = (0..=255).collect();
    let outcome = sandbox.run(program, &bytes, &Limits::default()).unwrap();
    assert_eq!(outcome.stdout, bytes.into_iter().rev().collect::<Vec<u8>>());
}

#[test]
fn malformed_utf8_on_standard_input_is_no_crash() {
    let Some(sandbox) = sandbox() else { return };
    let outcome = sandbox
        .run("print(len(input()))", b"\xff\xfe\x80\n", &Limits::default())
        .unwrap();
    assert_eq!(outcome.exit, Exit::Exited(0));
}

#[test]
fn an_absurd_limit_is_refused() {
    let Some(sandbox) = sandbox() else { return };
    let limits = Limits {
        memory: 1 << 40,
        ..Limits::default()
    };
    assert!(sandbox.run("print(1)", b"", &limits).is_err());
}

#[test]
fn the_watchdog_ends_what_the_instructions_would_not() {
    let Some(sandbox) = sandbox() else { return };
    let limits = Limits {
        wall_s: 1.0,
        instructions: u64::MAX,
        ..Limits::default()
    };
    assert_eq!(
        sandbox.run("while True: pass", b"", &limits).unwrap().exit,
        Exit::OutOfTime
    );
}

/// What a test of `f`, which ought to double its argument, says.
const TEST: &str = "def check(f):\n    assert f(1) == 2\n    assert all(f(x) == 2 * x for x in range(5))\n    assert abs(f(2) - 4) < 1e-9\n    assert isinstance(f(1), int)\n";
/// The same, and hands over a function of its own, so that it has to share the program's
/// interpreter.
const SHARING: &str = "def check(f):\n    try: f(lambda: 0)\n    except Exception: pass\n    assert f(1) == 2\n    assert all(f(x) == 2 * x for x in range(5))\n    assert abs(f(2) - 4) < 1e-9\n    assert isinstance(f(1), int)\n";

/// The verdict on a function `f` that ought to double its argument.
fn judge(program: &str, test: &str) -> Option<(Verdict, String)> {
    sandbox()?;
    static CHECKER: std::sync::OnceLock<CodeCheck> = std::sync::OnceLock::new();
    let checker = CHECKER.get_or_init(|| CodeCheck::open(&guest::sky_home()).unwrap());
    let answer = Answer::Program(Program {
        test: test.into(),
        entry_point: Some("f".into()),
        prefix: None,
        timeout_s: Some(0.2),
    });
    let problem = Problem::new("t", "t", Domain::Code, "", answer);
    let checked = checker
        .check(
            &problem,
            &format!("```python\n{program}\n```"),
            FinishReason::Stop,
        )
        .unwrap();
    Some((checked.verdict, checked.detail))
}

#[test]
fn an_honest_function_passes() {
    for test in [TEST, SHARING] {
        let Some(verdict) = judge("def f(x): return 2 * x", test) else {
            return;
        };
        assert_eq!(verdict.0, Verdict::Correct, "{verdict:?}");
    }
}

macro_rules! does_not_pass {
    ($($name:ident: $program:expr;)*) => {$(
        #[test]
        fn $name() {
            for test in [TEST, SHARING] {
                let Some(verdict) = judge($program, test) else { return };
                assert_ne!(verdict.0, Verdict::Correct, "{verdict:?}");
            }
        }
    )*};
}

does_not_pass! {
    a_wrong_function_does_not_pass: "def f(x): return x";
    exiting_before_the_test_does_not_pass: "import sys\nsys.exit(0)";
    exiting_in_the_test_does_not_pass: "import sys\ndef f(x): sys.exit(0)";
    exiting_at_once_does_not_pass: "import os\nos._exit(0)";
    exiting_at_once_in_the_test_does_not_pass: "import os\ndef f(x): os._exit(0)";
    exit_handlers_do_not_pass: "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(x): return 0";
    printing_success_does_not_pass: "print('passed')\nimport os\nos.write(101, b'{\"exit\": 0}')\ndef f(x): return 0";
    forging_a_record_in_the_test_does_not_pass: "import os\ndef f(x):\n    os.write(101, b'{\"exit\": 0}')\n    os.write(101, b'{\"passed\": true}')\n    os._exit(0)";
    patched_builtins_do_not_pass: "import builtins\nbuiltins.all = lambda x: True\nbuiltins.abs = lambda x: 0\nbuiltins.isinstance = lambda *a: True\ndef f(x): return 2 if x == 1 else 0";
    patched_exceptions_do_not_pass: "import builtins\nbuiltins.AssertionError = type('E', (BaseException,), {})\nbuiltins.BaseException = ()\ndef f(x): return 0";
    patching_in_the_test_does_not_pass: "import builtins\ndef f(x):\n    builtins.all = lambda x: True\n    builtins.abs = lambda x: 0\n    return 2 if x == 1 else 0";
    a_patched_function_type_does_not_pass: "import types\ntypes.FunctionType = lambda c, s: (lambda: None)\ndef f(x): return 0";
    a_patched_compiler_does_not_pass: "import builtins\nc = compile('None', 'x', 'exec')\nbuiltins.compile = lambda *a, **k: c\ndef f(x): return 0";
    a_removed_compiler_does_not_pass: "import builtins\nbuiltins.compile = None\ndef f(x): return 0";
    a_collector_hook_does_not_pass: "import gc, sys\nclass T:\n    FunctionType = lambda c, s: (lambda: None)\ndef walk(*a):\n    frame = sys._getframe()\n    while frame:\n        if 'state' in frame.f_globals: frame.f_globals.update(types=T, FunctionType=T.FunctionType)\n        frame = frame.f_back\ntry: gc.callbacks.append(walk)\nexcept AttributeError: pass\ntry: sys.addaudithook(walk)\nexcept AttributeError: pass\nclass Cycle:\n    def __init__(self): self.me = self\n    def __del__(self):\n        walk()\n        Cycle()\nfor _ in range(100): Cycle()\ngc.set_threshold(1, 1, 1)\ndef f(x): return 0";
    the_interpreters_own_tests_do_not_pass: "import sys\ntry:\n    import _testcapi\nexcept ImportError: _testcapi = sys.modules.get('_testcapi')\ndef f(x):\n    if _testcapi: _testcapi.frame_getbuiltins(sys._getframe(1)).update(all=lambda x: True, abs=lambda x: 0, isinstance=lambda *a: True)\n    return 0";
    tracing_does_not_pass: "import sys\ndef t(frame, event, arg):\n    frame.f_trace_lines = True\n    try: frame.f_lineno = 6\n    except Exception: pass\n    return t\nsys.settrace(t)\ndef f(x):\n    sys._getframe(1).f_trace = t\n    return 0";
    tracing_with_a_fresh_sys_does_not_pass: "import sys\nold = sys.modules.pop('sys')\nimport sys\nsys.settrace(lambda *a: None)\ndef f(x): return 0";
    raising_the_exit_of_a_generator_does_not_pass: "def f(x): raise GeneratorExit";
    raising_stop_iteration_does_not_pass: "def f(x): raise StopIteration";
    a_test_defined_by_the_program_does_not_pass: "def check(f): pass\ndef f(x): return 0";
    frames_lead_nowhere: "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        for space in (frame.f_globals, frame.f_locals):\n            assert 'PRISTINE' not in space and 'finish' not in space, list(space)\n            space['check'] = space['program'] = lambda *a: None\n        frame = frame.f_back\n    return 0";
    a_program_without_the_function_does_not_pass: "def g(x): return 2 * x";
    an_endless_function_does_not_pass: "def f(x):\n    while True: pass";
}
