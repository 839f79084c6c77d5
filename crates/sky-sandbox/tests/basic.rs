//! One program, one input, one outcome.
#![allow(clippy::unwrap_used)]

mod guest;

use guest::{run, stdout};
use sky_sandbox::{Exit, Limits};

#[test]
fn a_program_reads_its_input_and_prints() {
    let Some(sandbox) = guest::sandbox() else {
        return;
    };
    let outcome = sandbox
        .run(
            "n = int(input())\nprint(n, sum(map(int, input().split())))",
            b"3\n1 2 3\n",
            &Limits::default(),
        )
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&outcome.stdout),
        "3 6\n",
        "{outcome:?}"
    );
    assert_eq!(outcome.exit, Exit::Exited(0));
    assert!(outcome.instructions > 0);
}

#[test]
fn the_same_run_costs_the_same_instructions() {
    let program = "import random\nd = {str(i): i for i in range(1000)}\nprint(sum(d.values()), hash('x'), random.random())";
    let Some(first) = run(program, "") else {
        return;
    };
    for _ in 0..5 {
        let again = run(program, "").unwrap();
        assert_eq!(
            (again.instructions, &again.stdout),
            (first.instructions, &first.stdout)
        );
    }
}

#[test]
fn an_uncaught_exception_is_named() {
    let Some(outcome) = run("x = [1]\nprint(x[3])", "") else {
        return;
    };
    assert_eq!(
        outcome.exit,
        Exit::Raised {
            kind: "IndexError".into(),
            message: "list index out of range".into()
        }
    );
    let trace = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(trace.contains("File \"solution.py\", line 2"), "{trace}");
}

#[test]
fn a_syntax_error_is_a_compile_error() {
    let Some(outcome) = run("def f(:\n  pass", "") else {
        return;
    };
    assert!(
        matches!(&outcome.exit, Exit::CompileError { message } if message.contains("line 1")),
        "{outcome:?}"
    );
}

#[test]
fn an_endless_loop_ends() {
    let Some(sandbox) = guest::sandbox() else {
        return;
    };
    let limits = Limits::seconds(0.05);
    let outcome = sandbox.run("while True: pass", b"", &limits).unwrap();
    assert_eq!(outcome.exit, Exit::OutOfInstructions);
    assert_eq!(outcome.instructions, limits.instructions);
}

#[test]
fn a_run_leaves_nothing_for_the_next() {
    let Some(_) = run(
        "import builtins, sys\nbuiltins.print = None\nsys.modules['math'] = None",
        "",
    ) else {
        return;
    };
    assert_eq!(
        stdout("import math\nprint(math.pi)", ""),
        "3.141592653589793\n"
    );
}

#[test]
fn the_first_run_and_later_ones_are_the_same() {
    let Some(_) = guest::sandbox() else { return };
    // Its own: what later runs are given beforehand is looked for between the first and the second.
    let sandbox = sky_sandbox::Sandbox::open(&guest::sky_home()).unwrap();
    let program = "import json, re\nprint(json.dumps([id(object()), re.sub('a', 'b', input())]))";
    let run = || {
        let outcome = sandbox
            .run(program, b"banana\n", &Limits::default())
            .unwrap();
        (outcome.stdout, outcome.instructions, outcome.peak_memory)
    };
    let first = run();
    assert!(String::from_utf8_lossy(&first.0).contains("bbnbnb"));
    for _ in 0..3 {
        assert_eq!(run(), first);
    }
    // From several threads that all are second.
    let sandbox = sky_sandbox::Sandbox::open(&guest::sky_home()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let outcome = sandbox.run(program, b"banana\n", &Limits::default());
                assert_eq!(outcome.unwrap().instructions, first.1);
            });
        }
    });
}

/// A guest that only calls the host must not run longer than one that only computes. A call is
/// charged 4,000 instructions.
#[test]
fn calls_to_the_host_are_paid_for() {
    let calls = [
        "deque(starmap(time.monotonic, repeat((), 10_000)), 0)",
        "deque(starmap(time.time, repeat((), 10_000)), 0)",
        "deque(starmap(os.fstat, repeat((0,), 10_000)), 0)",
        "deque(starmap(os.path.exists, repeat(('x',), 10_000)), 0)",
        "deque(starmap(os.urandom, repeat((1,), 10_000)), 0)",
        "for _ in range(10_000): os.write(2, b'')",
    ];
    for call in calls {
        let program = format!(
            "import os, time\nfrom collections import deque\nfrom itertools import repeat, starmap\n{call}"
        );
        let Some(outcome) = run(&program, "") else {
            return;
        };
        assert_eq!(outcome.exit, Exit::Exited(0), "{call}");
        assert!(outcome.instructions > 40_000_000, "{call}: {outcome:?}");
    }
}
