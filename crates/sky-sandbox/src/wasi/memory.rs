//! Checked access to a guest's memory: every pointer that a guest passes goes through here.

use wasmtime::{Caller, Extern, Result};

use super::abi::{Answer, CALL, Errno, FAULT, INVAL, NOENT};
use crate::fuel::charge;
use crate::host::Host;

/// A buffer that a guest names: not yet checked to lie in its memory.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    pub(super) pointer: u32,
    pub(super) len: u32,
}

/// The guest's memory and the host's state, borrowed together for one call.
pub(super) struct Call<'a> {
    pub(super) memory: &'a mut [u8],
    pub(super) host: &'a mut Host,
}

impl Call<'_> {
    pub(super) fn bytes(
        &mut self,
        pointer: u32,
        len: u32,
    ) -> std::result::Result<&mut [u8], Errno> {
        let start = pointer as usize;
        let end = start.checked_add(len as usize).ok_or(FAULT)?;
        self.memory.get_mut(start..end).ok_or(FAULT)
    }

    pub(super) fn read_u32(&mut self, pointer: u32) -> std::result::Result<u32, Errno> {
        let bytes = self.bytes(pointer, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn read_u64(&mut self, pointer: u32) -> std::result::Result<u64, Errno> {
        let low = self.read_u32(pointer)?;
        let high = self.read_u32(pointer.checked_add(4).ok_or(FAULT)?)?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    pub(super) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Answer {
        let len = u32::try_from(bytes.len()).map_err(|_| FAULT)?;
        self.bytes(pointer, len)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, pointer: u32, value: u32) -> Answer {
        self.write(pointer, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, pointer: u32, value: u64) -> Answer {
        self.write(pointer, &value.to_le_bytes())
    }

    /// The `index`th buffer in a list.
    pub(super) fn buffer(&mut self, list: u32, index: u32) -> std::result::Result<Buffer, Errno> {
        let at = list.checked_add(8 * index).ok_or(FAULT)?;
        Ok(Buffer {
            pointer: self.read_u32(at)?,
            len: self.read_u32(at.checked_add(4).ok_or(FAULT)?)?,
        })
    }

    pub(super) fn path(&mut self, pointer: u32, len: u32) -> std::result::Result<String, Errno> {
        if len > 4096 {
            return Err(INVAL);
        }
        let bytes = self.bytes(pointer, len)?.to_vec();
        String::from_utf8(bytes).map_err(|_| NOENT)
    }

    pub(super) fn strings(
        &mut self,
        of: fn(&Host) -> &[String],
        pointers: u32,
        bytes: u32,
    ) -> Answer {
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

    pub(super) fn string_sizes(
        &mut self,
        of: fn(&Host) -> &[String],
        count: u32,
        bytes: u32,
    ) -> Answer {
        let strings = of(self.host);
        let (number, size) = (
            strings.len() as u32,
            strings.iter().map(|s| s.len() as u32 + 1).sum(),
        );
        self.write_u32(count, number)?;
        self.write_u32(bytes, size)
    }
}

pub(super) fn arguments(host: &Host) -> &[String] {
    &host.arguments
}

pub(super) fn environment(host: &Host) -> &[String] {
    &host.environment
}

/// Runs one host call on checked memory and charges [`CALL`] for it; gives its error number, 0 for
/// success.
///
/// # Errors
/// The guest's instructions or its time are used up.
pub(super) fn with(
    caller: &mut Caller<'_, Host>,
    call: impl FnOnce(&mut Call<'_>) -> Answer,
) -> Result<i32> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return Ok(FAULT.0);
    };
    let (memory, host) = memory.data_and_store_mut(&mut *caller);
    let answer = call(&mut Call { memory, host });
    charge(caller, CALL)?;
    Ok(answer.map_or_else(|errno| errno.0, |()| 0))
}
