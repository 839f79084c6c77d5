//! What a guest may still use up, and when it has to stop for the host.

use std::time::Instant;

use wasmtime::{AsContextMut, Error, Global, Result, Val};

use super::host::{Host, Stop};
use super::session::Cancel;

/// Instructions between two looks at the clock: some tens of milliseconds.
const SLICE: u64 = 400_000_000;

/// A guest's instructions. Those of the slice it is in are counted down in a global of its own (`meter.rs`).
pub(super) struct Fuel {
    /// What it was given.
    given: u64,
    /// What is not in its hands yet.
    rest: u64,
    /// None while it is baked: its instructions are not counted then.
    counter: Option<Global>,
    /// When the host has had enough, by the wall.
    pub(super) deadline: Option<Instant>,
    pub(super) cancel: Option<Cancel>,
}

impl Fuel {
    pub(super) fn new(given: u64) -> Self {
        // Sums of two stay far within an i64.
        let given = given.min(1 << 61);
        Self {
            given,
            rest: given,
            counter: None,
            deadline: None,
            cancel: None,
        }
    }

    fn look_at_the_clock(&self) -> Result<()> {
        let late = self.deadline.is_some_and(|end| Instant::now() >= end);
        if late || self.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(Error::new(Stop::Time));
        }
        Ok(())
    }
}

/// Has a new guest count in this global of its own.
pub(super) fn begin(mut store: impl AsContextMut<Data = Host>, counter: Global) -> Result<()> {
    store.as_context_mut().data_mut().fuel.counter = Some(counter);
    counter.set(&mut store, Val::I64(0))
}

/// Instructions that a guest has used up.
pub(super) fn used(mut store: impl AsContextMut<Data = Host>) -> u64 {
    let in_hand = in_hand(&mut store);
    let context = store.as_context_mut();
    let Fuel { given, rest, .. } = context.data().fuel;
    given - rest.saturating_add_signed(in_hand).min(given)
}

/// Takes instructions for work done in the guest's name, looks at the clock, and hands out the next slice.
///
/// # Errors
/// [`Stop`] when it has no more of either.
pub(super) fn charge(mut store: impl AsContextMut<Data = Host>, instructions: u64) -> Result<()> {
    store.as_context_mut().data().fuel.look_at_the_clock()?;
    let in_hand = in_hand(&mut store);
    let mut context = store.as_context_mut();
    let fuel = &mut context.data_mut().fuel;
    let left = i128::from(fuel.rest) + i128::from(in_hand) - i128::from(instructions);
    let is_over = left < 0;
    let left = u64::try_from(left.max(0)).unwrap_or(u64::MAX);
    let slice = if fuel.counter.is_some() {
        left.min(SLICE)
    } else {
        0
    };
    fuel.rest = left - slice;
    if let Some(counter) = fuel.counter {
        counter.set(&mut store, Val::I64(slice as i64))?;
    }
    if is_over {
        return Err(Error::new(Stop::Fuel));
    }
    Ok(())
}

/// What the guest counts down; below zero where it took the last at once.
fn in_hand(mut store: impl AsContextMut<Data = Host>) -> i64 {
    let counter = store.as_context_mut().data().fuel.counter;
    counter
        .and_then(|counter| counter.get(&mut store).i64())
        .unwrap_or(0)
}
