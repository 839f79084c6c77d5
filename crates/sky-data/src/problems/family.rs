use serde::{Deserialize, Serialize};

use super::{
    rational::Rational,
    words::{CONTAINERS, NAMES, THINGS},
};
use crate::seeded_rng::SeededRng;

/// A kind of generated problem. The first six take one step; the others are harder, roughly in this
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `What is 3 + 5?`
    Sum,
    /// `What is 9 - 4?`, never below zero.
    Difference,
    /// `What is 3 x 6?`
    Product,
    /// Sum as a story: somebody has some things and gets more.
    SumStory,
    /// Difference as a story: somebody has some things and loses a few.
    DifferenceStory,
    /// Product as a story: containers with equally many things in each.
    ProductStory,
    /// Comparison: how many more things one person has than another.
    CompareStory,
    /// Quotient as a story: sharing out evenly, with nothing left over.
    QuotientStory,
    /// Remainder: what is left after sharing out evenly.
    Remainder,
    /// Two steps: containers, then some more or fewer.
    TwoStepStory,
    /// `Solve for x: 3x + 4 = 19.` Solutions may be fractions or negative.
    LinearEquation,
    /// The sum or difference of two fractions.
    FractionSum,
    /// A fraction of a whole number.
    FractionOf,
    /// The mean of three or four numbers.
    Average,
}

impl Family {
    /// Every family, easiest first.
    pub const ALL: [Self; 14] = [
        Self::Sum,
        Self::Difference,
        Self::Product,
        Self::SumStory,
        Self::DifferenceStory,
        Self::ProductStory,
        Self::CompareStory,
        Self::QuotientStory,
        Self::Remainder,
        Self::TwoStepStory,
        Self::LinearEquation,
        Self::FractionSum,
        Self::FractionOf,
        Self::Average,
    ];

    /// The one-step families, the default.
    pub const ONE_STEP: [Self; 6] = [
        Self::Sum,
        Self::Difference,
        Self::Product,
        Self::SumStory,
        Self::DifferenceStory,
        Self::ProductStory,
    ];

    /// The name used on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Difference => "difference",
            Self::Product => "product",
            Self::SumStory => "sum_story",
            Self::DifferenceStory => "difference_story",
            Self::ProductStory => "product_story",
            Self::CompareStory => "compare_story",
            Self::QuotientStory => "quotient_story",
            Self::Remainder => "remainder",
            Self::TwoStepStory => "two_step_story",
            Self::LinearEquation => "linear_equation",
            Self::FractionSum => "fraction_sum",
            Self::FractionOf => "fraction_of",
            Self::Average => "average",
        }
    }

    /// Number of steps to the answer, 1 to 3.
    pub fn steps(self) -> u32 {
        match self {
            Self::TwoStepStory | Self::LinearEquation | Self::FractionOf => 2,
            Self::FractionSum | Self::Average => 3,
            _ => 1,
        }
    }

    /// One problem with operands of at most `max` (at least 3).
    pub(crate) fn draw(self, draw: &mut SeededRng, max: i64) -> Drawn {
        match self {
            Self::Sum => sum(draw, max),
            Self::Difference => difference(draw, max),
            Self::Product => product(draw, max),
            Self::SumStory => sum_story(draw, max),
            Self::DifferenceStory => difference_story(draw, max),
            Self::ProductStory => product_story(draw, max),
            Self::CompareStory => compare_story(draw, max),
            Self::QuotientStory => quotient_story(draw, max),
            Self::Remainder => remainder(draw, max),
            Self::TwoStepStory => two_step_story(draw, max),
            Self::LinearEquation => linear_equation(draw, max),
            Self::FractionSum => fraction_sum(draw, max),
            Self::FractionOf => fraction_of(draw, max),
            Self::Average => average(draw, max),
        }
    }
}

/// A drawn problem. `fact` is what one has to know to answer it ("3+5"): the same for every
/// wording.
pub(crate) struct Drawn {
    pub(crate) prompt: String,
    pub(crate) answer: Rational,
    pub(crate) fact: String,
}

fn drawn(prompt: String, answer: impl Into<Rational>, fact: String) -> Drawn {
    Drawn {
        prompt,
        answer: answer.into(),
        fact,
    }
}

/// Picks one of several wordings. All are formatted first: that is cheap and keeps them readable.
fn one_of<const N: usize>(draw: &mut SeededRng, wordings: [String; N]) -> String {
    let at = draw.below(N as u64) as usize;
    // `below` stays under N.
    wordings.into_iter().nth(at).unwrap_or_default()
}

fn pair(draw: &mut SeededRng, max: i64) -> (i64, i64) {
    (draw.between(2, max), draw.between(2, max))
}

/// Two operands, the second smaller.
fn descending(draw: &mut SeededRng, max: i64) -> (i64, i64) {
    let a = draw.between(3, max);
    (a, draw.between(2.min(a - 1), a - 1))
}

/// The fact of a sum, whichever operand is named first.
fn plus(a: i64, b: i64) -> String {
    format!("{}+{}", a.min(b), a.max(b))
}

/// The fact of a product, whichever operand is named first.
fn times(a: i64, b: i64) -> String {
    format!("{}*{}", a.min(b), a.max(b))
}

fn two_names(draw: &mut SeededRng) -> (&'static str, &'static str) {
    let first = draw.below(NAMES.len() as u64);
    let step = 1 + draw.below(NAMES.len() as u64 - 1);
    let second = (first + step) % NAMES.len() as u64;
    (NAMES[first as usize], NAMES[second as usize])
}

/// `1 box`, `3 boxes`.
fn count(number: i64, thing: (&str, &str)) -> String {
    format!("{number} {}", if number == 1 { thing.0 } else { thing.1 })
}

fn sum(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = pair(draw, max);
    let prompt = one_of(
        draw,
        [
            format!("What is {a} + {b}?"),
            format!("Compute {a} + {b}."),
            format!("Find the sum of {a} and {b}."),
            format!("What do you get when you add {b} to {a}?"),
            format!("How much is {a} plus {b}?"),
        ],
    );
    drawn(prompt, a + b, plus(a, b))
}

fn difference(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = descending(draw, max);
    let prompt = one_of(
        draw,
        [
            format!("What is {a} - {b}?"),
            format!("Compute {a} - {b}."),
            format!("Subtract {b} from {a}."),
            format!("What is left when you take {b} away from {a}?"),
            format!("How much is {a} minus {b}?"),
        ],
    );
    drawn(prompt, a - b, format!("{a}-{b}"))
}

fn product(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = pair(draw, max);
    let prompt = one_of(
        draw,
        [
            format!("What is {a} x {b}?"),
            format!("Compute {a} x {b}."),
            format!("Find the product of {a} and {b}."),
            format!("Multiply {a} by {b}."),
            format!("How much is {a} times {b}?"),
        ],
    );
    drawn(prompt, a * b, times(a, b))
}

fn sum_story(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = pair(draw, max);
    let (name, other) = two_names(draw);
    let (_, things) = *draw.pick(&THINGS);
    let prompt = one_of(
        draw,
        [
            format!(
                "{name} has {a} {things} and finds {b} more. How many {things} does {name} have now?"
            ),
            format!(
                "{name} buys {a} {things} on Monday and {b} on Tuesday. How many {things} does {name} buy in all?"
            ),
            format!(
                "{name} has {a} {things}. {other} has {b} {things}. How many {things} do they have together?"
            ),
            format!(
                "There are {a} {things} on the table. {name} puts {b} more there. How many {things} are on the table?"
            ),
            format!(
                "{other} gives {name} {b} {things}. {name} already had {a}. How many {things} does {name} have?"
            ),
        ],
    );
    drawn(prompt, a + b, plus(a, b))
}

fn difference_story(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = descending(draw, max);
    let (name, other) = two_names(draw);
    let (_, things) = *draw.pick(&THINGS);
    let (container, _) = *draw.pick(&CONTAINERS);
    let prompt = one_of(
        draw,
        [
            format!("{name} has {a} {things} and gives away {b}. How many {things} are left?"),
            format!("{name} has {a} {things} and loses {b} of them. How many {things} remain?"),
            format!(
                "There are {a} {things} in a {container}. {name} takes out {b}. How many {things} are still in the {container}?"
            ),
            format!(
                "{name} had {a} {things} and sold {b} to {other}. How many {things} does {name} have now?"
            ),
            format!(
                "{name} wants {a} {things} and has {b} so far. How many more {things} does {name} need?"
            ),
        ],
    );
    drawn(prompt, a - b, format!("{a}-{b}"))
}

fn product_story(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = pair(draw, max);
    let name = *draw.pick(&NAMES);
    let (_, things) = *draw.pick(&THINGS);
    let (container, containers) = *draw.pick(&CONTAINERS);
    let prompt = one_of(
        draw,
        [
            format!("A {container} holds {b} {things}. How many {things} are in {a} {containers}?"),
            format!(
                "{name} fills {a} {containers} with {b} {things} each. How many {things} is that?"
            ),
            format!(
                "{name} has {a} {containers}. Each {container} has {b} {things}. How many {things} does {name} have?"
            ),
            format!(
                "{name} makes {b} {things} every day. How many {things} does {name} make in {a} days?"
            ),
            format!("{a} friends bring {b} {things} each. How many {things} do they bring in all?"),
        ],
    );
    drawn(prompt, a * b, times(a, b))
}

fn compare_story(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = descending(draw, max);
    let (name, other) = two_names(draw);
    let (_, things) = *draw.pick(&THINGS);
    let prompt = one_of(
        draw,
        [
            format!(
                "{name} has {a} {things} and {other} has {b}. How many more {things} does {name} have than {other}?"
            ),
            format!(
                "{other} has {b} {things}, {name} has {a}. How many fewer {things} does {other} have than {name}?"
            ),
        ],
    );
    drawn(prompt, a - b, format!("{a}-{b}"))
}

fn quotient_story(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = pair(draw, max);
    let total = a * b;
    let name = *draw.pick(&NAMES);
    let (_, things) = *draw.pick(&THINGS);
    let (container, containers) = *draw.pick(&CONTAINERS);
    let prompt = one_of(
        draw,
        [
            format!(
                "{name} shares {total} {things} evenly among {b} friends. How many {things} does each friend get?"
            ),
            format!(
                "{name} puts {total} {things} into {b} {containers}, the same number in each. How many {things} are in one {container}?"
            ),
            format!(
                "A {container} holds {b} {things}. How many {containers} does {name} need for {total} {things}?"
            ),
        ],
    );
    drawn(prompt, a, format!("{total}/{b}"))
}

fn remainder(draw: &mut SeededRng, max: i64) -> Drawn {
    let divisor = draw.between(2, max);
    let total = divisor * draw.between(2, max) + draw.between(0, divisor - 1);
    let name = *draw.pick(&NAMES);
    let (_, things) = *draw.pick(&THINGS);
    let (container, containers) = *draw.pick(&CONTAINERS);
    let prompt = one_of(
        draw,
        [
            format!("What is the remainder when {total} is divided by {divisor}?"),
            format!(
                "{name} packs {total} {things} into {containers} of {divisor} until no full {container} can be made. How many {things} are left over?"
            ),
            format!(
                "{name} shares {total} {things} evenly among {divisor} children and keeps the rest. How many {things} does {name} keep?"
            ),
        ],
    );
    drawn(prompt, total % divisor, format!("{total}%{divisor}"))
}

fn two_step_story(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = pair(draw, max);
    let more = draw.between(2, max);
    let name = *draw.pick(&NAMES);
    let (_, things) = *draw.pick(&THINGS);
    let thing_containers = *draw.pick(&CONTAINERS);
    let boxes = count(a, thing_containers);
    if draw.below(2) == 0 {
        let prompt = format!(
            "{name} has {boxes} with {b} {things} each, and {more} loose {things}. How many {things} does {name} have in all?"
        );
        return drawn(prompt, a * b + more, format!("{a}*{b}+{more}"));
    }
    let gone = more.min(a * b - 1);
    let prompt = format!(
        "{name} buys {boxes} with {b} {things} each and gives {gone} {things} away. How many {things} does {name} keep?"
    );
    drawn(prompt, a * b - gone, format!("{a}*{b}-{gone}"))
}

fn linear_equation(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = pair(draw, max);
    let c = draw.between(-max, max * 2);
    let minus = draw.below(2) == 0;
    let (sign, signed) = if minus { ('-', -b) } else { ('+', b) };
    let prompt = one_of(
        draw,
        [
            format!("Solve for x: {a}x {sign} {b} = {c}."),
            format!("Find the value of x for which {a}x {sign} {b} equals {c}."),
            format!("If {a}x {sign} {b} = {c}, what is x?"),
        ],
    );
    drawn(
        prompt,
        Rational::new(c - signed, a),
        format!("{a}x{sign}{b}={c}"),
    )
}

fn fraction(draw: &mut SeededRng, max: i64) -> (i64, i64) {
    let den = draw.between(2, max);
    (draw.between(1, den - 1), den)
}

fn fraction_sum(draw: &mut SeededRng, max: i64) -> Drawn {
    let ((a, b), (c, d)) = (fraction(draw, max), fraction(draw, max));
    let minus = draw.below(2) == 0;
    let (sign, signed) = if minus { ('-', -c) } else { ('+', c) };
    let prompt = one_of(
        draw,
        [
            format!("What is {a}/{b} {sign} {c}/{d}? Give a fraction in lowest terms."),
            format!("Compute {a}/{b} {sign} {c}/{d} as a fraction in lowest terms."),
        ],
    );
    let answer = Rational::new(a, b).plus(Rational::new(signed, d));
    drawn(prompt, answer, format!("{a}/{b}{sign}{c}/{d}"))
}

fn fraction_of(draw: &mut SeededRng, max: i64) -> Drawn {
    let (a, b) = fraction(draw, max);
    let whole = b * draw.between(2, max);
    let name = *draw.pick(&NAMES);
    let (_, things) = *draw.pick(&THINGS);
    let prompt = one_of(
        draw,
        [
            format!("What is {a}/{b} of {whole}?"),
            format!(
                "{name} has {whole} {things} and gives away {a}/{b} of them. How many {things} does {name} give away?"
            ),
        ],
    );
    let answer = Rational::new(a, b).times(Rational::from(whole));
    drawn(prompt, answer, format!("{a}/{b}*{whole}"))
}

fn average(draw: &mut SeededRng, max: i64) -> Drawn {
    let len = draw.between(3, 4);
    let values: Vec<i64> = (0..len).map(|_| draw.between(1, max)).collect();
    let list: Vec<String> = values.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    let prompt = one_of(
        draw,
        [
            format!("What is the average of {list}?"),
            format!("Find the mean of the numbers {list}."),
        ],
    );
    drawn(
        prompt,
        Rational::new(values.iter().sum(), len),
        format!("mean {list}"),
    )
}
