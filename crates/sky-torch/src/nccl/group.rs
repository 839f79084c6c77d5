//! The collectives of GPUs.

use std::{
    ffi::{c_int, c_void},
    ptr,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use cudarc::nccl::sys as nccl;
use tch::{Device, Kind, Tensor};

use super::{
    communicator::{Comm, InFlight, Shared, lock},
    gpu::{Event, Gpu, Stream, failed},
    library::{NcclId, check, loaded, not_blocking},
    work::NcclWork,
};
use crate::TorchError;

/// The GPUs of a run's processes, one each, connected over NCCL. Every process calls the same
/// operations in the same order.
///
/// Operations run on a separate stream: it waits for the work queued on libtorch's current stream,
/// and [`NcclWork::wait`] makes that stream, not the host, wait for them. A peer that is
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
            // SAFETY: see `start`; `full` holds `world_size` times what `shard` does, of one dtype.
            unsafe {
                nccl::ncclAllGather(data(shard), data(full), shard.numel(), kind, comm, stream)
            }
        })
    }

    /// Sums every rank's `full` `[n * world_size]` in the tensors' dtype; this rank's part goes
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

    /// How long the oldest operation in flight has been running; none when none is in flight.
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

    /// The error that NCCL has found in the background: a broken connection, a GPU that failed.
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

    /// Ends every operation in flight at once; later ones are refused. The content of the tensors
    /// that they write is undefined.
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

/// Checks that `full` is `world_size` times `shard`.
fn fit(
    what: &'static str,
    full: &Tensor,
    shard: &Tensor,
    world_size: usize,
) -> Result<(), TorchError> {
    let reason = if full.kind() != shard.kind() {
        format!("dtypes {:?} and {:?}", full.kind(), shard.kind())
    } else if full.numel() != shard.numel() * world_size {
        let (full, shard) = (full.numel(), shard.numel());
        format!("{full} elements in all and {shard} a rank do not fit {world_size} ranks")
    } else {
        return Ok(());
    };
    Err(failed(what, reason))
}

/// NCCL's name for a tensor's dtype.
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
        assert!(error.to_string().contains("dtypes"), "{error}");
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
}
