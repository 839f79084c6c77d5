//! Guests: instances of the snapshot, and how a used one is reset for the next run.
//!
//! A new guest takes hundreds of page faults, and each of them interrupts the other cores. So a
//! guest whose run ended normally is reset and used again. The kernel reports which pages it has
//! written to, and the snapshot's content is copied over these. The engine resets its pooled
//! memories in the same way.
//!
//! This restores everything: memory and the stack pointer are the only state of a guest. `image.rs`
//! and `stack_check.rs` refuse a module that has, or could change, any other. The instruction
//! counter is set at the start of every run.
//!
//! A guest is dropped when it broke off, has grown, or has written too many pages. On a kernel that
//! does not report written pages, every guest is dropped.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use wasmtime::{Engine, Global, InstancePre, Memory, Module, Store, TypedFunc, Val};

use crate::host::{Heap, Host};
use crate::instrument::COUNTER;
use crate::layout::Layout;
use crate::{SandboxError, dirty_pages, fuel, image, wasi};

/// A guest is dropped when the pages that it ever wrote to exceed these bytes: copying more takes
/// longer than a new guest.
const MOST_WRITTEN: usize = 8 << 20;

/// A C function of the guest: `tp_call(function, arguments, names)`.
type Call = TypedFunc<(u32, u32, u32), u32>;

/// The baked interpreter, and guests that wait to be used again.
pub(crate) struct Guests {
    engine: Engine,
    guest: InstancePre<Host>,
    pub(crate) layout: Layout,
    /// None where the kernel does not report written pages; then no guest is used again.
    snapshot: Option<Snapshot>,
    /// Guests in the snapshot's state.
    idle: Mutex<Vec<Guest>>,
}

/// What resetting a guest needs.
struct Snapshot {
    pagemap: File,
    /// A guest that never runs. Its memory is the snapshot that pages are copied from.
    untouched: Guest,
}

/// An instance of the baked interpreter with its own memory.
pub(crate) struct Guest {
    pub(crate) store: Store<Host>,
    pub(crate) memory: Memory,
    pub(crate) stack_pointer: Global,
    pub(crate) call: Call,
    counter: Global,
    /// The stack pointer's value in the snapshot.
    stack: Val,
}

impl Guests {
    pub(crate) fn new(
        engine: Engine,
        module: &Module,
        layout: Layout,
    ) -> Result<Self, SandboxError> {
        let guest = wasi::linker(&engine, module)
            .and_then(|linker| linker.instantiate_pre(module))
            .map_err(SandboxError::engine("link the guest"))?;
        let mut guests = Self {
            engine,
            guest,
            layout,
            snapshot: None,
            idle: Mutex::default(),
        };
        if let Some(pagemap) = dirty_pages::open() {
            let heap = Heap::new(guests.layout.memory as usize);
            let untouched = guests.make(Host::new(Vec::new(), 0, 0, heap))?;
            guests.snapshot = Some(Snapshot { pagemap, untouched });
        }
        Ok(guests)
    }

    /// Gives a guest in the snapshot's state, reused or new, with this host's state behind it.
    pub(crate) fn take(&self, host: Host) -> Result<Guest, SandboxError> {
        let idle = self.idle().pop();
        let Some(mut guest) = idle else {
            return self.make(host);
        };
        *guest.store.data_mut() = host;
        // A new guest's instantiation reports this size to its host; a reused one must start with
        // the same peak.
        guest.store.data_mut().heap.peak = self.layout.memory as usize;
        guest.count()?;
        Ok(guest)
    }

    /// Takes back a guest whose every call has returned, and keeps it if it can be reset.
    pub(crate) fn release(&self, mut guest: Guest) {
        // Frees the run's buffers and drops what its host refers to: the guest may wait for long.
        *guest.store.data_mut() = Host::new(Vec::new(), 0, 0, Heap::new(0));
        if self.reset(&mut guest).is_some() {
            self.idle().push(guest);
        }
    }

    /// Puts a guest back into the snapshot's state. None when that is impossible or too expensive.
    fn reset(&self, guest: &mut Guest) -> Option<()> {
        let len = self.layout.memory as usize;
        let Snapshot { pagemap, untouched } = self.snapshot.as_ref()?;
        let start = guest.memory.data_ptr(&guest.store).addr();
        let memory = guest.memory.data_mut(&mut guest.store);
        if memory.len() != len {
            return None;
        }
        let written = dirty_pages::written(pagemap, start, len, MOST_WRITTEN)?;
        // Every run writes. None found means that the kernel's report does not cover this memory.
        if written.is_empty() {
            return None;
        }
        let snapshot = untouched.memory.data(&untouched.store);
        for range in written {
            memory
                .get_mut(range.clone())?
                .copy_from_slice(snapshot.get(range)?);
        }
        guest.stack_pointer.set(&mut guest.store, guest.stack).ok()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Guest>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, host: Host) -> Result<Guest, SandboxError> {
        let mut store = Store::new(&self.engine, host);
        store.limiter(|host| &mut host.heap);
        let fail = SandboxError::engine("instantiate the guest");
        let instance = self.guest.instantiate(&mut store).map_err(fail)?;
        let missing = |what: &str| SandboxError::Engine {
            action: "find the driver",
            reason: format!("the baked guest has no {what}"),
        };
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| missing("memory"))?;
        let stack_pointer = instance
            .get_global(&mut store, image::STACK_POINTER)
            .ok_or_else(|| missing("stack pointer"))?;
        let call = instance
            .get_table(&mut store, image::TABLE)
            .and_then(|table| table.get(&mut store, u64::from(self.layout.call)))
            .and_then(|slot| slot.unwrap_func().copied())
            .ok_or_else(|| missing("call slot"))?
            .typed(&store)
            .map_err(SandboxError::engine("find the driver"))?;
        let counter = instance
            .get_global(&mut store, COUNTER)
            .ok_or_else(|| missing("count"))?;
        let stack = stack_pointer.get(&mut store);
        let mut guest = Guest {
            store,
            memory,
            stack_pointer,
            call,
            counter,
            stack,
        };
        guest.count()?;
        Ok(guest)
    }
}

impl Guest {
    /// Starts the instruction count of a run at zero, for the host that the guest has now.
    fn count(&mut self) -> Result<(), SandboxError> {
        fuel::begin(&mut self.store, self.counter).map_err(SandboxError::engine("count"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::Snapshot;
    use crate::{Exit, Limits, Sandbox};

    /// Programs that write all over: heap, caches, builtins, types, modules, deep stacks.
    const PROGRAMS: &[&str] = &[
        "print(1)",
        "import builtins, sys, json\nbuiltins.len = None\nsys.modules['json'] = 3\njson.dumps = 4\nprint('x' * 100)",
        "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(20000))",
        "x = [bytearray(1000) for _ in range(2000)]\nprint(len(x))",
        "import sys\nsys.intern('a new string')\nint.__add__\nsys.exit(3)",
        "raise ValueError('x')",
        "import random, os\nprint(random.random(), os.urandom(4), id(object()), hash('a'))",
    ];

    /// Nothing, loudly, when the guest is not set up.
    fn sandbox() -> Option<Sandbox> {
        let home = std::env::var_os("SKY_HOME").unwrap_or_else(|| "../../.sky".into());
        if !Path::new(&home).join("python-guest").exists() {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"SKIPPED: no Python guest; `cargo xtask setup` fetches it\n",
            );
            return None;
        }
        Some(Sandbox::open(Path::new(&home)).unwrap())
    }

    #[test]
    fn a_guest_used_again_is_the_snapshot_byte_for_byte() {
        let Some(sandbox) = sandbox() else { return };
        let guests = &sandbox.guests;
        let Some(Snapshot { untouched, .. }) = &guests.snapshot else {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"SKIPPED: this system does not tell which pages were written\n",
            );
            return;
        };
        let limits = Limits::default();
        let run = |program| sandbox.run(program, b"", &limits).unwrap();
        let mut reused = 0;
        for program in PROGRAMS {
            // In a new guest, in one that ran something else, and in one that ran the same.
            guests.idle().clear();
            let new = run(program);
            run("import this");
            for again in [run(program), run(program)] {
                assert_eq!(again.instructions, new.instructions, "{program}");
                assert_eq!(
                    (again.stdout, again.stderr, again.exit),
                    (new.stdout.clone(), new.stderr.clone(), new.exit.clone()),
                );
                assert_eq!(again.peak_memory, new.peak_memory, "{program}");
            }
            let snapshot = untouched.memory.data(&untouched.store);
            for guest in guests.idle().iter() {
                assert!(guest.memory.data(&guest.store) == snapshot, "{program}");
                reused += 1;
            }
        }
        assert!(reused >= PROGRAMS.len() - 2, "{reused}");
    }

    #[test]
    fn a_guest_that_broke_off_or_grew_is_not_used_again() {
        let Some(sandbox) = sandbox() else { return };
        let limits = Limits::seconds(0.05);
        for program in [
            "while True: pass",
            "import os\nos._exit(0)",
            "x = bytearray(1 << 26)",
            "def f(): f()\nimport sys\nsys.setrecursionlimit(10**9)\nf()",
        ] {
            let outcome = sandbox.run(program, b"", &limits).unwrap();
            assert!(sandbox.guests.idle().is_empty(), "{program} {outcome:?}");
        }
        assert_eq!(sandbox.run("", b"", &limits).unwrap().exit, Exit::Exited(0));
    }
}
