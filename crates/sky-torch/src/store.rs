use std::{
    ffi::{CString, c_int, c_void},
    ptr,
    time::Duration,
};

use crate::{TorchError, ffi};

/// Longest value that is read back.
const MAX_VALUE: usize = 1 << 20;

/// A connection to a key-value store over TCP that one of a group's processes serves (c10d's `TCPStore`).
#[derive(Debug)]
pub struct Store {
    raw: *mut c_void,
    host: String,
    port: u16,
    prefix: String,
    timeout: Duration,
}

// SAFETY: c10d's TCPStore holds a lock during every operation, and the handle is freed by one owner.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    /// Connects to the store at `host:port`, which this process also serves when `serve` is set. All keys get `prefix`.
    ///
    /// No operation takes longer than `timeout`.
    ///
    /// # Errors
    /// When the port is taken or nobody serves there within `timeout`.
    pub fn connect(
        host: &str,
        port: u16,
        serve: bool,
        prefix: &str,
        timeout: Duration,
    ) -> Result<Self, TorchError> {
        let (c_host, c_prefix) = (text("store", host)?, text("store", prefix)?);
        let mut raw = ptr::null_mut();
        // SAFETY: both strings end with NUL and outlive the call; `raw` takes the new handle.
        let status = unsafe {
            ffi::sky_store_connect(
                c_host.as_ptr(),
                port,
                c_int::from(serve),
                c_prefix.as_ptr(),
                milliseconds(timeout),
                &raw mut raw,
            )
        };
        ffi::check("store", status)?;
        Ok(Self {
            raw,
            host: host.into(),
            port,
            prefix: prefix.into(),
            timeout,
        })
    }

    /// A second connection to the same store: an operation on one does not wait for one on the other.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub fn reconnect(&self) -> Result<Self, TorchError> {
        Self::connect(&self.host, self.port, false, &self.prefix, self.timeout)
    }

    /// Sets a key.
    ///
    /// # Errors
    /// When the process that serves the store is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), TorchError> {
        let key = text("store set", key)?;
        // SAFETY: the handle is ours and alive, the key ends with NUL, and the length is the slice's.
        let status =
            unsafe { ffi::sky_store_set(self.raw, key.as_ptr(), value.as_ptr(), value.len()) };
        ffi::check("store set", status)
    }

    /// A key's value, when it has been set; does not wait for it.
    ///
    /// # Errors
    /// When the process that serves the store is gone, or the value is over a megabyte.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, TorchError> {
        const WHAT: &str = "store get";
        let key = text(WHAT, key)?;
        let mut value = vec![0; 256];
        loop {
            let (mut size, mut found) = (0, 0);
            // SAFETY: as in `set`; at most `value.len()` bytes are written.
            let status = unsafe {
                ffi::sky_store_get(
                    self.raw,
                    key.as_ptr(),
                    value.as_mut_ptr(),
                    value.len(),
                    &raw mut size,
                    &raw mut found,
                )
            };
            ffi::check(WHAT, status)?;
            if found == 0 {
                return Ok(None);
            }
            if size <= value.len() {
                value.truncate(size);
                return Ok(Some(value));
            }
            if size > MAX_VALUE {
                let reason = format!("a value of {size} bytes is too long");
                return Err(TorchError::Op { what: WHAT, reason });
            }
            value.resize(size, 0);
        }
    }

    pub(crate) fn raw(&self) -> *mut c_void {
        self.raw
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the handle came from `sky_store_connect` and is freed once.
        unsafe { ffi::sky_store_free(self.raw) }
    }
}

/// A string for C.
pub(crate) fn text(what: &'static str, text: &str) -> Result<CString, TorchError> {
    CString::new(text).map_err(|_| TorchError::Op {
        what,
        reason: format!("{text:?} holds a zero byte"),
    })
}

/// A time limit for c10d, where zero would mean none.
pub(crate) fn milliseconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis())
        .unwrap_or(i64::MAX)
        .clamp(1, 1 << 40)
}
