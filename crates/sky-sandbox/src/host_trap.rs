//! How a host call ends the guest that made it.

/// The error with which a host call traps, so that the guest does not continue.
///
/// The session finds it again in the engine's error and turns it into an [`Exit`](crate::Exit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostTrap {
    /// The guest called `proc_exit` with this code.
    Exit(i32),
    /// The guest wrote more than its output limit.
    OutputLimit,
    /// The guest used up its instructions.
    OutOfInstructions,
    /// The wall-clock deadline passed, or the run was cancelled.
    OutOfTime,
    /// The program that the test asks has ended, or the test needs a shared interpreter.
    ProgramEnded,
    /// The guest is at the point where the snapshot is taken.
    Snapshot,
}

impl std::fmt::Display for HostTrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for HostTrap {}
