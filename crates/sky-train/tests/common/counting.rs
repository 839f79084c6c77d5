use std::sync::atomic::{AtomicU64, Ordering};

use sky_model::Config;
use sky_plan::{Collectives, TrainConfig};
use sky_train::{Collective, Gloo, Pending, TrainError, Trainer};
use tch::{Device, Tensor};

use super::{initial, job};

/// A rank's first step: its micro-batches over all ranks, what it asked of the group, and the bytes
/// it keeps.
pub(crate) fn one_step(
    model: &Config,
    config: &TrainConfig,
    gloo: &Gloo,
) -> (u64, Collectives, u64) {
    let comm = Counting::new(gloo);
    let job = job(model, config, 4);
    let mut trainer = Trainer::new(job, Device::Cpu, &comm, &mut |p| Ok(initial(p))).unwrap();
    comm.take();
    let metrics = trainer.train_step().unwrap();
    (metrics.micro_batches, comm.take(), trainer.state_bytes())
}

/// Counts what is asked of a group.
struct Counting<'a> {
    inner: &'a Gloo,
    gathers: AtomicU64,
    scatters: AtomicU64,
    all_reduces: AtomicU64,
}

impl<'a> Counting<'a> {
    fn new(inner: &'a Gloo) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            inner,
            gathers: zero(),
            scatters: zero(),
            all_reduces: zero(),
        }
    }

    fn take(&self) -> Collectives {
        let of = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Collectives {
            gathers: of(&self.gathers),
            scatters: of(&self.scatters),
            all_reduces: of(&self.all_reduces),
        }
    }
}

impl Collective for Counting<'_> {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn world_size(&self) -> usize {
        self.inner.world_size()
    }

    fn all_gather_into(&self, full: &Tensor, shard: &Tensor) -> Result<Pending, TrainError> {
        self.gathers.fetch_add(1, Ordering::Relaxed);
        self.inner.all_gather_into(full, shard)
    }

    fn reduce_scatter(&self, shard: &Tensor, full: &Tensor) -> Result<Pending, TrainError> {
        self.scatters.fetch_add(1, Ordering::Relaxed);
        self.inner.reduce_scatter(shard, full)
    }

    fn all_reduce(&self, tensor: &Tensor) -> Result<Pending, TrainError> {
        // Loss, norm: single numbers.
        let block = u64::from(tensor.numel() > 1);
        self.all_reduces.fetch_add(block, Ordering::Relaxed);
        self.inner.all_reduce(tensor)
    }

    fn broadcast(&self, tensor: &Tensor, from: usize) -> Result<Pending, TrainError> {
        self.inner.broadcast(tensor, from)
    }

    fn barrier(&self) -> Result<(), TrainError> {
        self.inner.barrier()
    }
}
