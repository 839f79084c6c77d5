//! Hostile text of every shape: no panic, no overrun of the budget, the same verdict twice.
//!
//! The short run is part of every test run. The long one (ten million inputs, about half an hour)
//! is run by hand: `SKY_FUZZ_INPUTS=10000000 SKY_FUZZ_SEED=100 cargo test --release -p sky-math
//! --test fuzz -- --ignored --nocapture`.
#![allow(clippy::unwrap_used)]

#[path = "shared/on_core.rs"]
mod on_core;

use std::time::Duration;

use on_core::on_core;
use sky_math::{Grade, MathChecker, Options};
use sky_types::derive_seed;

/// Pieces that grammar and extraction care about.
const PIECES: &[&str] = &[
    "1",
    "2",
    "5",
    "0",
    "12",
    "-3",
    "0.5",
    "1,000",
    "1.5e3",
    "9999999999",
    "1e999",
    ".",
    ",",
    ";",
    ":",
    " ",
    "\n",
    "+",
    "-",
    "*",
    "/",
    "^",
    "_",
    "!",
    "%",
    "'",
    "=",
    "<",
    ">",
    "\\le ",
    "\\ge ",
    "\\ne ",
    "\\in ",
    "\\approx ",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\\{",
    "\\}",
    "|",
    "\\|",
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "\\boxed{",
    "\\boxed ",
    "\\fbox{",
    "\\frac{",
    "\\frac12",
    "\\frac",
    "\\sqrt{",
    "\\sqrt[3]{",
    "\\sqrt",
    "\\sin ",
    "\\log_2 ",
    "\\ln(",
    "\\binom{5}{2}",
    "\\text{",
    "\\text{ and }",
    "\\text{cm}",
    "\\mathrm{e}",
    "\\mathbb{R}",
    "\\pi",
    "\\infty",
    "e",
    "i",
    "x",
    "y",
    "n",
    "f(x)",
    "d",
    "AB",
    "\\alpha",
    "\\pm ",
    "\\mp ",
    "\\cup ",
    "\\cap ",
    "\\setminus ",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "&",
    "\\\\",
    "\\sum_{k=1}^{",
    "\\int_0^1 ",
    "\\prod_{i=1}^{9}",
    "\\lim_{x\\to 0}",
    "\\lfloor ",
    "\\rfloor ",
    "^\\circ",
    "^{\\circ}",
    "\\cdot ",
    "\\times ",
    "\\div ",
    "\\bmod ",
    "\\left(",
    "\\right)",
    "\\overline{3}",
    "0.\\overline{",
    "...",
    "\\ldots",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "The answer is ",
    "**Answer:** ",
    "#### ",
    "A: ",
    "\\quad",
    "\\,",
    "\\!",
    "½",
    "π",
    "√",
    "²",
    "٥",
    "−",
    "∞",
    "😀",
    "\u{200b}",
    "\0",
    "é",
    "\\$",
    "€",
    "dollars",
    "hours",
    "percent",
    "and",
    "or",
    "NaN",
    "\\dots_",
    "10^{10^{10}}",
    "2^{",
    "((",
    "))",
    "100!",
    "\\det",
    "\\gcd(",
    "\\max(",
    "\\mod",
    "\\pmod{7}",
    "\\choose ",
    "\\over ",
    "1_5",
    "\\frac{d",
    "}{d x}",
    " or ",
    " is ",
    " except ",
    " minus ",
    "income ",
    "longName",
    "cm^2",
    "-$40",
    "或",
    "二分之一",
    "根号",
    "又",
    "万",
    "厘米",
    "不是",
    "答：",
    "△",
    "**",
    "#### : ",
    "boxed(",
    " no, ",
    "Wait, that is wrong. ",
    "(B)",
    "c. ",
    "20:34:00",
    " pct",
];

/// Its own generator, so that the inputs are the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn text(&mut self) -> String {
        let mut out = String::new();
        match self.below(20) {
            // One piece many times.
            0 => {
                let piece = PIECES[self.below(PIECES.len())];
                out = piece.repeat(1 + self.below(300));
            }
            // Bytes of any kind.
            1 => {
                for _ in 0..self.below(40) {
                    out.extend(char::from_u32(u32::try_from(self.next() % 0x3000).unwrap()));
                }
            }
            _ => {
                for _ in 0..1 + self.below(16) {
                    out.push_str(PIECES[self.below(PIECES.len())]);
                }
            }
        }
        if self.below(3) == 0 {
            out = format!("\\boxed{{{out}}}");
        }
        out
    }
}

/// Judges this many inputs; returns the longest time.
fn run(inputs: u64, seed: u64) -> Duration {
    let checker = MathChecker::new(Options::default());
    let budget = checker.options().budget;
    let mut dice = Dice(derive_seed(seed, "math fuzz", 0) | 1);
    let golds = [
        "5",
        "\\frac{1}{2}",
        "\\{1, 2\\}",
        "(1, 2)",
        "x > 5",
        "y = 2x + 1",
        "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
        "\\text{(B)}",
        "x^2 + 1",
        "2\\sqrt{3}",
    ];
    let mut slowest = Duration::ZERO;
    for n in 0..inputs {
        let text = dice.text();
        let gold = match dice.below(4) {
            0 => dice.text(),
            1 => text.clone(),
            _ => golds[dice.below(golds.len())].to_owned(),
        };
        let start = on_core();
        let verdict = checker.check(&gold, &text);
        let took = on_core() - start;
        if took > slowest {
            slowest = took;
            if took > Duration::from_millis(5) {
                println!(
                    "slow: {took:?} {} steps: gold {gold:?} response {text:?}",
                    verdict.steps
                );
            }
        }
        assert!(
            verdict.steps <= budget,
            "input {n}: {} steps",
            verdict.steps
        );
        assert_eq!(
            verdict.extracted.is_none(),
            verdict.grade == Grade::Unparsed,
            "input {n}: {text:?}"
        );
        if n % 64 == 0 {
            assert_eq!(checker.check(&gold, &text), verdict, "input {n}: {text:?}");
            // Printing never fails either.
            let _ = checker.explain(&gold, &text).to_string();
            let _ = checker.equal(&gold, &text);
        }
    }
    slowest
}

#[test]
fn twenty_thousand_inputs() {
    let slowest = run(20_000, 1);
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
#[ignore = "ten million inputs take a while; see the top of the file"]
fn many_inputs() {
    let inputs: u64 = std::env::var("SKY_FUZZ_INPUTS").map_or(10_000_000, |n| n.parse().unwrap());
    let seed: u64 = std::env::var("SKY_FUZZ_SEED").map_or(100, |n| n.parse().unwrap());
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let slowest = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|k| scope.spawn(move || run(inputs / threads, seed + k)))
            .collect();
        runs.into_iter()
            .map(|run| run.join().unwrap())
            .max()
            .unwrap()
    });
    println!("{inputs} inputs, slowest {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
fn deep_and_long_inputs_return() {
    let checker = MathChecker::new(Options::default());
    let n = 100_000;
    let cases = [
        format!("\\boxed{{{}5{}}}", "(".repeat(n), ")".repeat(n)),
        format!("\\boxed{{{}5{}}}", "{".repeat(n), "}".repeat(n)),
        format!("{}5{}", "\\boxed{".repeat(n), "}".repeat(n)),
        format!("\\boxed{{{}5{}}}", "\\sqrt{".repeat(n), "}".repeat(n)),
        format!("\\boxed{{{}5{}}}", "\\frac{1}{1+".repeat(n), "}".repeat(n)),
        format!("\\boxed{{{}5}}", "-".repeat(n)),
        format!("\\boxed{{5{}}}", "!".repeat(n)),
        format!("\\boxed{{5{}}}", "^2".repeat(n)),
        format!("\\boxed{{{}}}", "1+".repeat(500_000)),
        format!("\\boxed{{{}}}", "9".repeat(1_000_000)),
        "$".repeat(1_000_000),
        "$x".repeat(500_000),
        "\\boxed{".repeat(150_000),
        "\\boxed{5} and ".repeat(70_000),
        "the answer is ".repeat(70_000),
        "<think>".repeat(140_000),
        "1/".repeat(500_000),
        "(1,2),".repeat(160_000),
        format!("\\boxed{{\\{{{}\\}}}}", "1,2,3,".repeat(10_000)),
        "\\\\".repeat(500_000),
        "é".repeat(500_000),
    ];
    for case in &cases {
        let head: String = case.chars().take(30).collect();
        let start = on_core();
        let verdict = checker.check("5", case);
        let took = on_core() - start;
        println!(
            "{head:?} {} bytes: {:?} {took:?} {} steps",
            case.len(),
            verdict.grade,
            verdict.steps
        );
        assert!(took < Duration::from_secs(1), "{head:?} took {took:?}");
    }
}
