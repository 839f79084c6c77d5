//! The part of the CUDA driver's interface that ordering two streams needs.

use std::{
    collections::BTreeMap,
    fmt::Write,
    ptr,
    sync::{Mutex, PoisonError},
};

use cudarc::driver::{result, sys};

use crate::TorchError;

/// Which of the GPUs that this process sees it takes: the one with its number among the processes
/// of its host, or the only one where each process was given one of its own.
///
/// # Errors
/// When there are fewer GPUs than that.
pub fn gpu_for(local_rank: usize, visible: usize) -> Result<usize, TorchError> {
    match visible {
        1 => Ok(0),
        _ if local_rank < visible => Ok(local_rank),
        _ => Err(failed(
            "gpu",
            format!(
                "process {local_rank} of this host (from 0) has no GPU, {visible} can be seen: start as many processes a host as \
                 it has GPUs, or look at CUDA_VISIBLE_DEVICES"
            ),
        )),
    }
}

/// A GPU's UUID. Two processes find by it that they have the same GPU.
///
/// # Errors
/// When the driver or the GPU is missing.
pub fn gpu_name(ordinal: usize) -> Result<String, TorchError> {
    driver()?;
    let device = device(ordinal)?;
    let uuid = result::device::get_uuid(device).map_err(|error| said("gpu", &error))?;
    let mut name = String::from("GPU-");
    for byte in uuid.bytes {
        // Writing to a string cannot fail.
        let _ = write!(name, "{:02x}", byte as u8);
    }
    Ok(name)
}

/// Memory of a GPU in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuMemory {
    /// Free now.
    pub free: u64,
    /// Free and used.
    pub total: u64,
}

/// Memory of a GPU. libtorch keeps what it has once taken, so that what is not free after a run is
/// its peak.
///
/// # Errors
/// When the driver or the GPU is missing.
pub fn gpu_memory(ordinal: usize) -> Result<GpuMemory, TorchError> {
    driver()?;
    let _current = Gpu::open(ordinal)?;
    let (free, total) = result::mem_get_info().map_err(|error| said("gpu", &error))?;
    Ok(GpuMemory {
        free: free as u64,
        total: total as u64,
    })
}

/// Loads libcuda, once.
pub(super) fn driver() -> Result<(), TorchError> {
    // SAFETY: loading runs the library's own initialisers and nothing else.
    if !unsafe { sys::is_culib_present() } {
        return Err(failed(
            "cuda",
            "libcuda.so is not to be found: it comes with NVIDIA's driver, which is not installed here (in a container: start it \
             with the GPUs)"
                .into(),
        ));
    }
    result::init().map_err(|error| failed("cuda", format!("no GPU can be used: {}", text(&error))))
}

fn device(ordinal: usize) -> Result<sys::CUdevice, TorchError> {
    let number = i32::try_from(ordinal).unwrap_or(i32::MAX);
    result::device::get(number).map_err(|error| {
        failed(
            "gpu",
            format!("there is no GPU {ordinal}: {}", text(&error)),
        )
    })
}

/// One GPU and libtorch's context on it. The context is retained until the process ends: if this
/// were its last owner and released it, threads would keep a destroyed context current.
#[derive(Debug)]
pub(super) struct Gpu {
    ordinal: usize,
    context: Context,
}

#[derive(Clone, Copy, Debug)]
struct Context(sys::CUcontext);

// SAFETY: a context may be current on any number of threads.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Gpu {
    /// The GPU's primary context, which libtorch uses too; it is current on this thread afterwards.
    pub(super) fn open(ordinal: usize) -> Result<Self, TorchError> {
        let gpu = Self {
            ordinal,
            context: context(ordinal)?,
        };
        gpu.make_current()?;
        Ok(gpu)
    }

    pub(super) fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// Makes this GPU the one that calls of this thread are about.
    pub(super) fn make_current(&self) -> Result<(), TorchError> {
        // SAFETY: the context is never released.
        unsafe { result::ctx::set_current(self.context.0) }.map_err(|error| said("gpu", &error))
    }
}

/// A GPU's primary context, retained once.
fn context(ordinal: usize) -> Result<Context, TorchError> {
    static RETAINED: Mutex<BTreeMap<usize, Context>> = Mutex::new(BTreeMap::new());
    let mut retained = RETAINED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = retained.get(&ordinal) {
        return Ok(*found);
    }
    let device = device(ordinal)?;
    // SAFETY: the device comes from the driver.
    let context = unsafe { result::primary_ctx::retain(device) };
    let context = Context(context.map_err(|error| said("gpu", &error))?);
    retained.insert(ordinal, context);
    Ok(context)
}

/// A stream that does not wait for the default one by itself.
#[derive(Debug)]
pub(super) struct Stream(sys::CUstream);

// SAFETY: streams may be used from any thread.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    pub(super) fn new(gpu: &Gpu) -> Result<Self, TorchError> {
        gpu.make_current()?;
        result::stream::create(result::stream::StreamKind::NonBlocking)
            .map(Self)
            .map_err(|error| said("stream", &error))
    }

    pub(super) fn raw(&self) -> sys::CUstream {
        self.0
    }

    /// Makes later work on this stream wait for the event.
    pub(super) fn wait_for(&self, event: &Event) -> Result<(), TorchError> {
        wait(self.0, event)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; the driver finishes the stream's queued work first.
        let _ = unsafe { result::stream::destroy(self.0) };
    }
}

/// A point in a stream.
#[derive(Debug)]
pub(super) struct Event(sys::CUevent);

// SAFETY: events may be used from any thread.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// The present end of a stream; its GPU must be current.
    pub(super) fn on(stream: &Stream) -> Result<Self, TorchError> {
        Self::record(stream.0)
    }

    /// The present end of the default stream, which libtorch computes on.
    pub(super) fn on_default_stream(gpu: &Gpu) -> Result<Self, TorchError> {
        gpu.make_current()?;
        Self::record(ptr::null_mut())
    }

    fn record(stream: sys::CUstream) -> Result<Self, TorchError> {
        let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING;
        let event = Self(result::event::create(flags).map_err(|error| said("event", &error))?);
        // SAFETY: both are alive, and of the GPU that is current.
        unsafe { result::event::record(event.0, stream) }.map_err(|error| said("event", &error))?;
        Ok(event)
    }

    /// Waits on the host until the stream reaches this point.
    pub(super) fn wait(&self) -> Result<(), TorchError> {
        // SAFETY: the event is alive.
        unsafe { result::event::synchronize(self.0) }.map_err(|error| said("event", &error))
    }

    /// Whether the stream has reached this point. An error of the GPU counts as reached: whoever
    /// reads a result gets it.
    pub(super) fn reached(&self) -> bool {
        // SAFETY: the event is alive.
        let state = unsafe { result::event::query(self.0) };
        !matches!(state, Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NOT_READY)
    }

    /// Makes later work on the default stream wait for this; the GPU must be current.
    pub(super) fn hold_default_stream(&self) -> Result<(), TorchError> {
        wait(ptr::null_mut(), self)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; waits for it that are queued already stay valid.
        let _ = unsafe { result::event::destroy(self.0) };
    }
}

/// A CUDA event: a point in the stream that libtorch computes on. Not yet run on a GPU.
#[derive(Debug)]
pub struct CudaEvent {
    event: Event,
}

impl CudaEvent {
    /// Records an event at the stream's present end, on GPU `ordinal`.
    ///
    /// # Errors
    /// When the driver or the GPU is missing.
    pub fn new(ordinal: usize) -> Result<Self, TorchError> {
        driver()?;
        let gpu = Gpu::open(ordinal)?;
        let event = Event::on_default_stream(&gpu)?;
        Ok(Self { event })
    }

    /// Waits on the host until all before it is done.
    ///
    /// # Errors
    /// What went wrong on the GPU by then.
    pub fn wait(&self) -> Result<(), TorchError> {
        self.event.wait()
    }
}

fn wait(stream: sys::CUstream, event: &Event) -> Result<(), TorchError> {
    let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
    // SAFETY: both are alive, and of the GPU that is current.
    unsafe { result::stream::wait_event(stream, event.0, flags) }
        .map_err(|error| said("event", &error))
}

fn said(what: &'static str, error: &result::DriverError) -> TorchError {
    failed(what, text(error))
}

fn text(error: &result::DriverError) -> String {
    match error.error_string() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => format!("CUDA error {:?}", error.0),
    }
}

pub(super) fn failed(what: &'static str, reason: String) -> TorchError {
    TorchError::Op { what, reason }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_the_gpu_of_its_number_or_the_only_one() {
        assert_eq!(gpu_for(3, 8).unwrap(), 3);
        assert_eq!(gpu_for(5, 1).unwrap(), 0);
        for (rank, visible) in [(2, 2), (0, 0)] {
            let error = gpu_for(rank, visible).unwrap_err().to_string();
            assert!(error.contains(&format!("{visible} can be seen")), "{error}");
        }
    }
}
