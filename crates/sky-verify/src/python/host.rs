//! What one guest sees of the host: a standard input, two outputs, a control channel. Nothing else exists for it.

use wasmtime::ResourceLimiter;

use super::exam::Partner;
use super::files::Files;
use super::fuel::Fuel;

/// Descriptor of what the host tells the driver.
pub(super) const CONTROL_IN: u32 = 100;
/// Descriptor of what the driver, or a program pretending to be it, tells the host.
pub(super) const CONTROL_OUT: u32 = 101;
/// Most bytes on the control channel, besides those that the output limit allows.
const CONTROL_SLACK: u64 = 1 << 20;

/// The state behind one guest's WASI calls.
pub(super) struct Host {
    pub(super) stdin: Stream,
    pub(super) control_in: Stream,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) control_out: Vec<u8>,
    pub(super) output_limit: u64,
    pub(super) fuel: Fuel,
    pub(super) entropy: u64,
    pub(super) heap: Heap,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<String>,
    /// Set while the guest is baked only.
    pub(super) bake: Option<Files>,
    /// The program that this guest's test asks.
    pub(super) partner: Option<Box<Partner>>,
}

/// Bytes to be read once.
#[derive(Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    position: usize,
}

impl Stream {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next bytes, at most `len` of them.
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let start = self.position;
        let end = self.bytes.len().min(start.saturating_add(len));
        self.position = end;
        &self.bytes[start..end]
    }
}

impl Host {
    pub(super) fn new(stdin: Vec<u8>, output_limit: u64, instructions: u64, heap: Heap) -> Self {
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
            bake: None,
            partner: None,
        }
    }

    /// Appends to an output; false when that would be too much.
    pub(super) fn write(&mut self, descriptor: u32, bytes: &[u8]) -> bool {
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
    pub(super) fn next_word(&mut self) -> u64 {
        self.entropy = self.entropy.wrapping_add(1);
        sky_types::derive_seed(0x5eed, "guest", self.entropy)
    }
}

/// Lets memory grow to a limit and remembers how far it went.
pub(super) struct Heap {
    /// Bytes the memory may have in all.
    pub(super) limit: usize,
    /// Most bytes it had.
    pub(super) peak: usize,
    /// Whether it was ever refused more.
    pub(super) refused: bool,
}

impl Heap {
    pub(super) fn new(limit: usize) -> Self {
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

/// Why the host ended a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It asked for it, with this code.
    Exit(i32),
    /// It wrote too much.
    Output,
    /// It used up its instructions.
    Fuel,
    /// It used up its time by the wall, or nobody waits for it any more.
    Time,
    /// The program that it asked has ended, or cannot be asked.
    Partner,
    /// It stands where the snapshot is taken.
    Snapshot,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Stop {}
