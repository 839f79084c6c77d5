//! Judges a few answers and prints why: `cargo run -p sky-verify --no-default-features --example math [GOLD ANSWER]`.

use std::env;

use sky_verify::math::{MathChecker, Options};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let checker = MathChecker::new(Options::default());
    if let [gold, answer] = arguments.as_slice() {
        print!("{}", checker.explain(gold, answer));
        return;
    }
    for (gold, response) in [
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
    ] {
        let verdict = checker.check(gold, response);
        let answer = verdict.extracted.as_deref().unwrap_or("-");
        println!(
            "{:?}: {gold} against {answer}: {}",
            verdict.outcome, verdict.reason
        );
    }
}
