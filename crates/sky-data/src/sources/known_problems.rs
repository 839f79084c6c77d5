//! Problems of public benchmarks whose published tests do not decide as the problem's own judge
//! does, and what is done about each.

use super::format::Format;

/// A problem whose tests need help.
pub(super) struct KnownProblem {
    /// The benchmark.
    pub(super) format: Format,
    /// The problem's id or title there.
    pub(super) id: &'static str,
    /// What is done about it.
    pub(super) remedy: Remedy,
}

/// What is done about a problem.
#[derive(Clone, Copy)]
pub(super) enum Remedy {
    /// Many outputs are right: this judge decides.
    Judge(&'static str),
    /// No program can pass, or a wrong one may: it is left out, for this reason.
    Exclude(&'static str),
}

/// What is known of a problem, by its id or its title.
pub(super) fn known(format: Format, names: [Option<&str>; 2]) -> Option<&'static KnownProblem> {
    KNOWN
        .iter()
        .find(|known| known.format == format && names.contains(&Some(known.id)))
}

const ANY_ORDER: Remedy = Remedy::Judge(include_str!("judges/any_order.py"));
const INTERACTIVE: Remedy = Remedy::Exclude("an interactive problem");

/// LiveCodeBench's: its ERRATA.md,
/// <https://github.com/LiveCodeBench/LiveCodeBench/blob/main/ERRATA.md>. The judges follow the
/// statements on atcoder.jp.
const KNOWN: [KnownProblem; 12] = [
    live_code_bench(
        "abc311_c",
        Remedy::Judge(include_str!("judges/abc311_c.py")),
    ),
    live_code_bench(
        "abc326_d",
        Remedy::Judge(include_str!("judges/abc326_d.py")),
    ),
    live_code_bench(
        "abc333_e",
        Remedy::Judge(include_str!("judges/abc333_e.py")),
    ),
    live_code_bench(
        "abc343_e",
        Remedy::Judge(include_str!("judges/abc343_e.py")),
    ),
    live_code_bench(
        "abc362_c",
        Remedy::Judge(include_str!("judges/abc362_c.py")),
    ),
    live_code_bench("find-words-containing-character", ANY_ORDER),
    live_code_bench("find-the-peaks", ANY_ORDER),
    live_code_bench("generate-binary-strings-without-adjacent-zeros", ANY_ORDER),
    live_code_bench(
        "abc327_b",
        Remedy::Exclude("many outputs are right, by its errata"),
    ),
    live_code_bench("abc337_e", INTERACTIVE),
    live_code_bench("abc355_e", INTERACTIVE),
    live_code_bench(
        "abc350_c",
        Remedy::Exclude("its tests are wrong, by its errata"),
    ),
];

const fn live_code_bench(id: &'static str, remedy: Remedy) -> KnownProblem {
    KnownProblem {
        format: Format::LiveCodeBench,
        id,
        remedy,
    }
}
