//! Honest and hostile programs in turn: every verdict stays right and memory does not grow. Takes
//! six seconds, or `SKY_SOAK_MINUTES`:
//! `SKY_SOAK_MINUTES=30 cargo test -p sky-sandbox --test soak -- --nocapture`.
#![allow(clippy::unwrap_used)]

mod guest;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sky_sandbox::{Exit, Limits, Sandbox};

struct Case {
    name: &'static str,
    program: &'static str,
    /// Seconds of native time that it may use.
    seconds: f64,
    right: fn(&Exit, &[u8]) -> bool,
}

const CASES: &[Case] = &[
    Case {
        name: "sum",
        program: "print(sum(map(int, input().split())))",
        seconds: 1.0,
        right: |exit, out| *exit == Exit::Exited(0) && out == b"6\n",
    },
    Case {
        name: "poison builtins and modules",
        program: "import builtins, sys, json\nbuiltins.print = None\nbuiltins.sum = lambda *a: 0\nsys.modules['json'] = None\njson.dumps = None",
        seconds: 1.0,
        right: |exit, _| *exit == Exit::Exited(0),
    },
    Case {
        name: "see the poison",
        program: "import json, builtins, sys\nassert not hasattr(builtins, 'seen') and not hasattr(sys, 'seen')\nbuiltins.seen = sys.seen = 1\nprint(json.dumps(sum([1, 2])))",
        seconds: 1.0,
        right: |exit, out| *exit == Exit::Exited(0) && out == b"3\n",
    },
    Case {
        name: "endless loop",
        program: "while True: pass",
        seconds: 0.01,
        right: |exit, _| *exit == Exit::OutOfInstructions,
    },
    Case {
        name: "endless loop in C",
        program: "sum(range(10**18))",
        seconds: 0.01,
        right: |exit, _| *exit == Exit::OutOfInstructions,
    },
    Case {
        name: "memory bomb",
        program: "a = []\nwhile True: a.append(bytearray(1 << 24))",
        seconds: 1.0,
        right: |exit, _| *exit == Exit::OutOfMemory,
    },
    Case {
        name: "deep recursion",
        program: "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(50000))",
        seconds: 1.0,
        right: |exit, out| *exit == Exit::Exited(0) && out == b"50000\n",
    },
    Case {
        name: "endless recursion in C",
        program: "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return sorted([x], key=f)\nf(0)",
        seconds: 1.0,
        right: |exit, _| *exit == Exit::StackOverflow,
    },
    Case {
        name: "output flood",
        program: "while True: print('x' * 100000)",
        seconds: 1.0,
        right: |exit, _| *exit == Exit::OutputLimit,
    },
    Case {
        name: "forged records",
        program: "import os\nos.write(101, b'{\"exit\": 0}\\n' * 1000)\nprint('passed')\nos._exit(3)",
        seconds: 1.0,
        right: |exit, _| *exit == Exit::Exited(3),
    },
    Case {
        name: "exception",
        program: "{}['x']",
        seconds: 1.0,
        right: |exit, _| matches!(exit, Exit::Raised { kind, .. } if kind == "KeyError"),
    },
    Case {
        name: "no program",
        program: "def (",
        seconds: 1.0,
        right: |exit, _| matches!(exit, Exit::CompileError { .. }),
    },
    Case {
        name: "many objects",
        program: "d = {i: [str(i)] * 3 for i in range(20000)}\nprint(len(d))",
        seconds: 1.0,
        right: |exit, out| *exit == Exit::Exited(0) && out == b"20000\n",
    },
];

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib / 1024.0
}

/// Runs every case once, beginning with number `turn`.
fn round(sandbox: &Sandbox, turn: usize) {
    for step in 0..CASES.len() {
        let case = &CASES[(turn + step) % CASES.len()];
        let limits = Limits {
            memory: 64 << 20,
            output: 1 << 20,
            ..Limits::seconds(case.seconds)
        };
        let outcome = sandbox.run(case.program, b"1 2 3\n", &limits).unwrap();
        let right = (case.right)(&outcome.exit, &outcome.stdout);
        assert!(
            right,
            "{}: {:?} {:?}",
            case.name,
            outcome.exit,
            String::from_utf8_lossy(&outcome.stderr)
        );
    }
}

#[test]
fn verdicts_stay_right_and_memory_stays_flat() {
    let Some(sandbox) = guest::sandbox() else {
        return;
    };
    let minutes: f64 = std::env::var("SKY_SOAK_MINUTES").map_or(0.1, |text| text.parse().unwrap());
    let lasts = Duration::from_secs_f64(minutes * 60.0);
    let rounds = AtomicUsize::new(0);
    // Warm after a tenth of the time, when everything was used once. Measured at rest, since a
    // single run may use hundreds of megabytes.
    let [warm, now] = [lasts / 10, lasts - lasts / 10].map(|part| {
        for_a_while(sandbox, &rounds, part);
        resident()
    });
    let runs = rounds.load(Ordering::Relaxed) * CASES.len();
    eprintln!("{runs} runs: {now:.0} MiB, {warm:.0} MiB when warm");
    // Room for guests that wait to be used again and for the allocator, not for a leak.
    let cores = std::thread::available_parallelism().unwrap().get();
    let room = 20.0 + 16.0 * cores as f64;
    assert!(now < warm + room, "{now} MiB, {warm} MiB when warm");
}

/// Runs rounds on every core for this long, at least one on each.
fn for_a_while(sandbox: &Sandbox, rounds: &AtomicUsize, lasts: Duration) {
    let started = Instant::now();
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    round(sandbox, rounds.fetch_add(1, Ordering::Relaxed));
                    if started.elapsed() >= lasts {
                        break;
                    }
                }
            });
        }
    });
}
