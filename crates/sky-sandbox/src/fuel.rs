//! The fuel of a guest: the instructions that it has left, and when the host looks at the clock.
//!
//! The guest counts down a slice in a global of its own, because a call to the host for every count
//! would cost more than what it counts. The host hands out the next slice and checks the deadline
//! and cancellation there, so that no verdict depends on the clock but in an emergency.

use std::time::Instant;

use wasmtime::{AsContextMut, Error, Global, Result, Val};

use crate::cancel::Cancel;
use crate::host_trap::HostTrap;

/// Instructions between two looks at the clock: some tens of milliseconds.
const SLICE: u64 = 400_000_000;

/// A guest's instructions. Those of the slice it is in are counted down in a global of its own
/// (`meter.rs`).
pub(crate) struct Fuel {
    /// What it was given.
    given: u64,
    /// What is not in its hands yet.
    rest: u64,
    /// None while it is baked: its instructions are not counted then.
    counter: Option<Global>,
    /// When the host has had enough, by the wall.
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: Option<Cancel>,
}

/// The state of a store whose guest has fuel.
pub(crate) trait Fueled {
    /// The guest's fuel.
    fn fuel(&self) -> &Fuel;
    /// The guest's fuel, to change it.
    fn fuel_mut(&mut self) -> &mut Fuel;
}

impl Fuel {
    pub(crate) fn new(given: u64) -> Self {
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

    fn check_deadline(&self) -> Result<()> {
        let late = self.deadline.is_some_and(|end| Instant::now() >= end);
        if late || self.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(Error::new(HostTrap::OutOfTime));
        }
        Ok(())
    }
}

/// Has a new guest count in this global of its own.
pub(crate) fn begin(
    mut store: impl AsContextMut<Data = impl Fueled + 'static>,
    counter: Global,
) -> Result<()> {
    store.as_context_mut().data_mut().fuel_mut().counter = Some(counter);
    counter.set(&mut store, Val::I64(0))
}

/// Instructions that a guest has used up.
pub(crate) fn used(mut store: impl AsContextMut<Data = impl Fueled + 'static>) -> u64 {
    let in_hand = in_hand(&mut store);
    let context = store.as_context_mut();
    let Fuel { given, rest, .. } = *context.data().fuel();
    given - rest.saturating_add_signed(in_hand).min(given)
}

/// Takes instructions for work done in the guest's name, looks at the clock, and hands out the next
/// slice.
///
/// # Errors
/// [`HostTrap`] when it has no more of either.
pub(crate) fn charge(
    mut store: impl AsContextMut<Data = impl Fueled + 'static>,
    instructions: u64,
) -> Result<()> {
    store.as_context_mut().data().fuel().check_deadline()?;
    let in_hand = in_hand(&mut store);
    let mut context = store.as_context_mut();
    let fuel = context.data_mut().fuel_mut();
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
        return Err(Error::new(HostTrap::OutOfInstructions));
    }
    Ok(())
}

/// What the guest counts down; below zero where it took the last at once.
fn in_hand(mut store: impl AsContextMut<Data = impl Fueled + 'static>) -> i64 {
    let counter = store.as_context_mut().data().fuel().counter;
    counter
        .and_then(|counter| counter.get(&mut store).i64())
        .unwrap_or(0)
}
