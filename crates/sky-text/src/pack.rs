use std::collections::BTreeSet;

use sky_types::TokenSeq;

/// Several token sequences laid end to end, so that no computation goes into padding.
///
/// No sequence may see another: [`PackedRow::lengths`] says where each ends, and attention and
/// positions restart there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackedRow {
    /// Token ids of all members.
    pub ids: Vec<u32>,
    /// As long as `ids`; whether the loss counts the token.
    pub target: Vec<bool>,
    /// Tokens of each member, in order; they add up to the length of `ids`.
    pub lengths: Vec<usize>,
    /// Which input each member was, by index.
    pub members: Vec<usize>,
}

/// What [`pack`] made of its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The rows, each of at most the asked-for number of tokens.
    pub rows: Vec<PackedRow>,
    /// Inputs longer than that, by index. They are in no row: nothing is ever cut short.
    pub dropped: Vec<usize>,
}

/// What [`PackedRow::next_tokens`] says where no loss is asked for.
pub const IGNORE_INDEX: i64 = -100;

impl PackedRow {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the pack holds no tokens.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// For each position the token that the model should say next: the following token of the same
    /// member if the loss counts it, else [`IGNORE_INDEX`]. A member's last position predicts
    /// nothing.
    pub fn next_tokens(&self) -> Vec<i64> {
        let mut next = Vec::with_capacity(self.ids.len());
        let mut start = 0;
        for &length in &self.lengths {
            let end = start + length;
            next.extend((start + 1..end).map(|at| {
                if self.target[at] {
                    i64::from(self.ids[at])
                } else {
                    IGNORE_INDEX
                }
            }));
            if length > 0 {
                next.push(IGNORE_INDEX);
            }
            start = end;
        }
        next
    }

    /// Number of tokens that the loss counts.
    pub fn num_targets(&self) -> usize {
        self.next_tokens()
            .iter()
            .filter(|&&t| t != IGNORE_INDEX)
            .count()
    }

    fn push(&mut self, member: usize, seq: &TokenSeq) {
        self.ids.extend_from_slice(&seq.ids);
        // A caller's mask of another length would shift every later member's: what is missing does
        // not count.
        self.target
            .extend((0..seq.ids.len()).map(|at| seq.target.get(at).copied().unwrap_or(false)));
        self.lengths.push(seq.ids.len());
        self.members.push(member);
    }
}

/// Packs sequences into rows of at most `max_tokens` tokens, by best fit in order of falling length
/// (Johnson, 1973).
///
/// The result depends on the sequences alone: ties fall to the earlier input and the earlier row.
/// Members of one length lie next to each other, which lets attention take them as one batch. Empty
/// sequences are left out.
///
/// ```
/// use sky_types::TokenSeq;
///
/// let seq = |n: usize| TokenSeq { ids: vec![7; n], target: vec![true; n] };
/// let packed = sky_text::pack(&[seq(2), seq(6), seq(3), seq(9)], 8);
/// assert_eq!(packed.dropped, [3]);
/// assert_eq!(packed.rows[0].members, [1, 0]);
/// assert_eq!(packed.rows[1].members, [2]);
/// ```
pub fn pack(seqs: &[TokenSeq], max_tokens: usize) -> Packed {
    let mut packed = Packed::default();
    let mut order: Vec<usize> = (0..seqs.len()).filter(|&i| !seqs[i].is_empty()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(seqs[i].len()), i));
    let mut room: BTreeSet<(usize, usize)> = BTreeSet::new();
    for index in order {
        let length = seqs[index].len();
        if length > max_tokens {
            packed.dropped.push(index);
            continue;
        }
        let (free, row) = match room.range((length, 0)..).next().copied() {
            Some(found) => {
                room.remove(&found);
                found
            }
            None => {
                packed.rows.push(PackedRow::default());
                (max_tokens, packed.rows.len() - 1)
            }
        };
        packed.rows[row].push(index, &seqs[index]);
        room.insert((free - length, row));
    }
    packed.dropped.sort_unstable();
    packed
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seq(length: usize, seed: u32) -> TokenSeq {
        TokenSeq {
            ids: (0..length as u32).map(|i| seed * 1000 + i).collect(),
            target: (0..length).map(|i| i >= length / 2).collect(),
        }
    }

    #[test]
    fn every_token_is_in_exactly_one_row_and_none_is_too_long() {
        let seqs: Vec<TokenSeq> = (0..200_usize)
            .map(|i| seq((i * 7919) % 60, i as u32))
            .collect();
        let packed = pack(&seqs, 50);
        let mut seen = vec![false; seqs.len()];
        for row in &packed.rows {
            assert!(row.len() <= 50 && row.target.len() == row.len());
            let mut start = 0;
            for (&member, &length) in row.members.iter().zip(&row.lengths) {
                assert_eq!(row.ids[start..start + length], seqs[member].ids);
                assert_eq!(row.target[start..start + length], seqs[member].target);
                assert!(!std::mem::replace(&mut seen[member], true));
                start += length;
            }
            assert_eq!(start, row.len());
        }
        for (index, seq) in seqs.iter().enumerate() {
            assert_eq!(packed.dropped.contains(&index), seq.len() > 50);
            assert_eq!(seen[index], (1..=50).contains(&seq.len()));
        }
        let tokens: usize = packed.rows.iter().map(PackedRow::len).sum();
        assert!(packed.rows.len() <= tokens.div_ceil(50) + 2);
    }

    #[test]
    fn a_member_predicts_within_itself_only() {
        let row = &pack(&[seq(4, 1), seq(3, 2)], 10).rows[0];
        // seq(4): tokens 2 and 3 count; seq(3): tokens 1 and 2 count.
        assert_eq!(
            row.next_tokens(),
            [
                IGNORE_INDEX,
                1002,
                1003,
                IGNORE_INDEX,
                2001,
                2002,
                IGNORE_INDEX
            ]
        );
        assert_eq!(row.num_targets(), 4);
        assert_eq!(
            row.num_targets(),
            seq(4, 1).num_targets() + seq(3, 2).num_targets()
        );
    }
}
