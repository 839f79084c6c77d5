use std::{
    ffi::{c_int, c_void},
    ptr,
    time::Duration,
};

use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    Store, TorchError, ffi,
    store::{milliseconds, text},
    timeout::within,
};

/// Where a process listens for its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At a network interface: `eth0`.
    Interface(String),
    /// At the address that a name of this machine has: `127.0.0.1`.
    Host(String),
    /// At the address of this machine's own name.
    Default,
}

/// The processes of a run, connected with each other over gloo. Every one calls the same operations
/// in the same order.
///
/// Operations begin at once and run in the background; their tensors must not be touched until
/// [`Work::wait`]. Tensors are contiguous and on the CPU.
#[derive(Debug)]
pub struct ProcessGroup {
    raw: *mut c_void,
    world_size: usize,
    timeout: Duration,
    abandoned: bool,
}

// SAFETY: the group may move to another thread; it is not `Sync`, so that no two threads begin
// operations at once.
unsafe impl Send for ProcessGroup {}

impl ProcessGroup {
    /// Connects this process with the others, which find each other through the store.
    ///
    /// # Errors
    /// When a number is impossible, or not every peer is there within `timeout`.
    pub fn gloo(
        store: &Store,
        rank: usize,
        world_size: usize,
        listen: &Listen,
        timeout: Duration,
    ) -> Result<Self, TorchError> {
        const WHAT: &str = "process group";
        let number = |n: usize| {
            c_int::try_from(n).map_err(|_| TorchError::Op {
                what: WHAT,
                reason: format!("{n} is too large"),
            })
        };
        if rank >= world_size {
            let reason = format!("rank {rank} of {world_size}");
            return Err(TorchError::Op { what: WHAT, reason });
        }
        let (interface, host) = match listen {
            Listen::Interface(name) => (Some(text(WHAT, name)?), None),
            Listen::Host(name) => (None, Some(text(WHAT, name)?)),
            Listen::Default => (None, None),
        };
        let (connection, c_rank, c_world) =
            (store.connection(), number(rank)?, number(world_size)?);
        let form = move || {
            let pointer = |text: &Option<std::ffi::CString>| {
                text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
            };
            let mut raw = ptr::null_mut();
            // SAFETY: the store's handle is alive (the group holds its own reference), the strings
            // end with NUL or are null.
            let status = unsafe {
                ffi::sky_gloo_new(
                    connection.raw(),
                    c_rank,
                    c_world,
                    pointer(&interface),
                    pointer(&host),
                    milliseconds(timeout),
                    &raw mut raw,
                )
            };
            ffi::check(WHAT, status)?;
            Ok(Self {
                raw,
                world_size,
                timeout,
                abandoned: false,
            })
        };
        // The store it asks may stop answering.
        within(WHAT, timeout, form)
    }

    /// Gathers every rank's `shard` `[n]`, in the order of ranks, into `full` `[n * world_size]`.
    ///
    /// # Errors
    /// When the tensors do not fit each other.
    pub fn all_gather_into(&self, full: &Tensor, shard: &Tensor) -> Result<Work, TorchError> {
        const WHAT: &str = "all_gather_into";
        self.fit(WHAT, full, shard)?;
        self.start(WHAT, &[full, shard], |raw, result| {
            // SAFETY: see `start`.
            unsafe { ffi::sky_all_gather_into(raw, ffi::one(full), ffi::one(shard), result) }
        })
    }

    /// Sums every rank's `full` `[n * world_size]`; this rank's part goes into `shard` `[n]`.
    ///
    /// gloo has no such operation (c10d reduces the whole on every rank): the parts are exchanged,
    /// which moves no byte more than needed, and added here in the order of ranks and in the
    /// tensors' kind.
    ///
    /// # Errors
    /// When the tensors do not fit each other.
    pub fn reduce_scatter(&self, shard: &Tensor, full: &Tensor) -> Result<Work, TorchError> {
        const WHAT: &str = "reduce_scatter";
        self.fit(WHAT, full, shard)?;
        let failed = |error: tch::TchError| TorchError::Op {
            what: WHAT,
            reason: error.to_string(),
        };
        let flat = full.f_view([-1]).map_err(failed)?;
        let received = Tensor::f_empty_like(&flat).map_err(failed)?;
        let mut work = self.start(WHAT, &[&received, &flat], |raw, result| {
            // SAFETY: see `start`.
            unsafe { ffi::sky_all_to_all(raw, ffi::one(&received), ffi::one(&flat), result) }
        })?;
        work.parts = Some(Parts {
            sum: shard.shallow_clone(),
            received,
            world_size: self.world_size,
        });
        Ok(work)
    }

    /// Sums every rank's tensor, in place.
    ///
    /// # Errors
    /// When the tensor is not a plain one on the CPU.
    pub fn all_reduce(&self, tensor: &Tensor) -> Result<Work, TorchError> {
        self.start("all_reduce", &[tensor], |raw, result| {
            // SAFETY: see `start`.
            unsafe { ffi::sky_all_reduce(raw, ffi::one(tensor), result) }
        })
    }

    /// Copies the tensor of rank `from` to every rank, in place.
    ///
    /// # Errors
    /// When the tensor is not a plain one on the CPU, or there is no such rank.
    pub fn broadcast(&self, tensor: &Tensor, from: usize) -> Result<Work, TorchError> {
        const WHAT: &str = "broadcast";
        let root = c_int::try_from(from)
            .ok()
            .filter(|_| from < self.world_size)
            .ok_or_else(|| TorchError::Op {
                what: WHAT,
                reason: format!("there is no rank {from} among {}", self.world_size),
            })?;
        self.start(WHAT, &[tensor], |raw, result| {
            // SAFETY: see `start`.
            unsafe { ffi::sky_broadcast(raw, ffi::one(tensor), root, result) }
        })
    }

    /// Waits until every rank has called it.
    ///
    /// # Errors
    /// When a peer is gone or the wait times out.
    pub fn barrier(&self) -> Result<(), TorchError> {
        self.start("barrier", &[], |raw, result| {
            // SAFETY: see `start`.
            unsafe { ffi::sky_barrier(raw, result) }
        })?
        .wait()
    }

    fn fit(&self, what: &'static str, full: &Tensor, shard: &Tensor) -> Result<(), TorchError> {
        let reason = if full.kind() != shard.kind() {
            format!("dtypes {:?} and {:?}", full.kind(), shard.kind())
        } else if full.numel() != shard.numel() * self.world_size {
            format!(
                "{} elements in all and {} a rank do not fit {} ranks",
                full.numel(),
                shard.numel(),
                self.world_size
            )
        } else {
            return Ok(());
        };
        Err(TorchError::Op { what, reason })
    }

    /// Begins an operation on tensors that gloo reads and writes as plain memory; the shim keeps
    /// its own references to them.
    fn start(
        &self,
        what: &'static str,
        tensors: &[&Tensor],
        begin: impl FnOnce(*mut c_void, *mut *mut c_void) -> c_int,
    ) -> Result<Work, TorchError> {
        for tensor in tensors {
            let plain = tensor.device() == Device::Cpu
                && tensor.is_contiguous()
                && matches!(
                    tensor.kind(),
                    Kind::Float | Kind::Double | Kind::BFloat16 | Kind::Int64 | Kind::Uint8
                );
            if !plain {
                let reason = format!("a {tensor:?} is not contiguous numbers on the CPU");
                return Err(TorchError::Op { what, reason });
            }
        }
        let mut raw = ptr::null_mut();
        ffi::check(what, begin(self.raw, &raw mut raw))?;
        Ok(Work {
            raw,
            what,
            timeout: self.timeout,
            parts: None,
        })
    }
}

impl ProcessGroup {
    /// Lets go of a group that has failed. Dropping it would wait for operations under way, which
    /// may take their whole timeout; this leaves them and their connections to the end of the
    /// process.
    pub fn abandon(&mut self) {
        self.abandoned = true;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.abandoned {
            return;
        }
        // SAFETY: the handle came from `sky_gloo_new` and is freed once. Operations under way end
        // first, in their own timeout.
        unsafe { ffi::sky_group_free(self.raw) }
    }
}

/// A pending collective.
#[derive(Debug)]
#[must_use = "the tensors are not ready before it has been waited for"]
pub struct Work {
    raw: *mut c_void,
    what: &'static str,
    timeout: Duration,
    parts: Option<Parts>,
}

/// What every rank sent for this one's part of a sum.
#[derive(Debug)]
struct Parts {
    sum: Tensor,
    received: Tensor,
    world_size: usize,
}

impl Parts {
    fn add(&self) -> Result<(), tch::TchError> {
        no_grad(|| {
            let mut sum = self.sum.f_view([-1])?;
            let length = sum.numel() as i64;
            sum.f_copy_(&self.received.f_narrow(0, 0, length)?)?;
            for rank in 1..self.world_size as i64 {
                let _ = sum.f_add_(&self.received.f_narrow(0, rank * length, length)?)?;
            }
            Ok(())
        })
    }
}

// SAFETY: c10d's works may be waited for on any thread, and this one has one owner.
unsafe impl Send for Work {}

impl Work {
    /// Waits for the end, at most for `limit`; whether it has come. After it has, there is nothing
    /// more to wait for.
    ///
    /// # Errors
    /// When a peer is gone.
    pub fn wait_for(&mut self, limit: Duration) -> Result<bool, TorchError> {
        let mut done = 0;
        // SAFETY: the handle is ours and alive.
        let status = unsafe { ffi::sky_work_wait(self.raw, milliseconds(limit), &raw mut done) };
        ffi::check(self.what, status)?;
        if done == 0 {
            return Ok(false);
        }
        if let Some(parts) = self.parts.take() {
            parts.add().map_err(|error| TorchError::Op {
                what: self.what,
                reason: error.to_string(),
            })?;
        }
        Ok(true)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When a peer is gone, or the operation takes longer than the group's timeout.
    pub fn wait(mut self) -> Result<(), TorchError> {
        if self.wait_for(self.timeout)? {
            return Ok(());
        }
        Err(TorchError::Op {
            what: self.what,
            reason: format!("not done after {:.1} s", self.timeout.as_secs_f64()),
        })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: the handle came from `start` and is freed once; an operation still under way
        // keeps what it needs.
        unsafe { ffi::sky_work_free(self.raw) }
    }
}
