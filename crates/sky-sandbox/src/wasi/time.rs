//! Clocks and sleep, measured in the guest's own instructions: a real clock would make runs differ.

use wasmtime::{Caller, Error, Linker, Result};

use super::abi::{FAULT, INVAL, MAX_BUFFERS, MODULE};
use super::memory::with;
use crate::fuel::{charge, used};
use crate::host::Host;
use crate::host_trap::HostTrap;
use crate::limits::INSTRUCTIONS_PER_SECOND;

/// The time at which every guest's clock starts, in nanoseconds since 1970: a moment in November
/// 2023.
const EPOCH_NS: u64 = 1_700_000_000_000_000_000;

/// Nanoseconds of native time that the guest's instructions so far stand for.
fn elapsed_ns(caller: &mut Caller<'_, Host>) -> u64 {
    let ns = u128::from(used(caller)) * 1_000_000_000 / u128::from(INSTRUCTIONS_PER_SECOND);
    u64::try_from(ns).unwrap_or(u64::MAX / 2).min(u64::MAX / 2)
}

/// What a guest's clock shows: clock 0 counts from 1970, the others from the guest's start.
fn now(clock: u32, elapsed: u64) -> u64 {
    if clock == 0 {
        EPOCH_NS + elapsed
    } else {
        elapsed
    }
}

pub(super) fn link(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "clock_res_get",
        |mut c: Caller<'_, Host>, _clock: u32, at: u32| with(&mut c, |call| call.write_u64(at, 1)),
    )?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut c: Caller<'_, Host>, clock: u32, _precision: u64, at: u32| -> Result<i32> {
            // The driver reports its addresses, then reads the clock: this is the snapshot.
            if c.data().bake.is_some() && !c.data().control_out.is_empty() {
                return Err(Error::new(HostTrap::Snapshot));
            }
            let elapsed = elapsed_ns(&mut c);
            with(&mut c, |call| call.write_u64(at, now(clock, elapsed)))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |mut c: Caller<'_, Host>, wanted: u32, events: u32, count: u32, happened: u32| {
            let poll = Poll {
                wanted,
                events,
                count,
                happened,
            };
            poll.answer(&mut c)
        },
    )?;
    Ok(())
}

/// The arguments of `poll_oneoff`: where the guest's subscriptions lie (48 bytes each), where their
/// events go (32 bytes each), how many there are, and where their number goes.
struct Poll {
    wanted: u32,
    events: u32,
    count: u32,
    happened: u32,
}

impl Poll {
    /// Sleeping returns at once and costs the instructions of its time: a program that sleeps for a
    /// minute has used a minute of its limit. Files are always ready.
    fn answer(&self, c: &mut Caller<'_, Host>) -> Result<i32> {
        if self.count == 0 || self.count > MAX_BUFFERS {
            return Ok(INVAL.0);
        }
        let elapsed = elapsed_ns(c);
        let mut slept = None;
        let answer = with(c, |call| {
            for index in 0..self.count {
                let at = self.wanted.checked_add(48 * index).ok_or(FAULT)?;
                let user = call.read_u64(at)?;
                let kind = call.bytes(at.checked_add(8).ok_or(FAULT)?, 1)?[0];
                let mut event = [0_u8; 32];
                event[..8].copy_from_slice(&user.to_le_bytes());
                event[10] = kind;
                if kind == 0 {
                    let clock = call.read_u32(at.checked_add(16).ok_or(FAULT)?)?;
                    let timeout = call.read_u64(at.checked_add(24).ok_or(FAULT)?)?;
                    let absolute = call.read_u32(at.checked_add(40).ok_or(FAULT)?)? & 1 == 1;
                    let wait = if absolute {
                        timeout.saturating_sub(now(clock, elapsed))
                    } else {
                        timeout
                    };
                    slept = Some(slept.map_or(wait, |least: u64| least.min(wait)));
                } else {
                    event[16..24].copy_from_slice(&1_u64.to_le_bytes());
                }
                call.write(self.events.checked_add(32 * index).ok_or(FAULT)?, &event)?;
            }
            call.write_u32(self.happened, self.count)
        })?;
        if let Some(ns) = slept.filter(|_| answer == 0) {
            let cost = u128::from(ns) * u128::from(INSTRUCTIONS_PER_SECOND) / 1_000_000_000;
            charge(c, u64::try_from(cost).unwrap_or(u64::MAX))?;
        }
        Ok(answer)
    }
}
