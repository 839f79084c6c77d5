use std::{env, os::unix::process::CommandExt, process::Command};

/// How often libtorch's idle threads look for work before they sleep: about 10 microseconds.
const SPINS: &str = "1000";

/// Bounds how long libtorch's threads spin while they wait for each other. Call it first in `main`.
///
/// libtorch's OpenMP (libgomp) waits at the end of each parallel loop by spinning, by default for
/// so long that a thread which has lost its core to another process is waited for at full load:
/// beside a busy neighbour everything takes many times as long. libgomp reads `GOMP_SPINCOUNT` when
/// it is loaded, which is before `main`. So this starts the same program again in this process,
/// with the variable set. Nothing happens when it, or `OMP_WAIT_POLICY`, is set already, or when
/// the program cannot be started again.
pub fn limit_spinning() {
    const VARIABLE: &str = "GOMP_SPINCOUNT";
    let is_set = |name: &str| env::var_os(name).is_some();
    if is_set(VARIABLE) || is_set("OMP_WAIT_POLICY") {
        return;
    }
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut arguments = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Returns only when it fails; then the program runs as it is.
    let _ = command.args(arguments).env(VARIABLE, SPINS).exec();
}

/// Sets the number of threads libtorch computes with; 0 means one for each core this process may
/// use.
///
/// Results of some reductions depend on this number in their last bits, so a reproducible run fixes
/// it.
pub fn set_threads(threads: usize) {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}
