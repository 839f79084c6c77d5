use std::{
    ffi::{CStr, CString, c_int, c_void},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    TorchError, ffi,
    timeout::{spawn, unanswered, wait, within},
};

/// Longest value that is read back.
const MAX_VALUE: usize = 1 << 20;

/// A connection to a key-value store over TCP that one of a group's processes serves (c10d's
/// `TCPStore`).
///
/// c10d waits for the server's answers for ever, so a thread of its own does; where that process
/// hangs, the thread is given up.
#[derive(Debug)]
pub struct Store {
    connection: Arc<Connection>,
    questions: Option<Sender<Question>>,
    thread: Option<JoinHandle<()>>,
    /// Whether a question has not been answered in time.
    given_up: AtomicBool,
    address: Address,
    timeout: Duration,
}

type Question = Box<dyn FnOnce(&Connection) + Send>;

#[derive(Clone, Debug)]
struct Address {
    host: String,
    port: u16,
    prefix: String,
}

impl Store {
    /// Connects to the store at `host:port`, which this process also serves when `serve` is set.
    /// All keys get `prefix`.
    ///
    /// No operation takes longer than `timeout`; connecting to what does not answer takes a few
    /// seconds more.
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
        let address = Address {
            host: host.into(),
            port,
            prefix: prefix.into(),
        };
        let at = address.clone();
        let connect = move || Connection::new(&at, serve, timeout);
        let connection = Arc::new(within(CONNECT, timeout, connect)?);
        let (questions, asked) = mpsc::channel::<Question>();
        let theirs = Arc::clone(&connection);
        let answer = move || asked.iter().for_each(|question| question(&theirs));
        let thread = spawn(CONNECT, answer)?;
        Ok(Self {
            connection,
            questions: Some(questions),
            thread: Some(thread),
            given_up: AtomicBool::new(false),
            address,
            timeout,
        })
    }

    /// A second connection to the same store, with a time limit of its own: an operation on one
    /// does not wait for one on the other.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub fn reconnect(&self, timeout: Duration) -> Result<Self, TorchError> {
        let Address { host, port, prefix } = &self.address;
        Self::connect(host, *port, false, prefix, timeout)
    }

    /// A second connection to the same store, whose keys get `name` after the prefix of this one's.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub fn with_prefix(&self, name: &str) -> Result<Self, TorchError> {
        let Address { host, port, prefix } = &self.address;
        let prefix = format!("{prefix}{name}");
        Self::connect(host, *port, false, &prefix, self.timeout)
    }

    /// Sets a key.
    ///
    /// # Errors
    /// When the process that serves the store is gone. That it hangs only [`Store::get`] finds out.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), TorchError> {
        let key = text(SET, key)?;
        let value = value.to_vec();
        self.ask(SET, move |connection| connection.set(&key, &value))
    }

    /// A key's value, when it has been set; does not wait for it.
    ///
    /// # Errors
    /// When the process that serves the store is gone or does not answer, or the value is over a
    /// megabyte.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, TorchError> {
        let key = text(GET, key)?;
        self.ask(GET, move |connection| connection.get(&key))
    }

    fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        question: impl FnOnce(&Connection) -> Result<T, TorchError> + Send + 'static,
    ) -> Result<T, TorchError> {
        if self.given_up.load(Ordering::Relaxed) {
            return Err(unanswered(what, self.timeout));
        }
        let (answer, answers) = mpsc::channel();
        if let Some(questions) = &self.questions {
            // Whoever has given up waiting for the answer does not want it any more.
            let asked = move |connection: &Connection| drop(answer.send(question(connection)));
            let _ = questions.send(Box::new(asked));
        }
        wait(&answers, self.timeout).unwrap_or_else(|| {
            self.given_up.store(true, Ordering::Relaxed);
            Err(unanswered(what, self.timeout))
        })
    }

    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.questions.take();
        if let Some(thread) = self.thread.take()
            && !*self.given_up.get_mut()
        {
            // Every question has been answered. Its panic, if there ever were one, has been printed
            // already.
            let _ = thread.join();
        }
    }
}

const CONNECT: &str = "store";
const SET: &str = "store set";
const GET: &str = "store get";

/// c10d's connection.
#[derive(Debug)]
pub(crate) struct Connection(*mut c_void);

// SAFETY: c10d's TCPStore holds a lock during every operation, and the handle is freed by one
// owner.
unsafe impl Send for Connection {}
// SAFETY: as above.
unsafe impl Sync for Connection {}

impl Connection {
    fn new(address: &Address, serve: bool, timeout: Duration) -> Result<Self, TorchError> {
        let host = text(CONNECT, &address.host)?;
        let prefix = text(CONNECT, &address.prefix)?;
        let mut raw = ptr::null_mut();
        // SAFETY: both strings end with NUL and outlive the call; `raw` takes the new handle.
        let status = unsafe {
            ffi::sky_store_connect(
                host.as_ptr(),
                address.port,
                c_int::from(serve),
                prefix.as_ptr(),
                milliseconds(timeout),
                &raw mut raw,
            )
        };
        ffi::check(CONNECT, status)?;
        Ok(Self(raw))
    }

    pub(crate) fn raw(&self) -> *mut c_void {
        self.0
    }

    fn set(&self, key: &CStr, value: &[u8]) -> Result<(), TorchError> {
        // SAFETY: the handle is ours and alive, the key ends with NUL, and the length is the
        // slice's.
        let status =
            unsafe { ffi::sky_store_set(self.0, key.as_ptr(), value.as_ptr(), value.len()) };
        ffi::check(SET, status)
    }

    fn get(&self, key: &CStr) -> Result<Option<Vec<u8>>, TorchError> {
        let mut value = vec![0; 256];
        loop {
            let (mut size, mut found) = (0, 0);
            // SAFETY: as in `set`; at most `value.len()` bytes are written.
            let status = unsafe {
                ffi::sky_store_get(
                    self.0,
                    key.as_ptr(),
                    value.as_mut_ptr(),
                    value.len(),
                    &raw mut size,
                    &raw mut found,
                )
            };
            ffi::check(GET, status)?;
            if found == 0 {
                return Ok(None);
            }
            if size <= value.len() {
                value.truncate(size);
                return Ok(Some(value));
            }
            if size > MAX_VALUE {
                let reason = format!("a value of {size} bytes is too long");
                return Err(TorchError::Op { what: GET, reason });
            }
            value.resize(size, 0);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle came from `sky_store_connect` and is freed once.
        unsafe { ffi::sky_store_free(self.0) }
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
