//! Paths and folders: the library's while the guest is baked, a few devices afterwards.

use wasmtime::{Caller, Linker, Result};

use super::abi::{
    BADF, CHARACTER_DEVICE, DIRECTORY, FAULT, MODULE, NOENT, NOTDIR, REGULAR_FILE, ROFS, ROOT,
    filestat,
};
use super::memory::with;
use crate::devices::device;
use crate::files::{Entry, Open};
use crate::host::Host;

pub(super) fn link(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(MODULE, "fd_prestat_get", fd_prestat_get)?;
    linker.func_wrap(MODULE, "fd_prestat_dir_name", fd_prestat_dir_name)?;
    linker.func_wrap(MODULE, "path_open", path_open)?;
    linker.func_wrap(MODULE, "path_filestat_get", path_filestat_get)?;
    linker.func_wrap(MODULE, "fd_readdir", fd_readdir)?;
    for name in [
        "path_create_directory",
        "path_remove_directory",
        "path_unlink_file",
    ] {
        linker.func_wrap(
            MODULE,
            name,
            |mut c: Caller<'_, Host>, _fd: u32, _path: u32, _len: u32| with(&mut c, |_| Err(ROFS)),
        )?;
    }
    Ok(())
}

fn fd_prestat_get(mut c: Caller<'_, Host>, fd: u32, at: u32) -> Result<i32> {
    with(&mut c, |call| {
        if fd != ROOT || call.host.bake.is_none() {
            return Err(BADF);
        }
        call.write_u32(at, 0)?;
        call.write_u32(at.checked_add(4).ok_or(FAULT)?, 1)
    })
}

fn fd_prestat_dir_name(mut c: Caller<'_, Host>, fd: u32, at: u32, len: u32) -> Result<i32> {
    with(&mut c, |call| {
        if fd != ROOT || call.host.bake.is_none() || len < 1 {
            return Err(BADF);
        }
        call.write(at, b"/")
    })
}

#[expect(clippy::too_many_arguments, reason = "the signature is WASI's")]
fn path_open(
    mut c: Caller<'_, Host>,
    _fd: u32,
    _follow: u32,
    path: u32,
    len: u32,
    flags: u32,
    rights: u64,
    _inherit: u64,
    _fdflags: u32,
    at: u32,
) -> Result<i32> {
    with(&mut c, |call| {
        let path = call.path(path, len)?;
        // Create, exclusive or truncate; or the right to write.
        let writes = flags & 0b1101 != 0 || rights & (1 << 6) != 0 && flags & 2 == 0;
        let Some(files) = &mut call.host.bake else {
            let missing = if writes { ROFS } else { NOENT };
            let fd = call.host.devices.open(&path).ok_or(missing)?;
            return call.write_u32(at, fd);
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
}

fn path_filestat_get(
    mut c: Caller<'_, Host>,
    _fd: u32,
    _flags: u32,
    path: u32,
    len: u32,
    at: u32,
) -> Result<i32> {
    with(&mut c, |call| {
        let path = call.path(path, len)?;
        let Some(files) = call.host.bake.as_ref() else {
            let size = match device(&path).ok_or(NOENT)? {
                0 => call.host.stdin.len(),
                _ => 0,
            };
            return call.write(at, &filestat(CHARACTER_DEVICE, size));
        };
        let stat = match files.entry(&path).ok_or(NOENT)? {
            Entry::File(bytes) => filestat(REGULAR_FILE, bytes.len() as u64),
            Entry::Folder => filestat(DIRECTORY, 0),
        };
        call.write(at, &stat)
    })
}

fn fd_readdir(
    mut c: Caller<'_, Host>,
    fd: u32,
    into: u32,
    len: u32,
    cookie: u64,
    used: u32,
) -> Result<i32> {
    with(&mut c, |call| {
        let files = call.host.bake.as_mut().ok_or(BADF)?;
        let folder = match files.get(fd) {
            Some(Open::Folder(folder)) => folder.clone(),
            Some(Open::File { .. }) => return Err(NOTDIR),
            None => return Err(BADF),
        };
        let mut listing = Vec::new();
        for (index, entry) in files
            .list(&folder)
            .into_iter()
            .enumerate()
            .skip(cookie as usize)
        {
            listing.extend_from_slice(&(index as u64 + 1).to_le_bytes());
            listing.extend_from_slice(&(index as u64 + 1).to_le_bytes());
            listing.extend_from_slice(&(entry.name.len() as u32).to_le_bytes());
            let kind = if entry.is_folder {
                DIRECTORY
            } else {
                REGULAR_FILE
            };
            listing.extend_from_slice(&u32::from(kind).to_le_bytes());
            listing.extend_from_slice(entry.name.as_bytes());
            if listing.len() >= len as usize {
                break;
            }
        }
        listing.truncate(len as usize);
        call.write(into, &listing)?;
        call.write_u32(used, listing.len() as u32)
    })
}
