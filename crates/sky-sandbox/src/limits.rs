use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::SandboxError;

/// Guest instructions that do the work of one second of native CPython 3.11, as measured in
/// `docs/benchmarks.md`.
///
/// Time limits given in seconds are translated with it, so that a verdict is the same on any
/// machine, at any load.
pub const INSTRUCTIONS_PER_SECOND: u64 = 80_000_000_000;

/// The most memory one program can be given, in bytes.
pub const MAX_MEMORY: u64 = 1 << 30;

/// What one program may use up. Each limit ends it in its own way: see [`Exit`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// WebAssembly instructions, as `meter.rs` counts them: the same run costs the same anywhere.
    pub instructions: u64,
    /// Bytes of heap on top of the interpreter's own.
    pub memory: u64,
    /// Bytes on standard output and standard error together.
    pub output: u64,
    /// Seconds by the wall, for the host's safety alone: far behind `instructions`, so that no
    /// verdict depends on it.
    pub wall_s: f64,
}

impl Default for Limits {
    /// Ten native seconds, 256 MiB, 16 MiB of output.
    fn default() -> Self {
        Self::seconds(10.0)
    }
}

impl Limits {
    /// The default limits, with instructions for `seconds` of a native interpreter.
    ///
    /// Negative, infinite and absurd values are brought into 0.001 s to one hour.
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
            // The guest needs about 4 s for a native second; more than ten times that for a machine
            // with better things to do.
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
    /// It ran to its end (0), or left through `sys.exit` or `os._exit`.
    Exited(i32),
    /// An exception nobody caught.
    Raised {
        /// The exception's class.
        kind: String,
        /// Its message, cut to a few hundred characters.
        message: String,
    },
    /// It does not compile.
    CompileError {
        /// What the compiler says.
        message: String,
    },
    /// It used up its instructions.
    OutOfInstructions,
    /// It used up its time by the wall: the host was far too busy, or far too slow.
    OutOfTime,
    /// It used up its memory.
    OutOfMemory,
    /// It wrote more than it may.
    OutputLimit,
    /// It recursed in C until the native stack ran out.
    StackOverflow,
    /// It broke its interpreter: what the engine reported.
    Crashed {
        /// The trap.
        trap: String,
    },
}

/// Everything one run left behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, a traceback included.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit: Exit,
    /// WebAssembly instructions used; the same on any machine.
    pub instructions: u64,
    /// Most bytes of heap on top of the interpreter's own.
    pub peak_memory: u64,
    /// Time by the wall, from before the instance to after its end.
    pub wall: Duration,
}
