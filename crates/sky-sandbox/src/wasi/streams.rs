//! Reads and writes: the standard streams, the control channel, and the library's files while the
//! guest is baked.

use wasmtime::{Caller, Error, Linker, Result};

use super::abi::{
    BADF, CHARACTER_DEVICE, DIRECTORY, Errno, INVAL, ISDIR, MAX_BUFFERS, MODULE, REGULAR_FILE,
    ROOT, SPIPE, filestat,
};
use super::memory::{Buffer, with};
use crate::devices::NULL;
use crate::files::Open;
use crate::fuel::charge;
use crate::host::{CONTROL_IN, CONTROL_OUT, Host, Stream};
use crate::host_trap::HostTrap;

/// Bytes that the host copies for the price of one instruction. A copy moves at least as many in
/// the time of one.
const BYTES_PER_INSTRUCTION: u64 = 4;
/// Rights on a stream: everything, so that `isatty` finds no terminal.
const RIGHTS: u64 = 0x1fff_ffff;

pub(super) fn link(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(MODULE, "fd_read", fd_read)?;
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", fd_fdstat_get)?;
    linker.func_wrap(MODULE, "fd_filestat_get", fd_filestat_get)?;
    linker.func_wrap(MODULE, "fd_close", fd_close)?;
    linker.func_wrap(MODULE, "fd_seek", fd_seek)?;
    Ok(())
}

fn fd_read(mut c: Caller<'_, Host>, fd: u32, list: u32, count: u32, done: u32) -> Result<i32> {
    let fd = c.data().devices.resolve(fd);
    let mut total = 0_u32;
    if fd == CONTROL_IN {
        consult(&mut c)?;
    }
    let answer = with(&mut c, |call| {
        if count > MAX_BUFFERS {
            return Err(INVAL);
        }
        for index in 0..count {
            let Buffer { pointer, len } = call.buffer(list, index)?;
            call.bytes(pointer, len)?;
            let into = &mut call.memory[pointer as usize..][..len as usize];
            let read = match fd {
                0 => copy(call.host.stdin.take(into.len()), into),
                NULL => 0,
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
    })?;
    charge(&mut c, u64::from(total) / BYTES_PER_INSTRUCTION)?;
    Ok(answer)
}

fn fd_write(mut c: Caller<'_, Host>, fd: u32, list: u32, count: u32, done: u32) -> Result<i32> {
    let fd = c.data().devices.resolve(fd);
    let mut total = 0_u32;
    let mut full = false;
    let answer = with(&mut c, |call| {
        if !matches!(fd, 1 | 2 | NULL | CONTROL_OUT) {
            return Err(BADF);
        }
        if count > MAX_BUFFERS {
            return Err(INVAL);
        }
        for index in 0..count {
            let Buffer { pointer, len } = call.buffer(list, index)?;
            call.bytes(pointer, len)?;
            let from = &call.memory[pointer as usize..][..len as usize];
            full |= fd != NULL && !call.host.write(fd, from);
            if full {
                return Ok(());
            }
            total = total.saturating_add(len);
        }
        call.write_u32(done, total)
    })?;
    if full {
        return Err(Error::new(HostTrap::OutputLimit));
    }
    charge(&mut c, u64::from(total) / BYTES_PER_INSTRUCTION)?;
    Ok(answer)
}

fn fd_fdstat_get(mut c: Caller<'_, Host>, fd: u32, at: u32) -> Result<i32> {
    with(&mut c, |call| {
        let mut stat = [0_u8; 24];
        stat[0] = kind_of(call.host, fd)?;
        stat[8..16].copy_from_slice(&RIGHTS.to_le_bytes());
        stat[16..24].copy_from_slice(&RIGHTS.to_le_bytes());
        call.write(at, &stat)
    })
}

fn fd_filestat_get(mut c: Caller<'_, Host>, fd: u32, at: u32) -> Result<i32> {
    with(&mut c, |call| {
        let kind = kind_of(call.host, fd)?;
        let size = match call.host.bake.as_mut().and_then(|files| files.get(fd)) {
            Some(Open::File { bytes, .. }) => bytes.len() as u64,
            // As with a file for standard input: `os.read(0, os.fstat(0).st_size)` reads it all.
            _ if call.host.devices.resolve(fd) == 0 => call.host.stdin.len(),
            _ => 0,
        };
        call.write(at, &filestat(kind, size))
    })
}

fn fd_close(mut c: Caller<'_, Host>, fd: u32) -> Result<i32> {
    with(&mut c, |call| match &mut call.host.bake {
        Some(files) => files.close(fd).ok_or(BADF),
        None if fd <= 2 => Ok(()),
        None => call.host.devices.close(fd).ok_or(BADF),
    })
}

fn fd_seek(mut c: Caller<'_, Host>, fd: u32, offset: i64, whence: u32, at: u32) -> Result<i32> {
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
}

/// Before a test reads: passes the question that it wrote to the program's interpreter, and makes
/// the answer what it reads.
fn consult(caller: &mut Caller<'_, Host>) -> Result<()> {
    let host = caller.data_mut();
    if host.control_out.is_empty() {
        return Ok(());
    }
    // Taken out for the call: it is part of the state that the caller borrows.
    let Some(mut ask_program) = host.ask_program.take() else {
        return Ok(());
    };
    let question = std::mem::take(&mut host.control_out);
    let answer = ask_program(question);
    let host = caller.data_mut();
    host.ask_program = Some(ask_program);
    let answer = answer.ok_or_else(|| Error::new(HostTrap::ProgramEnded))?;
    host.control_in = Stream::new(answer);
    Ok(())
}

fn copy(from: &[u8], into: &mut [u8]) -> u32 {
    into[..from.len()].copy_from_slice(from);
    from.len() as u32
}

fn kind_of(host: &mut Host, fd: u32) -> std::result::Result<u8, Errno> {
    match host.devices.resolve(fd) {
        0..=2 | NULL | CONTROL_IN | CONTROL_OUT => Ok(CHARACTER_DEVICE),
        // Asked by the guest's libc before it opens a path below it.
        ROOT => Ok(DIRECTORY),
        fd => match host.bake.as_mut().and_then(|files| files.get(fd)) {
            Some(Open::File { .. }) => Ok(REGULAR_FILE),
            Some(Open::Folder(_)) => Ok(DIRECTORY),
            None => Err(BADF),
        },
    }
}
