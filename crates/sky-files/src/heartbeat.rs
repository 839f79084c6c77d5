use std::{
    fs::{File, OpenOptions},
    path::Path,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

const EVERY: Duration = Duration::from_secs(1);

/// Updates a file's modification time every second while this process lives.
///
/// A later process reads from it how long this one worked, however it ended.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts on a file that exists. Without a thread or a writable file there is no heartbeat;
    /// then only the count of seconds after a kill is too low.
    pub(crate) fn start(path: &Path) -> Self {
        let (stop, stopped) = channel();
        let thread = OpenOptions::new()
            .write(true)
            .open(path)
            .ok()
            .and_then(|file| {
                let tick = move || stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout);
                thread::Builder::new()
                    .name("sky-heartbeat".into())
                    .spawn(move || write_heartbeats(&file, tick))
                    .ok()
            });
        Self {
            stop: Some(stop),
            thread,
        }
    }

    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

/// Updates the file's modification time after every tick, until a tick says stop.
fn write_heartbeats(file: &File, mut tick: impl FnMut() -> bool) {
    while tick() {
        touch(file);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that can panic; and if it did, the stage's results are none the
            // worse.
            let _ = thread.join();
        }
    }
}

pub(crate) fn touch(file: &File) {
    // A file system that keeps no times loses the count of seconds after a kill, nothing else.
    let _ = file.set_modified(SystemTime::now());
}

/// Seconds from one file's time of change to another's; 0 when they do not say.
pub(crate) fn seconds_between(from: &Path, to: &Path) -> f64 {
    let time = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    match (time(from), time(to)) {
        (Some(from), Some(to)) => to.duration_since(from).map_or(0.0, |d| d.as_secs_f64()),
        _ => 0.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_tick_updates_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (begun, lock) = (dir.path().join("begun"), dir.path().join("lock"));
        let old = SystemTime::now() - Duration::from_secs(100);
        for path in [&begun, &lock] {
            fs::write(path, "").unwrap();
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_modified(old).unwrap();
        }
        let file = OpenOptions::new().write(true).open(&lock).unwrap();
        write_heartbeats(&file, || false);
        assert!(seconds_between(&begun, &lock) < 0.9);
        let mut ticks = 1;
        write_heartbeats(&file, || {
            ticks -= 1;
            ticks >= 0
        });
        assert!(seconds_between(&begun, &lock) >= 0.9);
    }
}
