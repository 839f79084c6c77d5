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
