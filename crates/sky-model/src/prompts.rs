//! Requests with their prompts in tokens, and what prompts have in common.

use sky_types::Request;

/// A request with its prompt in tokens.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) request: Request,
    pub(crate) prompt: Vec<u32>,
}

/// Parts of a group that share enough of their prompts' beginnings to be worth running apart.
///
/// A group may hold requests of several kinds, each with its own worked examples. A part ends where
/// it already fills half a batch and the next request would cost it a long shared beginning.
pub(crate) fn split_by_prefix(group: Vec<Prepared>, max_batch: usize) -> Vec<Vec<Prepared>> {
    /// Sharing fewer tokens than this more does not pay for a smaller batch.
    const WORTH: usize = 64;
    let shared = common_prefix(&group);
    let mut parts = Vec::new();
    let mut current: Vec<Prepared> = Vec::new();
    let mut current_shared = 0;
    for item in group {
        let whole = item.prompt.len();
        let with = current.last().map_or(whole, |last| {
            common(&last.prompt, &item.prompt).min(current_shared)
        });
        let costly = with < shared + WORTH && current_shared >= shared + WORTH;
        if costly && current.len() * 2 >= max_batch {
            parts.push(std::mem::take(&mut current));
            current_shared = whole;
        } else {
            current_shared = with;
        }
        current.push(item);
    }
    parts.push(current);
    parts
}

/// How many tokens all prompts begin with in common; at least one is left to each.
pub(crate) fn common_prefix(group: &[Prepared]) -> usize {
    let Some((first, rest)) = group.split_first() else {
        return 0;
    };
    let shortest = group.iter().map(|p| p.prompt.len()).min().unwrap_or(0);
    rest.iter()
        .map(|other| common(&first.prompt, &other.prompt))
        .min()
        .unwrap_or(0)
        .min(shortest.saturating_sub(1))
}

fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
