//! The engine's settings: how the guest is compiled and run.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::SandboxError;
use crate::limits::MAX_MEMORY;

/// Bytes of native stack that compiled guest code may use: enough for 20,000 to 50,000 levels of
/// recursion in C.
pub(crate) const NATIVE_STACK: usize = 512 << 20;
/// Bytes of the stack that a guest runs on: its own part, and room for the host functions that it
/// calls. The engine refuses a stack below `NATIVE_STACK`.
pub(crate) const THREAD_STACK: usize = NATIVE_STACK + (16 << 20);
/// Bytes of that stack that stay in memory from one guest to the next.
const KEPT_STACK: usize = 256 << 10;
/// Bytes of the guest's own (shadow) stack, which lies in its memory and is grown for the snapshot.
/// Most recursion takes less of it than of the native stack. `stack_check.rs` guards its end.
pub(crate) const SHADOW_STACK: usize = 256 << 20;
/// Largest memory of a guest in bytes: heap, shadow stack, and room for the baked interpreter.
pub(crate) const MAX_LINEAR_MEMORY: usize = MAX_MEMORY as usize + SHADOW_STACK + (256 << 20);

/// An engine for at most `at_once` runs at once. A run has up to two guests: a program, and a test
/// that asks it. One more guest never runs: the one whose memory is the snapshot.
pub(crate) fn engine(at_once: u32) -> Result<Engine, SandboxError> {
    let instances = 2 * at_once + 1;
    let mut config = Config::new();
    config
        .max_wasm_stack(NATIVE_STACK)
        .async_stack_size(THREAD_STACK)
        // The pages that deep recursion has touched go back to the system.
        .async_stack_zeroing(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        // Guests are made once and used often: a table that is filled at the start makes each
        // indirect call quicker.
        .table_lazy_init(false)
        // Moves the branches that the instrumentation marks as unlikely out of the way.
        .wasm_branch_hinting(true)
        // The same bits on any machine: otherwise the processor chooses a NaN's payload.
        .cranelift_nan_canonicalization(true);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(instances)
        .total_memories(instances)
        .total_tables(instances)
        .total_stacks(instances)
        .async_stack_keep_resident(KEPT_STACK)
        .max_memory_size(MAX_LINEAR_MEMORY)
        .table_elements(20_000)
        .max_unused_warm_slots(instances);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).map_err(SandboxError::engine("start"))
}

/// A hash of what compiled code depends on besides the module: the engine's version, its settings,
/// the processor's features.
pub(crate) fn compatibility(engine: &Engine) -> [u8; 32] {
    let mut hasher = ByteHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// Feeds what is hashed into SHA-256.
struct ByteHasher(Sha256);

impl Hasher for ByteHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Not used: the digest is read directly.
    fn finish(&self) -> u64 {
        0
    }
}
