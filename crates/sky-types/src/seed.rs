/// A seed for one named purpose under a run's seed: `derive_seed(run, "sample", problem * n +
/// index)`.
///
/// Stable across platforms and versions, so that a run can be repeated years later: FNV-1a over the
/// label, then the SplitMix64 finaliser (Steele, Lea and Flood, 2014) to mix in the index.
pub fn derive_seed(seed: u64, label: &str, index: u64) -> u64 {
    let label = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(mix(seed ^ label).wrapping_add(mix(index)))
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn seeds_are_stable_and_distinct() {
        assert_eq!(derive_seed(0, "sample", 0), derive_seed(0, "sample", 0));
        let all: HashSet<u64> = (0..3)
            .flat_map(|seed| ["sample", "select"].map(|label| (seed, label)))
            .flat_map(|(seed, label)| (0..1000).map(move |index| derive_seed(seed, label, index)))
            .collect();
        assert_eq!(all.len(), 6000);
    }
}
