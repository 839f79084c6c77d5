//! A WASI (preview 1) that grants nothing. Every pointer that a guest passes is checked. Every call,
//! a denied one too, is charged to the guest's instructions: none spends the host's time for free.

mod abi;
mod memory;
mod paths;
mod streams;
mod time;

use wasmtime::{Caller, Engine, Error, ExternType, Linker, Module, Result, Val};

use self::abi::{CALL, MODULE, NOSYS, NOTCAPABLE, RANDOM_BYTE};
use self::memory::{arguments, environment, with};
use crate::fuel::charge;
use crate::host::Host;
use crate::host_trap::HostTrap;

/// Links everything that a guest may import.
pub(crate) fn linker(engine: &Engine, module: &Module) -> Result<Linker<Host>> {
    let mut linker: Linker<Host> = Linker::new(engine);
    // The definitions below replace the denials.
    linker.allow_shadowing(true);
    deny(&mut linker, module)?;
    linker.func_wrap(
        MODULE,
        "args_sizes_get",
        |mut c: Caller<'_, Host>, count: u32, bytes: u32| {
            with(&mut c, |call| call.string_sizes(arguments, count, bytes))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "args_get",
        |mut c: Caller<'_, Host>, pointers: u32, bytes: u32| {
            with(&mut c, |call| call.strings(arguments, pointers, bytes))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut c: Caller<'_, Host>, count: u32, bytes: u32| {
            with(&mut c, |call| call.string_sizes(environment, count, bytes))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_get",
        |mut c: Caller<'_, Host>, pointers: u32, bytes: u32| {
            with(&mut c, |call| call.strings(environment, pointers, bytes))
        },
    )?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<()> {
        Err(Error::new(HostTrap::Exit(code)))
    })?;
    linker.func_wrap(
        MODULE,
        "sched_yield",
        |mut c: Caller<'_, Host>| -> Result<i32> {
            charge(&mut c, CALL)?;
            Ok(0)
        },
    )?;
    time::link(&mut linker)?;
    streams::link(&mut linker)?;
    paths::link(&mut linker)?;
    linker.func_wrap(
        MODULE,
        "random_get",
        |mut c: Caller<'_, Host>, pointer: u32, len: u32| -> Result<i32> {
            charge(&mut c, RANDOM_BYTE * u64::from(len))?;
            with(&mut c, |call| {
                call.bytes(pointer, len)?;
                let into = &mut call.memory[pointer as usize..][..len as usize];
                for chunk in into.chunks_mut(8) {
                    let word = call.host.next_word().to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
                Ok(())
            })
        },
    )?;
    Ok(linker)
}

/// Denies every import of the guest with an error number. Later definitions replace some of these.
fn deny(linker: &mut Linker<Host>, module: &Module) -> Result<()> {
    for import in module.imports() {
        let ExternType::Func(kind) = import.ty() else {
            continue;
        };
        let errno = if import.name().starts_with("sock_") {
            NOTCAPABLE
        } else {
            NOSYS
        };
        linker.func_new(
            import.module(),
            import.name(),
            kind,
            move |mut c, _, results| {
                charge(&mut c, CALL)?;
                if let Some(result) = results.first_mut() {
                    *result = Val::I32(errno.0);
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod hostile;
