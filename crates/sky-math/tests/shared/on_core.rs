use std::time::{Duration, Instant};

/// Time this thread was on a core, where the system says so: a busy machine is not what is
/// measured.
pub(crate) fn on_core() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let wall = START.get_or_init(Instant::now).elapsed();
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .map_or(wall, Duration::from_nanos)
}
