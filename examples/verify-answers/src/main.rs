//! Compares answers by value and prints why: `cargo run -p example-verify-answers [-- GOLD
//! ANSWER]`.
#![forbid(unsafe_code)]

use std::{env, process::ExitCode};

use sky_math::{MathChecker, Options};

/// Expected answers, and replies as models write them.
const REPLIES: [(&str, &str); 6] = [
    (
        r"\frac{3}{4}",
        r"Three of four, so the answer is $\boxed{75\%}$.",
    ),
    (
        r"\{1, 2\}",
        r"<think>Perhaps \boxed{3}?</think> We get $x = 2$ or $x = 1$: $\boxed{2, 1}$.",
    ),
    (
        "x < 2",
        r"Final Answer: The final answer is $(-\infty, 2]$. I hope it is correct.",
    ),
    (r"\sqrt{5+2\sqrt{6}}", r"It simplifies to $\sqrt2+\sqrt3$."),
    ("204_5", "**Answer:** 54"),
    ("12", "I could not finish."),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let checker = MathChecker::new(Options::default());
    if let [gold, answer] = arguments.as_slice() {
        print!("{}", checker.explain(gold, answer));
        return ExitCode::SUCCESS;
    }
    if !arguments.is_empty() {
        eprintln!("usage: example-verify-answers [GOLD ANSWER]");
        return ExitCode::from(2);
    }
    for (gold, reply) in REPLIES {
        let verdict = checker.check(gold, reply);
        let answer = verdict.extracted.as_deref().unwrap_or("-");
        println!(
            "{:?}: {gold} against {answer}: {}",
            verdict.grade, verdict.reason
        );
    }
    ExitCode::SUCCESS
}
