//! Pairs out of the test suites of other graders, from the shared data folder: how far we agree,
//! and every miss by name.
#![allow(clippy::unwrap_used)]

mod shared;

use std::collections::BTreeMap;

use sky_math::{MathChecker, Options};

/// Pairs of a thousand that have to agree.
const FLOOR: usize = 995;

#[test]
fn pairs_of_other_graders() {
    let Some(pairs) = shared::rows("peer_pairs/pairs.jsonl") else {
        return;
    };
    let checker = MathChecker::new(Options::default());
    let (mut agree, mut accepts, mut fell) = (0, 0, 0);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for pair in &pairs {
        let (gold, pred) = (
            pair["gold"].as_str().unwrap(),
            pair["pred"].as_str().unwrap(),
        );
        let expected = pair["expected"].as_bool().unwrap();
        let verdict = checker.check(gold, pred);
        if verdict.is_correct() == expected {
            agree += 1;
            continue;
        }
        let kind = pair["kind"].as_str().unwrap();
        accepts += usize::from(!expected);
        fell += usize::from(kind.is_empty());
        *kinds.entry(kind.to_owned()).or_default() += 1;
        println!(
            "MISS {} [{kind}] expected {expected}: gold {gold:?} pred {:?} extracted {:?} by {:?}: {}",
            pair["id"],
            pred.chars().take(200).collect::<String>(),
            verdict.extracted,
            verdict.rule,
            verdict.reason
        );
    }
    for (kind, count) in &kinds {
        println!("{count} misses of {kind:?}");
    }
    println!(
        "agreement {agree} of {}, false accepts {accepts}, {fell} that agreed before",
        pairs.len()
    );
    assert_eq!(fell, 0, "pairs that agreed before");
    assert!(
        agree * 1000 >= pairs.len() * FLOOR,
        "agreement fell to {agree} of {}",
        pairs.len()
    );
}
