//! The call graph: which functions check the counter because of recursion.
//!
//! Recursion without a loop never passes a loop header. So the meter checks the counter in at least
//! one function of every cycle of calls.

use wasmparser::{FunctionBody, Operator};

use super::insertion::Refused;

/// For each function with a body, whether it checks the counter: all functions that an indirect
/// call can reach, and at least one function of each cycle of direct calls. So every cycle of calls
/// of either kind has one. `imported` functions have the lower indices and call nothing here.
///
/// # Errors
/// When a function transfers control in a way that metering does not cover.
pub(super) fn recurring(
    bodies: &[FunctionBody<'_>],
    imported: u32,
    by_address: &[u32],
) -> Result<Vec<bool>, Refused> {
    let calls = bodies
        .iter()
        .map(|body| by_name(body, imported))
        .collect::<Result<Vec<_>, Refused>>()?;
    let mut found = cycle_entries(&calls);
    for function in by_address {
        let index = function.checked_sub(imported).map(|index| index as usize);
        if let Some(recurs) = index.and_then(|index| found.get_mut(index)) {
            *recurs = true;
        }
    }
    Ok(found)
}

fn by_name(body: &FunctionBody<'_>, imported: u32) -> Result<Vec<usize>, Refused> {
    let mut found = Vec::new();
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Call { function_index } => {
                let index = function_index.checked_sub(imported);
                found.extend(index.map(|index| index as usize));
            }
            operator @ (Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Try { .. }
            | Operator::TryTable { .. }) => {
                return Err(format!("it has {operator:?}, which is not counted").into());
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The targets of back edges in a depth-first walk: every cycle has at least one. The walk keeps
/// its path in a vector, since a chain of calls may be longer than this thread's stack is deep.
fn cycle_entries(calls: &[Vec<usize>]) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Walk {
        Before,
        Within,
        After,
    }
    let mut walks = vec![Walk::Before; calls.len()];
    let mut found = vec![false; calls.len()];
    let mut path: Vec<(usize, std::slice::Iter<'_, usize>)> = Vec::new();
    for start in 0..calls.len() {
        let mut next = Some(start);
        loop {
            if let Some(index) = next {
                match walks.get(index) {
                    Some(Walk::Before) => {
                        walks[index] = Walk::Within;
                        path.push((index, calls[index].iter()));
                    }
                    Some(Walk::Within) => found[index] = true,
                    _ => {}
                }
            }
            let Some((index, rest)) = path.last_mut() else {
                break;
            };
            next = rest.next().copied();
            if next.is_none() {
                walks[*index] = Walk::After;
                path.pop();
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::cycle_entries;

    #[test]
    fn each_circle_has_one_that_is_found() {
        // 0 -> 1 -> 2 -> 1, 3 -> 3, 4 -> 0, 5 <-> 6, 7 -> nothing, 8 -> one that is not there.
        let calls = [
            vec![1],
            vec![2, 7],
            vec![1],
            vec![7, 3],
            vec![0],
            vec![6],
            vec![5],
            vec![],
            vec![99],
        ];
        let found = cycle_entries(&calls);
        let found: Vec<usize> = (0..calls.len()).filter(|&index| found[index]).collect();
        assert_eq!(found, [1, 3, 5]);
        assert!(cycle_entries(&[]).is_empty());
    }
}
