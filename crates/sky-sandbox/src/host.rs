//! The host's state behind one guest: a standard input, two outputs, a control channel. A guest
//! sees nothing else of the host.

use wasmtime::ResourceLimiter;

use crate::devices::Devices;
use crate::files::Files;
use crate::fuel::{Fuel, Fueled};

/// The descriptor on which the driver reads what the host sends.
pub(crate) const CONTROL_IN: u32 = 100;
/// The descriptor on which the driver reports to the host. A program can write to it too.
pub(crate) const CONTROL_OUT: u32 = 101;
/// Bytes that the control channel may hold beyond the output limit: a report about a small output
/// still has room.
const CONTROL_SLACK: u64 = 1 << 20;

/// Takes a test's question to the program's guest and brings back the answer; `None` ends the test.
///
/// A closure, so that the host's state knows nothing of sessions.
pub(crate) type AskProgram = Box<dyn FnMut(Vec<u8>) -> Option<Vec<u8>> + Send + Sync>;

/// The state behind one guest's WASI calls.
pub(crate) struct Host {
    pub(crate) stdin: Stream,
    pub(crate) control_in: Stream,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) control_out: Vec<u8>,
    pub(crate) output_limit: u64,
    pub(crate) fuel: Fuel,
    pub(crate) entropy: u64,
    pub(crate) heap: Heap,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<String>,
    /// Devices that the run has open by path.
    pub(crate) devices: Devices,
    /// Set while the guest is baked only.
    pub(crate) bake: Option<Files>,
    /// Answers what this guest's test asks of the program, which runs in another guest.
    pub(crate) ask_program: Option<AskProgram>,
}

/// Bytes to be read once.
#[derive(Default)]
pub(crate) struct Stream {
    bytes: Vec<u8>,
    position: usize,
}

impl Stream {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes in all, those that were taken among them.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The next bytes, at most `len` of them.
    pub(crate) fn take(&mut self, len: usize) -> &[u8] {
        let start = self.position;
        let end = self.bytes.len().min(start.saturating_add(len));
        self.position = end;
        &self.bytes[start..end]
    }
}

impl Fueled for Host {
    fn fuel(&self) -> &Fuel {
        &self.fuel
    }

    fn fuel_mut(&mut self) -> &mut Fuel {
        &mut self.fuel
    }
}

impl Host {
    pub(crate) fn new(stdin: Vec<u8>, output_limit: u64, instructions: u64, heap: Heap) -> Self {
        Self {
            stdin: Stream::new(stdin),
            control_in: Stream::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            control_out: Vec::new(),
            output_limit,
            fuel: Fuel::new(instructions),
            entropy: 0,
            heap,
            arguments: Vec::new(),
            environment: Vec::new(),
            devices: Devices::default(),
            bake: None,
            ask_program: None,
        }
    }

    /// Appends to an output. False, and nothing is appended, when it would exceed the limit.
    pub(crate) fn write(&mut self, descriptor: u32, bytes: &[u8]) -> bool {
        let used = match descriptor {
            CONTROL_OUT => self.control_out.len() as u64,
            _ => (self.stdout.len() + self.stderr.len()) as u64,
        };
        let limit = match descriptor {
            CONTROL_OUT => self.output_limit.saturating_add(CONTROL_SLACK),
            _ => self.output_limit,
        };
        if used.saturating_add(bytes.len() as u64) > limit {
            return false;
        }
        match descriptor {
            1 => self.stdout.extend_from_slice(bytes),
            2 => self.stderr.extend_from_slice(bytes),
            _ => self.control_out.extend_from_slice(bytes),
        }
        true
    }

    /// The next eight bytes of a fixed sequence: a guest has no entropy.
    pub(crate) fn next_word(&mut self) -> u64 {
        self.entropy = self.entropy.wrapping_add(1);
        sky_types::derive_seed(0x5eed, "guest", self.entropy)
    }
}

/// Lets a guest's memory grow up to a limit, and records the peak.
pub(crate) struct Heap {
    /// Most bytes of the whole memory, the interpreter's own included.
    pub(crate) limit: usize,
    /// Peak bytes of the whole memory.
    pub(crate) peak: usize,
    /// Whether the guest ever asked for more. Tells a lack of memory from other crashes.
    pub(crate) refused: bool,
}

impl Heap {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            peak: 0,
            refused: false,
        }
    }
}

impl ResourceLimiter for Heap {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.peak = self.peak.max(desired);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The first "growth" is the table's own size at instantiation.
        Ok(desired <= 100_000)
    }
}
