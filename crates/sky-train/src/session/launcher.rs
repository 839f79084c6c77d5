use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::TrainError;

/// The environment variable in which `sky-train launch` gives a rank the launcher's process id.
pub const LAUNCHER: &str = "SKY_TRAIN_LAUNCHER";

/// Makes a process that `sky-train launch` has started end with its launcher, even when that is
/// killed. Other processes are left alone. [`super::Session::join`] calls it.
///
/// # Errors
/// When the launcher has ended already.
pub fn end_with_launcher() -> Result<(), TrainError> {
    let Some(launcher) = std::env::var_os(LAUNCHER) else {
        return Ok(());
    };
    let fail = |reason: String| TrainError::Launch(reason);
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| fail(format!("this process cannot follow its launcher: {error}")))?;
    // Read after the signal is set: a launcher that ends in between would otherwise be missed.
    let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if launcher.to_str() != Some(&parent.to_string()) {
        return Err(fail("the launcher of this process has ended".into()));
    }
    Ok(())
}
