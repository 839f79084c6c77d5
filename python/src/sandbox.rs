//! The sandbox and its home.

use std::env;
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sky_sandbox::{Exit, GuestPaths, Harness, Job, Limits};
use sky_verify::{CodeCheck, CodeOptions};

use crate::parallel::check_all;
use crate::text::Text;

pyo3::create_exception!(
    sky_verify,
    SandboxError,
    PyRuntimeError,
    "The sandbox itself failed: the guest is missing, or the host cannot run it."
);

/// The sandbox's own failure, for Python.
pub(crate) fn host_error(error: &dyn std::error::Error) -> PyErr {
    SandboxError::new_err(error.to_string())
}

/// Tells the user something through Python's logger `sky_verify`.
fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let logging = py.import("logging")?;
    let logger = logging.call_method1("getLogger", ("sky_verify",))?;
    logger.call_method1("warning", ("%s", text))?;
    Ok(())
}

/// Where the guest and its cache lie, as the caller named them.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) home: Option<PathBuf>,
    pub(crate) cache: Option<PathBuf>,
}

impl Home {
    /// The folders: `home`, else `SKY_HOME`, else `.sky` in the current folder.
    fn paths(&self) -> PyResult<GuestPaths> {
        let variable = env::var_os("SKY_HOME").filter(|home| !home.is_empty());
        let home = match (&self.home, variable) {
            (Some(home), _) => home.clone(),
            (None, Some(home)) => home.into(),
            (None, None) => ".sky".into(),
        };
        let mut paths = GuestPaths::new(&home);
        if !paths.guest.is_dir() {
            return Err(SandboxError::new_err(format!(
                "no Python guest in {}: run `cargo xtask setup` in a checkout of Sky and set \
                 SKY_HOME to its folder `.sky`, or pass home=",
                paths.guest.display()
            )));
        }
        if let Some(cache) = &self.cache {
            paths.cache.clone_from(cache);
        }
        Ok(paths)
    }

    fn open(&self) -> PyResult<sky_sandbox::Sandbox> {
        let found = sky_sandbox::Sandbox::find(&self.paths()?).map_err(|e| host_error(&e))?;
        let opened = found.open_with(|reason| {
            // Half a minute of silence would look like a hang. A logger that fails changes nothing.
            let _ = Python::attach(|py| warn(py, &reason.to_string()));
        });
        opened.map_err(|error| host_error(&error))
    }
}

/// A checker that is opened again in each process that uses it.
///
/// After a fork the parent's guests cannot be reset in the child: the kernel reports their written
/// pages for the parent alone.
pub(crate) struct PerProcess {
    pub(crate) home: Home,
    options: CodeOptions,
    /// Held only with the GIL, and never while it is released: a fork takes the GIL, so no child
    /// finds the lock held.
    opened: Mutex<Opened>,
}

struct Opened {
    process: u32,
    check: Arc<CodeCheck>,
}

impl PerProcess {
    /// Opens the sandbox; the first time, this bakes the guest.
    pub(crate) fn open(py: Python<'_>, home: Home, options: CodeOptions) -> PyResult<Self> {
        let check = py.detach(|| Ok::<_, PyErr>(CodeCheck::new(home.open()?, options.clone())))?;
        let opened = Opened {
            process: process::id(),
            check: Arc::new(check),
        };
        Ok(Self {
            home,
            options,
            opened: Mutex::new(opened),
        })
    }

    /// This process's checker.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<Arc<CodeCheck>> {
        {
            let opened = self.lock();
            if opened.process == process::id() {
                return Ok(Arc::clone(&opened.check));
            }
        }
        let check = py.detach(|| {
            let sandbox = self.home.open()?;
            Ok::<_, PyErr>(Arc::new(CodeCheck::new(sandbox, self.options.clone())))
        })?;
        let mut opened = self.lock();
        if opened.process != process::id() {
            let parents = std::mem::replace(&mut opened.check, check);
            opened.process = process::id();
            // Dropping it would take locks that a thread of the parent's may have held.
            std::mem::forget(parents);
        }
        Ok(Arc::clone(&opened.check))
    }

    pub(crate) fn options(&self) -> &CodeOptions {
        &self.options
    }

    fn lock(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a limit that was given in MiB.
pub(crate) fn bytes_of(name: &str, mebibytes: u64) -> PyResult<u64> {
    match mebibytes {
        1..=1024 => Ok(mebibytes << 20),
        other => Err(PyValueError::new_err(format!(
            "{name} is {other}; must be from 1 to 1024"
        ))),
    }
}

/// Checks a limit in seconds.
pub(crate) fn checked_seconds(name: &str, seconds: f64) -> PyResult<f64> {
    if (0.001..=3600.0).contains(&seconds) {
        return Ok(seconds);
    }
    Err(PyValueError::new_err(format!(
        "{name} is {seconds}; must be from 0.001 to 3600"
    )))
}

/// Untrusted Python programs, each in a fresh interpreter that sees nothing but its input.
///
/// Safe to share between threads; runs as many programs at once as there are cores. The first
/// sandbox on a machine takes about 30 s to prepare the interpreter, later ones some milliseconds.
#[pyclass(frozen, module = "sky_verify")]
pub(crate) struct Sandbox {
    check: PerProcess,
}

#[pymethods]
impl Sandbox {
    #[new]
    #[pyo3(signature = (home=None, cache=None))]
    fn new(py: Python<'_>, home: Option<PathBuf>, cache: Option<PathBuf>) -> PyResult<Self> {
        let home = Home { home, cache };
        let check = PerProcess::open(py, home, CodeOptions::default())?;
        Ok(Self { check })
    }

    /// Runs one program and returns when it has ended, however it ends.
    ///
    /// `seconds` are those of a native interpreter, counted in instructions: the same program ends
    /// the same way on any machine, at any load.
    #[pyo3(signature = (code, stdin=None, seconds=10.0, memory_mb=256, output_mb=16))]
    fn run(
        &self,
        py: Python<'_>,
        code: Text,
        stdin: Option<&Bound<'_, PyAny>>,
        seconds: f64,
        memory_mb: u64,
        output_mb: u64,
    ) -> PyResult<Outcome> {
        let stdin = stdin.map_or_else(|| Ok(Vec::new()), bytes)?;
        let limits = Limits {
            memory: bytes_of("memory_mb", memory_mb)?,
            output: bytes_of("output_mb", output_mb)?,
            ..Limits::seconds(checked_seconds("seconds", seconds)?)
        };
        let check = self.check.get(py)?;
        // On its own thread, so that this one can look for Ctrl-C.
        let mut outcomes = check_all(py, 1, Some(1), |_, stop| {
            let job = Job::Script {
                program: &code.0,
                harness: Harness::Plain,
            };
            let finished = check
                .sandbox()
                .execute(&job, &stdin, &limits, Some(stop.cancel()));
            finished.map_err(|error| host_error(&error))
        })?;
        let finished = outcomes
            .pop()
            .ok_or_else(|| SandboxError::new_err("the run gave no outcome"))?;
        Ok(Outcome::of(finished.outcome))
    }

    fn __repr__(&self) -> String {
        format!("Sandbox({:?})", self.check.home.home)
    }

    fn __getnewargs__(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        let home = self.check.home.clone();
        (home.home, home.cache)
    }
}

/// The bytes of a `str` or of a `bytes`.
fn bytes(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    let text = object.extract::<Text>();
    let text = text.map_err(|_| PyTypeError::new_err("stdin must be a str or bytes"))?;
    Ok(text.0.into_bytes())
}

/// What one run leaves behind. True when the program ended by itself with exit code 0.
#[pyclass(frozen, module = "sky_verify", get_all)]
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Standard output; bytes that are no UTF-8 are replaced.
    stdout: String,
    /// Standard error, with the traceback of an uncaught exception.
    stderr: String,
    /// How it ended: `exited`, `raised`, `compile_error`, `out_of_instructions`, `out_of_time`,
    /// `out_of_memory`, `output_limit`, `stack_overflow` or `crashed`.
    exit: &'static str,
    /// The exit code of a program that exited.
    exit_code: Option<i32>,
    /// The exception, the compiler's message or the trap.
    error: Option<String>,
    /// WebAssembly instructions used; the same on any machine.
    instructions: u64,
    /// Peak bytes of heap beyond the interpreter's own.
    peak_memory: u64,
    /// Wall-clock seconds of the run.
    seconds: f64,
}

impl Outcome {
    fn of(outcome: sky_sandbox::Outcome) -> Self {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        };
        let (exit, exit_code, error) = match outcome.exit {
            Exit::Exited(code) => ("exited", Some(code), None),
            Exit::Raised { kind, message } if message.is_empty() => ("raised", None, Some(kind)),
            Exit::Raised { kind, message } => ("raised", None, Some(format!("{kind}: {message}"))),
            Exit::CompileError { message } => ("compile_error", None, Some(message)),
            Exit::OutOfInstructions => ("out_of_instructions", None, None),
            Exit::OutOfTime => ("out_of_time", None, None),
            Exit::OutOfMemory => ("out_of_memory", None, None),
            Exit::OutputLimit => ("output_limit", None, None),
            Exit::StackOverflow => ("stack_overflow", None, None),
            Exit::Crashed { trap } => ("crashed", None, Some(trap)),
        };
        Self {
            stdout: text(outcome.stdout),
            stderr: text(outcome.stderr),
            exit,
            exit_code,
            error,
            instructions: outcome.instructions,
            peak_memory: outcome.peak_memory,
            seconds: outcome.wall.as_secs_f64(),
        }
    }
}

#[pymethods]
impl Outcome {
    /// Whether the program ended by itself with exit code 0.
    #[getter]
    fn ok(&self) -> bool {
        self.exit_code == Some(0)
    }

    fn __bool__(&self) -> bool {
        self.ok()
    }

    fn __repr__(&self) -> String {
        let error = self
            .error
            .as_ref()
            .map_or_else(String::new, |e| format!(", error={e:?}"));
        format!(
            "Outcome({}, exit_code={:?}{error}, stdout={})",
            self.exit,
            self.exit_code,
            crate::text::shown(&self.stdout)
        )
    }
}
