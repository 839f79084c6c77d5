use std::{
    fs::{File, OpenOptions},
    path::Path,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

const EVERY: Duration = Duration::from_secs(1);

/// Brings a file's time of change forward while this process lives, so that a later one can tell how long it did, however
/// it ended.
#[derive(Debug)]
pub(crate) struct Beat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Beat {
    /// Starts on a file that exists. Without a thread or a file to write there is no beat, and only the count of seconds
    /// after a kill suffers.
    pub(crate) fn start(path: &Path) -> Self {
        let (stop, stopped) = channel();
        let thread = OpenOptions::new()
            .write(true)
            .open(path)
            .ok()
            .and_then(|file| {
                let beat = move || {
                    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                        touch(&file);
                    }
                };
                thread::Builder::new()
                    .name("sky-beat".into())
                    .spawn(beat)
                    .ok()
            });
        Self {
            stop: Some(stop),
            thread,
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that can panic; and if it did, the stage's results are none the worse.
            let _ = thread.join();
        }
    }
}

pub(crate) fn touch(file: &File) {
    // A file system that keeps no times loses the count of seconds after a kill, nothing else.
    let _ = file.set_modified(SystemTime::now());
}

/// Seconds from one file's time of change to another's; 0 when they do not tell.
pub(crate) fn seconds_between(from: &Path, to: &Path) -> f64 {
    let time = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    match (time(from), time(to)) {
        (Some(from), Some(to)) => to.duration_since(from).map_or(0.0, |d| d.as_secs_f64()),
        _ => 0.0,
    }
}
