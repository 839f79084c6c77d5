//! How the guest is compiled and run.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::SandboxError;
use crate::limits::MAX_MEMORY;

/// Native stack that compiled guest code may use: recursion in C 20,000 to 50,000 levels deep.
pub(crate) const NATIVE_STACK: usize = 512 << 20;
/// Native stack that a guest runs on: its own, and room for the host's calls below it.
pub(crate) const THREAD_STACK: usize = NATIVE_STACK + (16 << 20);
/// Bytes of it that stay in memory from one guest to the next.
const KEPT_STACK: usize = 256 << 10;
/// The guest's own (shadow) stack in its memory, grown for the snapshot. Most recursion takes less
/// of this than of the native stack; what runs into its end is stopped there (`stack_check.rs`).
pub(crate) const SHADOW_STACK: usize = 256 << 20;
/// The most a guest's memory may come to: its heap, its stack, the baked interpreter.
pub(crate) const MAX_LINEAR_MEMORY: usize = MAX_MEMORY as usize + SHADOW_STACK + (256 << 20);

/// An engine for at most `at_once` runs at once, each of up to two guests: a program, and a test
/// that asks it. One guest more never runs.
pub(crate) fn engine(at_once: u32) -> Result<Engine, SandboxError> {
    let instances = 2 * at_once + 1;
    let mut config = Config::new();
    config
        .max_wasm_stack(NATIVE_STACK)
        .async_stack_size(THREAD_STACK)
        // What deep recursion has touched goes back to the system.
        .async_stack_zeroing(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        // Guests are made once and used often; filling their tables then makes calls through them
        // quicker.
        .table_lazy_init(false)
        // What `meter.rs` says will not happen is compiled out of the way.
        .wasm_branch_hinting(true)
        // The same bits on any machine: without it a NaN's payload is the processor's choice.
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

/// What compiled code depends on besides the module: the engine's version, its settings, the
/// processor's features.
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
