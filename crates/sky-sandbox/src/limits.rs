use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::SandboxError;

/// Guest instructions that do the work of one second of native CPython 3.11, as measured in
/// `docs/benchmarks.md`.
///
/// Time limits in seconds are converted with it, so that a verdict is the same on any machine, at
/// any load.
pub const INSTRUCTIONS_PER_SECOND: u64 = 80_000_000_000;

/// The largest value of [`Limits::memory`] and of [`Limits::output`], in bytes: 1 GiB.
pub const MAX_MEMORY: u64 = 1 << 30;

/// What one program may use. Each limit ends the program with its own [`Exit`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// WebAssembly instructions, counted inside the guest: the same run costs the same on any
    /// machine. Ends with [`Exit::OutOfInstructions`].
    pub instructions: u64,
    /// Bytes of heap beyond the interpreter's own, at most [`MAX_MEMORY`]. Ends with
    /// [`Exit::OutOfMemory`].
    pub memory: u64,
    /// Bytes on standard output and standard error together, at most [`MAX_MEMORY`]. Ends with
    /// [`Exit::OutputLimit`].
    pub output: u64,
    /// Wall-clock seconds, for the host's safety alone. The default lies far beyond what
    /// `instructions` take, so that no verdict depends on the clock. A value that is no duration
    /// counts as one hour. Ends with [`Exit::OutOfTime`].
    pub wall_s: f64,
}

impl Default for Limits {
    /// Instructions for 10 s of native CPython, 256 MiB of memory, 16 MiB of output.
    fn default() -> Self {
        Self::seconds(10.0)
    }
}

impl Limits {
    /// The default limits, with instructions for `seconds` of native CPython and a wall clock of
    /// 60 s plus 60 s for each of these seconds.
    ///
    /// `seconds` is clamped to between 0.001 and 3600; NaN counts as 10.
    pub fn seconds(seconds: f64) -> Self {
        let seconds = if seconds.is_nan() {
            10.0
        } else {
            seconds.clamp(0.001, 3600.0)
        };
        Self {
            instructions: (seconds * INSTRUCTIONS_PER_SECOND as f64) as u64,
            memory: 256 << 20,
            output: 16 << 20,
            // The guest needs about 4 s for a native second. The rest is room for a machine under
            // load.
            wall_s: 60.0 + seconds * 60.0,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), SandboxError> {
        if self.memory > MAX_MEMORY {
            return Err(SandboxError::Limit {
                name: "memory",
                value: self.memory,
                max: MAX_MEMORY,
            });
        }
        if self.output > MAX_MEMORY {
            return Err(SandboxError::Limit {
                name: "output",
                value: self.output,
                max: MAX_MEMORY,
            });
        }
        Ok(())
    }

    pub(crate) fn wall(&self) -> Duration {
        Duration::try_from_secs_f64(self.wall_s).unwrap_or(Duration::from_secs(3600))
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It ran to its end (0), or left through `sys.exit` or `os._exit` with this code.
    Exited(i32),
    /// It did not catch an exception.
    Raised {
        /// The name of the exception's class.
        kind: String,
        /// The exception's message, at most 500 bytes.
        message: String,
    },
    /// It does not compile.
    CompileError {
        /// The compiler's message, with the line, at most 500 bytes.
        message: String,
    },
    /// It used up [`Limits::instructions`].
    OutOfInstructions,
    /// It reached [`Limits::wall_s`], since the host is far too busy or too slow, or its
    /// [`Cancel`](crate::Cancel) ended it.
    OutOfTime,
    /// It needed more than [`Limits::memory`].
    OutOfMemory,
    /// It wrote more than [`Limits::output`].
    OutputLimit,
    /// It recursed in C until the native stack or the guest's own stack was full.
    StackOverflow,
    /// Its interpreter broke.
    Crashed {
        /// What the engine reported.
        trap: String,
    },
}

/// What one run leaves behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, with the traceback of an uncaught exception.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit: Exit,
    /// WebAssembly instructions used; the same on any machine.
    pub instructions: u64,
    /// Peak bytes of heap beyond the interpreter's own.
    pub peak_memory: u64,
    /// Wall-clock time of the run, without the wait for a free core.
    pub wall: Duration,
}
