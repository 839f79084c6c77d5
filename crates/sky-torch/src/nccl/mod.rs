//! NCCL: what GPUs do together. Not yet run on a GPU.

mod gpu;

use std::{
    collections::VecDeque,
    ffi::{c_int, c_void},
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cudarc::nccl::sys as nccl;
use tch::{Device, Kind, Tensor};

use self::gpu::{Event, Gpu, Stream, failed};
use crate::TorchError;

pub use self::gpu::{CudaEvent, gpu_for, gpu_memory, gpu_name};

/// What rank 0 makes and every rank needs to find the others: 128 bytes.
pub type NcclId = [u8; 128];

/// How often an operation that NCCL begins in the background is looked at.
const POLL: Duration = Duration::from_micros(200);
/// `NCCL_CONFIG_INITIALIZER` of nccl.h 2.28: magic, version, and "not set".
const MAGIC: u32 = 0xcafe_beef;
const VERSION: u32 = 22_803;
const UNDEFINED: c_int = c_int::MIN;
/// The first version with communicators that do not block.
const OLDEST: c_int = 21_400;

/// A fresh id, for rank 0 to hand out.
///
/// # Errors
/// When libcuda or libnccl cannot be loaded: which, and what to do.
pub fn nccl_id() -> Result<NcclId, TorchError> {
    const WHAT: &str = "nccl id";
    loaded()?;
    let mut id = nccl::ncclUniqueId { internal: [0; 128] };
    // SAFETY: the library is loaded (above) and fills the 128 bytes it is given.
    check(WHAT, unsafe { nccl::ncclGetUniqueId(&raw mut id) })?;
    Ok(id.internal.map(|byte| byte as u8))
}

/// The GPUs of a run's processes, one each, connected over NCCL. Every process calls the same
/// operations in the same order.
///
/// Operations run on a stream of their own: it waits for what libtorch's current stream was given
/// before, and [`NcclWork::wait`] makes that stream, not the host, wait for them. A peer that is
/// gone is noticed by whoever asks [`NcclGroup::stuck_for`] and [`NcclGroup::error`] from time to
/// time, and ended by [`NcclGroup::abort`] from any thread.
///
/// It takes libtorch's current stream to be the default one, which nothing in this workspace
/// changes.
#[derive(Debug)]
pub struct NcclGroup {
    shared: Arc<Shared>,
    world_size: usize,
}

#[derive(Debug)]
struct Shared {
    gpu: Gpu,
    stream: Stream,
    comm: Mutex<Option<Comm>>,
    in_flight: Mutex<VecDeque<InFlight>>,
    aborted: AtomicBool,
    timeout: Duration,
}

/// An owned `ncclComm_t`.
#[derive(Debug)]
struct Comm(nccl::ncclComm_t);

// SAFETY: NCCL's communicators may be used from any thread, one at a time: `Shared` keeps this one
// behind a lock.
unsafe impl Send for Comm {}

/// An operation that was begun and is not known to be done.
#[derive(Debug)]
struct InFlight {
    started: Event,
    done: Arc<Event>,
    since: Option<Instant>,
}

impl NcclGroup {
    /// Connects this process's GPU with the others'. All processes call this at the same time with
    /// the same id.
    ///
    /// # Errors
    /// When a library or the GPU is missing, a number is impossible, or not every peer is there
    /// within `timeout`.
    pub fn connect(
        id: &NcclId,
        rank: usize,
        world_size: usize,
        gpu: usize,
        timeout: Duration,
    ) -> Result<Self, TorchError> {
        const WHAT: &str = "nccl";
        let (Ok(c_rank), Ok(c_world)) = (c_int::try_from(rank), c_int::try_from(world_size)) else {
            return Err(failed(WHAT, format!("{rank} of {world_size} is too large")));
        };
        if rank >= world_size {
            return Err(failed(
                WHAT,
                format!("there is no rank {rank} of {world_size}"),
            ));
        }
        loaded()?;
        let gpu = Gpu::open(gpu)?;
        let stream = Stream::new(&gpu)?;
        let shared = Shared {
            gpu,
            stream,
            comm: Mutex::new(None),
            in_flight: Mutex::default(),
            aborted: AtomicBool::new(false),
            timeout,
        };
        let mut config = not_blocking();
        let unique = nccl::ncclUniqueId {
            internal: id.map(|byte| byte as _),
        };
        let mut comm = ptr::null_mut();
        // SAFETY: the library is loaded, this GPU's context is current, and both pointers are to
        // live values.
        let status = unsafe {
            nccl::ncclCommInitRankConfig(&raw mut comm, c_world, unique, c_rank, &raw mut config)
        };
        if !comm.is_null() {
            *lock(&shared.comm) = Some(Comm(comm));
        }
        let ready = shared.wait_enqueued("connect", status);
        if ready.is_err() {
            shared.abort();
        }
        ready?;
        Ok(Self {
            shared: Arc::new(shared),
            world_size,
        })
    }

    /// Gathers every rank's `shard` `[n]`, in the order of ranks, into `full` `[n * world_size]`.
    ///
    /// # Errors
    /// When the tensors do not fit each other or do not lie on this GPU, or the group has failed.
    pub fn all_gather_into(&self, full: &Tensor, shard: &Tensor) -> Result<NcclWork, TorchError> {
        const WHAT: &str = "all_gather_into";
        fit(WHAT, full, shard, self.world_size)?;
        let kind = kind(WHAT, full)?;
        self.start(WHAT, &[full, shard], |comm, stream| {
            // SAFETY: see `start`; `full` holds `world_size` times what `shard` does, of one kind.
            unsafe {
                nccl::ncclAllGather(data(shard), data(full), shard.numel(), kind, comm, stream)
            }
        })
    }

    /// Sums every rank's `full` `[n * world_size]` in the tensors' kind; this rank's part goes
    /// into `shard` `[n]`.
    ///
    /// # Errors
    /// As [`NcclGroup::all_gather_into`].
    pub fn reduce_scatter(&self, shard: &Tensor, full: &Tensor) -> Result<NcclWork, TorchError> {
        const WHAT: &str = "reduce_scatter";
        fit(WHAT, full, shard, self.world_size)?;
        let kind = kind(WHAT, full)?;
        self.start(WHAT, &[full, shard], |comm, stream| {
            // SAFETY: as in `all_gather_into`.
            unsafe {
                nccl::ncclReduceScatter(
                    data(full),
                    data(shard),
                    shard.numel(),
                    kind,
                    nccl::ncclRedOp_t::ncclSum,
                    comm,
                    stream,
                )
            }
        })
    }

    /// Sums every rank's tensor, in place.
    ///
    /// # Errors
    /// As [`NcclGroup::all_gather_into`].
    pub fn all_reduce(&self, tensor: &Tensor) -> Result<NcclWork, TorchError> {
        const WHAT: &str = "all_reduce";
        let kind = kind(WHAT, tensor)?;
        self.start(WHAT, &[tensor], |comm, stream| {
            let memory = data(tensor);
            let sum = nccl::ncclRedOp_t::ncclSum;
            // SAFETY: see `start`; NCCL allows one buffer for both.
            unsafe { nccl::ncclAllReduce(memory, memory, tensor.numel(), kind, sum, comm, stream) }
        })
    }

    /// Copies the tensor of rank `from` to every rank, in place.
    ///
    /// # Errors
    /// As [`NcclGroup::all_gather_into`], and when there is no such rank.
    pub fn broadcast(&self, tensor: &Tensor, from: usize) -> Result<NcclWork, TorchError> {
        const WHAT: &str = "broadcast";
        if from >= self.world_size {
            let reason = format!("there is no rank {from} among {}", self.world_size);
            return Err(failed(WHAT, reason));
        }
        let kind = kind(WHAT, tensor)?;
        self.start(WHAT, &[tensor], |comm, stream| {
            let memory = data(tensor);
            // SAFETY: see `start`; NCCL allows one buffer for both, and `from` is under
            // `world_size`, which fits a `c_int`.
            unsafe {
                let root = from as c_int;
                nccl::ncclBroadcast(memory, memory, tensor.numel(), kind, root, comm, stream)
            }
        })
    }

    /// How long the oldest operation under way has been able to run without coming to an end; none
    /// when none is.
    pub fn stuck_for(&self) -> Option<Duration> {
        self.shared.gpu.make_current().ok()?;
        let mut in_flight = lock(&self.shared.in_flight);
        while in_flight
            .front()
            .is_some_and(|operation| operation.done.reached())
        {
            in_flight.pop_front();
        }
        let first = in_flight.front_mut()?;
        if first.since.is_none() && first.started.reached() {
            first.since = Some(Instant::now());
        }
        Some(first.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// What NCCL has found out by itself since: a broken connection, a GPU that failed.
    pub fn error(&self) -> Option<String> {
        let comm = lock(&self.shared.comm);
        let mut state = nccl::ncclResult_t::ncclSuccess;
        // SAFETY: the communicator is alive while the lock is held.
        let status = unsafe { nccl::ncclCommGetAsyncError(comm.as_ref()?.0, &raw mut state) };
        [status, state]
            .into_iter()
            .find_map(|status| check("nccl", status).err())
            .map(|error| error.to_string())
    }

    /// Ends every operation under way, here and now; later ones are refused. What they were to
    /// write is undefined.
    pub fn abort(&self) {
        self.shared.abort();
    }

    /// Begins an operation on tensors whose memory NCCL reads and writes when its stream comes to
    /// it. The work keeps them alive until libtorch's stream waits for the end.
    fn start(
        &self,
        what: &'static str,
        tensors: &[&Tensor],
        begin: impl FnOnce(nccl::ncclComm_t, nccl::cudaStream_t) -> nccl::ncclResult_t,
    ) -> Result<NcclWork, TorchError> {
        let shared = &self.shared;
        for tensor in tensors {
            if tensor.device() != Device::Cuda(shared.gpu.ordinal()) || !tensor.is_contiguous() {
                let here = shared.gpu.ordinal();
                let reason = format!("a {tensor:?} is not contiguous on GPU {here}");
                return Err(failed(what, reason));
            }
        }
        shared.gpu.make_current()?;
        shared
            .stream
            .wait_for(&Event::on_default_stream(&shared.gpu)?)?;
        let started = Event::on(&shared.stream)?;
        let status = match &*lock(&shared.comm) {
            Some(comm) => begin(comm.0, shared.stream.raw().cast()),
            None => return Err(failed(what, "the group has failed".into())),
        };
        shared.wait_enqueued(what, status)?;
        let done = Arc::new(Event::on(&shared.stream)?);
        lock(&shared.in_flight).push_back(InFlight {
            started,
            done: Arc::clone(&done),
            since: None,
        });
        Ok(NcclWork {
            shared: Arc::clone(shared),
            what,
            done: Some(done),
            tensors: tensors.iter().map(|t| t.shallow_clone()).collect(),
        })
    }
}

impl Shared {
    /// Waits until NCCL has taken an operation, which it does in the background.
    fn wait_enqueued(
        &self,
        what: &'static str,
        status: nccl::ncclResult_t,
    ) -> Result<(), TorchError> {
        let began = Instant::now();
        let mut state = status;
        while state == nccl::ncclResult_t::ncclInProgress {
            if began.elapsed() > self.timeout {
                let seconds = self.timeout.as_secs_f64();
                return Err(failed(what, format!("not begun after {seconds:.0} s")));
            }
            thread::sleep(POLL);
            let comm = lock(&self.comm);
            let Some(comm) = comm.as_ref() else {
                return Err(failed(what, "the group has failed".into()));
            };
            // SAFETY: the communicator is alive while the lock is held.
            let asked = unsafe { nccl::ncclCommGetAsyncError(comm.0, &raw mut state) };
            check(what, asked)?;
        }
        check(what, state)
    }

    fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        let Some(comm) = lock(&self.comm).take() else {
            return;
        };
        let _ = self.gpu.make_current();
        // SAFETY: taken out of its place, so nobody else has it and nobody will. An error leaves
        // nothing to do about it.
        let _ = unsafe { nccl::ncclCommAbort(comm.0) };
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The group and every work are gone. An abort frees a communicator without another word
        // with the peers; what is still under way would otherwise never end when one of them is
        // dead.
        self.abort();
    }
}

/// A pending collective.
#[derive(Debug)]
#[must_use = "the tensors are not ready before it has been waited for"]
pub struct NcclWork {
    shared: Arc<Shared>,
    what: &'static str,
    done: Option<Arc<Event>>,
    tensors: Vec<Tensor>,
}

impl NcclWork {
    /// Makes whatever libtorch's stream is given from now on wait for the end. The host goes on at
    /// once.
    ///
    /// # Errors
    /// When the group was aborted: the tensors hold nothing of worth.
    pub fn wait(mut self) -> Result<(), TorchError> {
        self.order()?;
        if self.shared.aborted.load(Ordering::Acquire) {
            return Err(failed(self.what, "the group has failed".into()));
        }
        Ok(())
    }

    fn order(&mut self) -> Result<(), TorchError> {
        let Some(done) = self.done.take() else {
            return Ok(());
        };
        self.shared.gpu.make_current()?;
        let ordered = done.hold_default_stream();
        // Memory that libtorch gives out again is used on its own stream, which now waits.
        self.tensors.clear();
        ordered
    }
}

impl Drop for NcclWork {
    fn drop(&mut self) {
        // One that nobody waited for: its memory must not be used again before its end either.
        if self.order().is_err() {
            std::mem::forget(std::mem::take(&mut self.tensors));
        }
    }
}

fn not_blocking() -> nccl::ncclConfig_t {
    nccl::ncclConfig_t {
        size: size_of::<nccl::ncclConfig_t>(),
        magic: MAGIC,
        version: VERSION,
        blocking: 0,
        cgaClusterSize: UNDEFINED,
        minCTAs: UNDEFINED,
        maxCTAs: UNDEFINED,
        netName: ptr::null(),
        splitShare: UNDEFINED,
        trafficClass: UNDEFINED,
        commName: ptr::null(),
        collnetEnable: UNDEFINED,
        CTAPolicy: UNDEFINED,
        shrinkShare: UNDEFINED,
        nvlsCTAs: UNDEFINED,
        nChannelsPerNetPeer: UNDEFINED,
        nvlinkCentricSched: UNDEFINED,
    }
}

/// Loads libcuda and libnccl, once. cudarc panics where a library is missing: this finds out
/// before.
fn loaded() -> Result<(), TorchError> {
    gpu::driver()?;
    // SAFETY: loading runs the library's own initialisers and nothing else.
    if !unsafe { nccl::is_culib_present() } {
        return Err(failed(
            "nccl",
            "libnccl.so is not to be found: `cargo xtask setup --cuda` fetches it; with an NCCL of your own, make a link \
             `libnccl.so` to its libnccl.so.2 and put the link's folder into LD_LIBRARY_PATH"
                .into(),
        ));
    }
    let mut version = 0;
    // SAFETY: the library is there, and writes one number.
    check("nccl", unsafe { nccl::ncclGetVersion(&raw mut version) })?;
    if version < OLDEST {
        let reason =
            format!("version {version} of NCCL is too old: 2.14 (21400) or newer is needed");
        return Err(failed("nccl", reason));
    }
    Ok(())
}

fn fit(
    what: &'static str,
    full: &Tensor,
    shard: &Tensor,
    world_size: usize,
) -> Result<(), TorchError> {
    let reason = if full.kind() != shard.kind() {
        format!("kinds {:?} and {:?}", full.kind(), shard.kind())
    } else if full.numel() != shard.numel() * world_size {
        let (full, shard) = (full.numel(), shard.numel());
        format!("{full} elements in all and {shard} a rank do not fit {world_size} ranks")
    } else {
        return Ok(());
    };
    Err(failed(what, reason))
}

fn kind(what: &'static str, tensor: &Tensor) -> Result<nccl::ncclDataType_t, TorchError> {
    use nccl::ncclDataType_t as Type;
    match tensor.kind() {
        Kind::Float => Ok(Type::ncclFloat32),
        Kind::Double => Ok(Type::ncclFloat64),
        Kind::BFloat16 => Ok(Type::ncclBfloat16),
        Kind::Int64 => Ok(Type::ncclInt64),
        Kind::Uint8 => Ok(Type::ncclUint8),
        other => Err(failed(what, format!("NCCL carries no {other:?}"))),
    }
}

fn data(tensor: &Tensor) -> *mut c_void {
    tensor.data_ptr()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(what: &'static str, status: nccl::ncclResult_t) -> Result<(), TorchError> {
    use nccl::ncclResult_t as R;
    let reason = match status {
        R::ncclSuccess | R::ncclInProgress => return Ok(()),
        R::ncclUnhandledCudaError => "a CUDA call failed",
        R::ncclSystemError => "a system call failed (network, shared memory)",
        R::ncclRemoteError => "a peer is gone",
        R::ncclInvalidUsage => "invalid usage (two ranks on one GPU, or other ranks than expected)",
        R::ncclInvalidArgument => "invalid argument",
        R::ncclInternalError | R::ncclNumResults => "internal error",
    };
    let reason = format!("NCCL: {reason}; NCCL_DEBUG=WARN makes it say more");
    Err(failed(what, reason))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_do_not_fit_are_refused_before_anything_begins() {
        let of = |n: i64, kind| Tensor::zeros([n], (kind, Device::Cpu));
        let (four, two) = (of(4, Kind::Float), of(2, Kind::Float));
        assert!(fit("test", &four, &two, 2).is_ok());
        let error = fit("test", &four, &two, 3).unwrap_err().to_string();
        assert!(error.contains("do not fit 3 ranks"), "{error}");
        let error = fit("test", &four, &of(2, Kind::Double), 2).unwrap_err();
        assert!(error.to_string().contains("kinds"), "{error}");
        assert_eq!(
            kind("test", &of(1, Kind::BFloat16)).unwrap(),
            nccl::ncclDataType_t::ncclBfloat16
        );
        let error = kind("test", &of(1, Kind::Bool)).unwrap_err();
        assert!(error.to_string().contains("carries no Bool"), "{error}");
    }

    #[test]
    fn impossible_ranks_are_refused_before_a_library_is_loaded() {
        let connect = |rank, world_size| {
            let timeout = Duration::from_secs(1);
            NcclGroup::connect(&[0; 128], rank, world_size, 0, timeout).unwrap_err()
        };
        assert!(connect(2, 2).to_string().contains("no rank 2 of 2"));
        assert!(connect(0, usize::MAX).to_string().contains("too large"));
    }

    #[test]
    fn a_machine_without_the_libraries_is_told_which_one_and_what_to_do() {
        let Err(error) = nccl_id() else {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                b"SKIPPED: this machine has libcuda and libnccl\n",
            );
            return;
        };
        let text = error.to_string();
        assert!(
            ["libcuda.so", "libnccl.so", "no GPU"]
                .iter()
                .any(|part| text.contains(part)),
            "{text}"
        );
        assert!(text.contains(": ") && text.len() > 40, "{text}");
    }

    #[test]
    fn the_settings_of_a_communicator_are_those_of_the_pinned_header() {
        let config = not_blocking();
        assert_eq!((config.blocking, config.magic), (0, 0xcafe_beef));
        // nccl.h 2.28: a word, two pointers, 14 numbers of 4 bytes.
        assert_eq!(config.size, 80);
    }
}
