//! A WASI (preview 1) that grants nothing. Every pointer a guest passes is checked; work done for it is charged to its
//! instructions, so that no call is a way to spend the host's time for free.

use std::time::Instant;

use wasmtime::{Caller, Engine, Error, Extern, ExternType, Linker, Module, Result, Val};

use super::files::{Entry, Open};
use super::host::{CONTROL_IN, CONTROL_OUT, Host, Stop};
use super::limits::INSTRUCTIONS_PER_SECOND;

const MODULE: &str = "wasi_snapshot_preview1";

/// Error numbers of `wasi_snapshot_preview1`.
#[derive(Clone, Copy)]
struct Errno(i32);

const BADF: Errno = Errno(8);
const FAULT: Errno = Errno(21);
const INVAL: Errno = Errno(28);
const ISDIR: Errno = Errno(31);
const NOENT: Errno = Errno(44);
const NOSYS: Errno = Errno(52);
const NOTDIR: Errno = Errno(54);
const ROFS: Errno = Errno(69);
const SPIPE: Errno = Errno(70);
const NOTCAPABLE: Errno = Errno(76);

/// File types of `wasi_snapshot_preview1`.
const CHARACTER_DEVICE: u8 = 2;
const DIRECTORY: u8 = 3;
const REGULAR_FILE: u8 = 4;

/// The root folder, there while the guest is baked and a dead end afterwards.
const ROOT: u32 = 3;
/// Most buffers in one read or write, as `IOV_MAX` of Linux.
const MAX_BUFFERS: u32 = 1024;
/// Bytes of host work for one guest instruction: a copy moves at least this much in the time of one.
const BYTES_PER_INSTRUCTION: u64 = 8;
/// Where a guest's clock starts, in nanoseconds since 1970: a fixed moment in November 2023.
const EPOCH_NS: u64 = 1_700_000_000_000_000_000;
/// Rights on a stream: everything, so that `isatty` finds no terminal.
const RIGHTS: u64 = 0x1fff_ffff;

type Answer = std::result::Result<(), Errno>;

/// The guest's memory and the host's state, borrowed together for one call.
struct Call<'a> {
    memory: &'a mut [u8],
    host: &'a mut Host,
}

impl Call<'_> {
    fn bytes(&mut self, pointer: u32, len: u32) -> std::result::Result<&mut [u8], Errno> {
        let start = pointer as usize;
        let end = start.checked_add(len as usize).ok_or(FAULT)?;
        self.memory.get_mut(start..end).ok_or(FAULT)
    }

    fn read_u32(&mut self, pointer: u32) -> std::result::Result<u32, Errno> {
        let bytes = self.bytes(pointer, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn read_u64(&mut self, pointer: u32) -> std::result::Result<u64, Errno> {
        let low = self.read_u32(pointer)?;
        let high = self.read_u32(pointer.checked_add(4).ok_or(FAULT)?)?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    fn write(&mut self, pointer: u32, bytes: &[u8]) -> Answer {
        let len = u32::try_from(bytes.len()).map_err(|_| FAULT)?;
        self.bytes(pointer, len)?.copy_from_slice(bytes);
        Ok(())
    }

    fn write_u32(&mut self, pointer: u32, value: u32) -> Answer {
        self.write(pointer, &value.to_le_bytes())
    }

    fn write_u64(&mut self, pointer: u32, value: u64) -> Answer {
        self.write(pointer, &value.to_le_bytes())
    }

    /// The `index`th (pointer, length) of a list of buffers.
    fn buffer(&mut self, list: u32, index: u32) -> std::result::Result<(u32, u32), Errno> {
        let at = list.checked_add(8 * index).ok_or(FAULT)?;
        Ok((
            self.read_u32(at)?,
            self.read_u32(at.checked_add(4).ok_or(FAULT)?)?,
        ))
    }

    fn path(&mut self, pointer: u32, len: u32) -> std::result::Result<String, Errno> {
        if len > 4096 {
            return Err(INVAL);
        }
        let bytes = self.bytes(pointer, len)?.to_vec();
        String::from_utf8(bytes).map_err(|_| NOENT)
    }

    fn strings(&mut self, of: fn(&Host) -> &[String], pointers: u32, bytes: u32) -> Answer {
        let strings = of(self.host).to_vec();
        let mut at = bytes;
        for (index, string) in strings.iter().enumerate() {
            self.write_u32(pointers.checked_add(4 * index as u32).ok_or(FAULT)?, at)?;
            self.write(at, string.as_bytes())?;
            self.write(at.checked_add(string.len() as u32).ok_or(FAULT)?, &[0])?;
            at = at.checked_add(string.len() as u32 + 1).ok_or(FAULT)?;
        }
        Ok(())
    }

    fn string_sizes(&mut self, of: fn(&Host) -> &[String], count: u32, bytes: u32) -> Answer {
        let strings = of(self.host);
        let (number, size) = (
            strings.len() as u32,
            strings.iter().map(|s| s.len() as u32 + 1).sum(),
        );
        self.write_u32(count, number)?;
        self.write_u32(bytes, size)
    }
}

fn arguments(host: &Host) -> &[String] {
    &host.arguments
}

fn environment(host: &Host) -> &[String] {
    &host.environment
}

/// Runs one call against checked memory.
fn with(caller: &mut Caller<'_, Host>, call: impl FnOnce(&mut Call<'_>) -> Answer) -> i32 {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return FAULT.0;
    };
    let (memory, host) = memory.data_and_store_mut(caller);
    match call(&mut Call { memory, host }) {
        Ok(()) => 0,
        Err(errno) => errno.0,
    }
}

/// Takes instructions for work done in the guest's name, and looks at the clock: setting the fuel begins a new slice of it,
/// so that a guest which does little else would never be seen between two slices.
fn charge(caller: &mut Caller<'_, Host>, instructions: u64) -> Result<()> {
    if caller
        .data()
        .deadline
        .is_some_and(|end| Instant::now() >= end)
    {
        return Err(Error::new(Stop::Time));
    }
    let left = caller.get_fuel()?;
    caller.set_fuel(left.saturating_sub(instructions))?;
    if left < instructions {
        return Err(Error::new(Stop::Fuel));
    }
    Ok(())
}

/// Nanoseconds of native time that the guest has had, by its instructions.
fn elapsed_ns(caller: &Caller<'_, Host>) -> Result<u64> {
    let used = caller.data().fuel.saturating_sub(caller.get_fuel()?);
    let ns = u128::from(used) * 1_000_000_000 / u128::from(INSTRUCTIONS_PER_SECOND);
    Ok(u64::try_from(ns).unwrap_or(u64::MAX / 2).min(u64::MAX / 2))
}

/// Everything a guest may import.
pub(super) fn linker(engine: &Engine, module: &Module) -> Result<Linker<Host>> {
    let mut linker: Linker<Host> = Linker::new(engine);
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
        Err(Error::new(Stop::Exit(code)))
    })?;
    linker.func_wrap(MODULE, "sched_yield", || 0)?;
    time(&mut linker)?;
    streams(&mut linker)?;
    paths(&mut linker)?;
    linker.func_wrap(
        MODULE,
        "random_get",
        |mut c: Caller<'_, Host>, pointer: u32, len: u32| -> Result<i32> {
            charge(&mut c, u64::from(len))?;
            Ok(with(&mut c, |call| {
                call.bytes(pointer, len)?;
                let into = &mut call.memory[pointer as usize..][..len as usize];
                for chunk in into.chunks_mut(8) {
                    let word = call.host.next_word().to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
                Ok(())
            }))
        },
    )?;
    Ok(linker)
}

fn time(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "clock_res_get",
        |mut c: Caller<'_, Host>, _clock: u32, at: u32| with(&mut c, |call| call.write_u64(at, 1)),
    )?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut c: Caller<'_, Host>, clock: u32, _precision: u64, at: u32| -> Result<i32> {
            if c.data().bake.is_some() && !c.data().control_out.is_empty() {
                return Err(Error::new(Stop::Snapshot));
            }
            let elapsed = elapsed_ns(&c)?;
            let now = if clock == 0 {
                EPOCH_NS + elapsed
            } else {
                elapsed
            };
            Ok(with(&mut c, |call| call.write_u64(at, now)))
        },
    )?;
    // Sleeping takes no time, but its instructions are gone: a program that sleeps for a minute has used up a minute.
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |mut c: Caller<'_, Host>,
         wanted: u32,
         events: u32,
         count: u32,
         happened: u32|
         -> Result<i32> {
            if count == 0 || count > MAX_BUFFERS {
                return Ok(INVAL.0);
            }
            let elapsed = elapsed_ns(&c)?;
            let mut slept = None;
            let answer = with(&mut c, |call| {
                let mut ready = 0;
                for index in 0..count {
                    let at = wanted.checked_add(48 * index).ok_or(FAULT)?;
                    let user = call.read_u64(at)?;
                    let kind = call.bytes(at.checked_add(8).ok_or(FAULT)?, 1)?[0];
                    let mut event = [0_u8; 32];
                    event[..8].copy_from_slice(&user.to_le_bytes());
                    event[10] = kind;
                    if kind == 0 {
                        let clock = call.read_u32(at.checked_add(16).ok_or(FAULT)?)?;
                        let timeout = call.read_u64(at.checked_add(24).ok_or(FAULT)?)?;
                        let absolute = call.read_u32(at.checked_add(40).ok_or(FAULT)?)? & 1 == 1;
                        let now = if clock == 0 {
                            EPOCH_NS + elapsed
                        } else {
                            elapsed
                        };
                        let wait = if absolute {
                            timeout.saturating_sub(now)
                        } else {
                            timeout
                        };
                        slept = Some(slept.map_or(wait, |least: u64| least.min(wait)));
                    } else {
                        event[16..24].copy_from_slice(&1_u64.to_le_bytes());
                    }
                    call.write(events.checked_add(32 * ready).ok_or(FAULT)?, &event)?;
                    ready += 1;
                }
                call.write_u32(happened, ready)
            });
            if let Some(ns) = slept.filter(|_| answer == 0) {
                let cost = u128::from(ns) * u128::from(INSTRUCTIONS_PER_SECOND) / 1_000_000_000;
                charge(&mut c, u64::try_from(cost).unwrap_or(u64::MAX))?;
            }
            Ok(answer)
        },
    )?;
    Ok(())
}

fn streams(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |mut c: Caller<'_, Host>, fd: u32, list: u32, count: u32, done: u32| -> Result<i32> {
            let mut total = 0_u32;
            let answer = with(&mut c, |call| {
                if count > MAX_BUFFERS {
                    return Err(INVAL);
                }
                for index in 0..count {
                    let (pointer, len) = call.buffer(list, index)?;
                    call.bytes(pointer, len)?;
                    let into = &mut call.memory[pointer as usize..][..len as usize];
                    let read = match fd {
                        0 => copy(call.host.stdin.take(into.len()), into),
                        CONTROL_IN => copy(call.host.control_in.take(into.len()), into),
                        fd => match call.host.bake.as_mut().and_then(|files| files.get(fd)) {
                            Some(Open::File { bytes, position }) => {
                                let from = bytes.get(*position as usize..).unwrap_or_default();
                                let read = copy(&from[..from.len().min(into.len())], into);
                                *position += u64::from(read);
                                read
                            }
                            Some(Open::Folder(_)) => return Err(ISDIR),
                            None => return Err(BADF),
                        },
                    };
                    total = total.saturating_add(read);
                    if read < len {
                        break;
                    }
                }
                call.write_u32(done, total)
            });
            charge(&mut c, u64::from(total) / BYTES_PER_INSTRUCTION)?;
            Ok(answer)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut c: Caller<'_, Host>, fd: u32, list: u32, count: u32, done: u32| -> Result<i32> {
            let mut total = 0_u32;
            let mut full = false;
            let answer = with(&mut c, |call| {
                if !matches!(fd, 1 | 2 | CONTROL_OUT) {
                    return Err(BADF);
                }
                if count > MAX_BUFFERS {
                    return Err(INVAL);
                }
                for index in 0..count {
                    let (pointer, len) = call.buffer(list, index)?;
                    call.bytes(pointer, len)?;
                    let from = &call.memory[pointer as usize..][..len as usize];
                    full |= !call.host.write(fd, from);
                    if full {
                        return Ok(());
                    }
                    total = total.saturating_add(len);
                }
                call.write_u32(done, total)
            });
            if full {
                return Err(Error::new(Stop::Output));
            }
            charge(&mut c, u64::from(total) / BYTES_PER_INSTRUCTION)?;
            Ok(answer)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_get",
        |mut c: Caller<'_, Host>, fd: u32, at: u32| {
            with(&mut c, |call| {
                let mut stat = [0_u8; 24];
                stat[0] = kind_of(call.host, fd)?;
                stat[8..16].copy_from_slice(&RIGHTS.to_le_bytes());
                stat[16..24].copy_from_slice(&RIGHTS.to_le_bytes());
                call.write(at, &stat)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_get",
        |mut c: Caller<'_, Host>, fd: u32, at: u32| {
            with(&mut c, |call| {
                let kind = kind_of(call.host, fd)?;
                let size = match call.host.bake.as_mut().and_then(|files| files.get(fd)) {
                    Some(Open::File { bytes, .. }) => bytes.len() as u64,
                    _ => 0,
                };
                call.write(at, &filestat(kind, size))
            })
        },
    )?;
    linker.func_wrap(MODULE, "fd_close", |mut c: Caller<'_, Host>, fd: u32| {
        with(&mut c, |call| match &mut call.host.bake {
            Some(files) => files.close(fd).ok_or(BADF),
            None if fd <= 2 => Ok(()),
            None => Err(BADF),
        })
    })?;
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |mut c: Caller<'_, Host>, fd: u32, offset: i64, whence: u32, at: u32| {
            with(&mut c, |call| {
                let files = call.host.bake.as_mut().ok_or(SPIPE)?;
                let Some(Open::File { bytes, position }) = files.get(fd) else {
                    return Err(SPIPE);
                };
                let from = match whence {
                    0 => 0,
                    1 => *position as i64,
                    2 => bytes.len() as i64,
                    _ => return Err(INVAL),
                };
                let to = from
                    .checked_add(offset)
                    .filter(|&to| to >= 0)
                    .ok_or(INVAL)?;
                *position = to as u64;
                call.write_u64(at, to as u64)
            })
        },
    )?;
    Ok(())
}

fn paths(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_prestat_get",
        |mut c: Caller<'_, Host>, fd: u32, at: u32| {
            with(&mut c, |call| {
                if fd != ROOT || call.host.bake.is_none() {
                    return Err(BADF);
                }
                call.write_u32(at, 0)?;
                call.write_u32(at.checked_add(4).ok_or(FAULT)?, 1)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_prestat_dir_name",
        |mut c: Caller<'_, Host>, fd: u32, at: u32, len: u32| {
            with(&mut c, |call| {
                if fd != ROOT || call.host.bake.is_none() || len < 1 {
                    return Err(BADF);
                }
                call.write(at, b"/")
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_open",
        |mut c: Caller<'_, Host>,
         _fd: u32,
         _follow: u32,
         path: u32,
         len: u32,
         flags: u32,
         rights: u64,
         _inherit: u64,
         _fdflags: u32,
         at: u32| {
            with(&mut c, |call| {
                let path = call.path(path, len)?;
                // Create, exclusive or truncate; or the right to write.
                let writes = flags & 0b1101 != 0 || rights & (1 << 6) != 0 && flags & 2 == 0;
                let Some(files) = &mut call.host.bake else {
                    return Err(if writes { ROFS } else { NOENT });
                };
                if flags & 0b1101 != 0 {
                    return Err(ROFS);
                }
                if flags & 2 != 0 && matches!(files.entry(&path), Some(Entry::File(_))) {
                    return Err(NOTDIR);
                }
                let fd = files.open(&path).ok_or(NOENT)?;
                call.write_u32(at, fd)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_filestat_get",
        |mut c: Caller<'_, Host>, _fd: u32, _flags: u32, path: u32, len: u32, at: u32| {
            with(&mut c, |call| {
                let path = call.path(path, len)?;
                let files = call.host.bake.as_ref().ok_or(NOENT)?;
                let stat = match files.entry(&path).ok_or(NOENT)? {
                    Entry::File(bytes) => filestat(REGULAR_FILE, bytes.len() as u64),
                    Entry::Folder => filestat(DIRECTORY, 0),
                };
                call.write(at, &stat)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_readdir",
        |mut c: Caller<'_, Host>, fd: u32, into: u32, len: u32, cookie: u64, used: u32| {
            with(&mut c, |call| {
                let files = call.host.bake.as_mut().ok_or(BADF)?;
                let folder = match files.get(fd) {
                    Some(Open::Folder(folder)) => folder.clone(),
                    Some(Open::File { .. }) => return Err(NOTDIR),
                    None => return Err(BADF),
                };
                let mut listing = Vec::new();
                for (index, (name, is_folder)) in files
                    .list(&folder)
                    .into_iter()
                    .enumerate()
                    .skip(cookie as usize)
                {
                    listing.extend_from_slice(&(index as u64 + 1).to_le_bytes());
                    listing.extend_from_slice(&(index as u64 + 1).to_le_bytes());
                    listing.extend_from_slice(&(name.len() as u32).to_le_bytes());
                    listing.extend_from_slice(
                        &u32::from(if is_folder { DIRECTORY } else { REGULAR_FILE }).to_le_bytes(),
                    );
                    listing.extend_from_slice(name.as_bytes());
                    if listing.len() >= len as usize {
                        break;
                    }
                }
                listing.truncate(len as usize);
                call.write(into, &listing)?;
                call.write_u32(used, listing.len() as u32)
            })
        },
    )?;
    for name in [
        "path_create_directory",
        "path_remove_directory",
        "path_unlink_file",
    ] {
        linker.func_wrap(MODULE, name, |_fd: u32, _path: u32, _len: u32| ROFS.0)?;
    }
    Ok(())
}

/// Whatever the guest imports answers that it may not, unless a later definition says otherwise.
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
            move |_, _, results| {
                if let Some(result) = results.first_mut() {
                    *result = Val::I32(errno.0);
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn copy(from: &[u8], into: &mut [u8]) -> u32 {
    into[..from.len()].copy_from_slice(from);
    from.len() as u32
}

fn kind_of(host: &mut Host, fd: u32) -> std::result::Result<u8, Errno> {
    let baking = host.bake.is_some();
    match fd {
        0..=2 | CONTROL_IN | CONTROL_OUT => Ok(CHARACTER_DEVICE),
        ROOT if baking => Ok(DIRECTORY),
        fd => match host.bake.as_mut().and_then(|files| files.get(fd)) {
            Some(Open::File { .. }) => Ok(REGULAR_FILE),
            Some(Open::Folder(_)) => Ok(DIRECTORY),
            None => Err(BADF),
        },
    }
}

fn filestat(kind: u8, size: u64) -> [u8; 64] {
    let mut stat = [0_u8; 64];
    stat[16] = kind;
    stat[24] = 1;
    stat[32..40].copy_from_slice(&size.to_le_bytes());
    stat
}

#[cfg(test)]
mod hostile;
