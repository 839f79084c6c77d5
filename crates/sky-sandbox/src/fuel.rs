//! Fuel: a guest's instruction budget, and when the host checks the clock.
//!
//! The guest counts down a slice of its budget in a global inside the guest, because a host call
//! for every count would cost more than the work that it counts. When the slice is used up, the
//! guest calls the host. The host checks the deadline and the cancellation, then hands out the next
//! slice. So a verdict depends on instructions; the clock is for emergencies.

use std::time::Instant;

use wasmtime::{AsContextMut, Error, Global, Result, Val};

use crate::cancel::Cancel;
use crate::host_trap::HostTrap;

/// Instructions in one slice. They take a few tens of milliseconds, which bounds how late the host
/// notices a deadline.
const SLICE: u64 = 400_000_000;

/// A guest's instruction budget. The slice in the guest's hands is counted down in a global of the
/// guest (`meter.rs`).
pub(crate) struct Fuel {
    /// Instructions granted for the whole run.
    given: u64,
    /// Instructions that are not handed to the guest yet.
    rest: u64,
    /// The guest's counting global. None while the guest is baked, when nothing is counted.
    counter: Option<Global>,
    /// When the run must end by the wall clock.
    pub(crate) deadline: Option<Instant>,
    /// Ends the run when its result is no longer needed.
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
        // Sums of two budgets stay far inside an i64.
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

/// Attaches a guest's counting global and empties it: the guest asks for its first slice at its
/// next check.
pub(crate) fn begin(
    mut store: impl AsContextMut<Data = impl Fueled + 'static>,
    counter: Global,
) -> Result<()> {
    store.as_context_mut().data_mut().fuel_mut().counter = Some(counter);
    counter.set(&mut store, Val::I64(0))
}

/// Instructions that a guest has used so far.
pub(crate) fn used(mut store: impl AsContextMut<Data = impl Fueled + 'static>) -> u64 {
    let in_hand = in_hand(&mut store);
    let context = store.as_context_mut();
    let Fuel { given, rest, .. } = *context.data().fuel();
    given - rest.saturating_add_signed(in_hand).min(given)
}

/// Charges `instructions` for host work that the guest asked for, checks the clock, and hands out
/// the next slice.
///
/// # Errors
/// [`HostTrap::OutOfTime`] when the deadline has passed or the run is cancelled,
/// [`HostTrap::OutOfInstructions`] when the budget is used up.
pub(crate) fn charge(
    mut store: impl AsContextMut<Data = impl Fueled + 'static>,
    instructions: u64,
) -> Result<()> {
    store.as_context_mut().data().fuel().check_deadline()?;
    let in_hand = in_hand(&mut store);
    let mut context = store.as_context_mut();
    let fuel = context.data_mut().fuel_mut();
    // In i128: a charge may be any u64, as for a sleep without end.
    let left = i128::from(fuel.rest) + i128::from(in_hand) - i128::from(instructions);
    let is_over = left < 0;
    let left = u64::try_from(left.max(0)).unwrap_or(u64::MAX);
    let slice = if fuel.counter.is_some() {
        left.min(SLICE)
    } else {
        0
    };
    // Set before the trap, so that `used` reports exactly the budget of a run that used it up.
    fuel.rest = left - slice;
    if let Some(counter) = fuel.counter {
        counter.set(&mut store, Val::I64(slice as i64))?;
    }
    if is_over {
        return Err(Error::new(HostTrap::OutOfInstructions));
    }
    Ok(())
}

/// Instructions left in the guest's slice. Below zero when the guest's last charge was larger than
/// what the slice still held.
fn in_hand(mut store: impl AsContextMut<Data = impl Fueled + 'static>) -> i64 {
    let counter = store.as_context_mut().data().fuel().counter;
    counter
        .and_then(|counter| counter.get(&mut store).i64())
        .unwrap_or(0)
}
