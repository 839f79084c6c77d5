use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use sky_torch::{NcclGroup, NcclId, NcclWork, TorchError, gpu_name, nccl_id};
use tch::{Device, Tensor};

use crate::{Collective, Gloo, Pending, TrainError, distributed::heartbeat::Heartbeat};

/// How often the watch looks at what is under way.
const LOOK: Duration = Duration::from_millis(250);

/// The processes of a run with a GPU each: NCCL carries what lies on the GPUs, gloo what lies in
/// host memory (numbers that steer the run, offloaded state). Not yet run on a GPU.
///
/// The host does not wait for operations on GPUs; a thread watches them. When one takes longer than
/// the timeout, NCCL finds an error, or a rank is gone, the watch names the rank as [`Gloo`] does
/// and aborts what is under way, so that nothing waits for ever.
#[derive(Debug)]
pub struct Nccl {
    // In the order they are to be dropped.
    _watch: Watch,
    group: Arc<NcclGroup>,
    failure: Failure,
    control: Gloo,
}

type Failure = Arc<Mutex<Option<String>>>;

impl Nccl {
    /// Connects the GPUs of processes that have met already; this one computes on GPU number `gpu`.
    ///
    /// # Errors
    /// When NCCL or a GPU is missing on any rank, two ranks have the same GPU, or not all are there
    /// within `timeout`. The others get the reason.
    pub fn connect(control: Gloo, gpu: usize, timeout: Duration) -> Result<Self, TrainError> {
        match Self::connected(&control, gpu, timeout) {
            Ok(group) => {
                let (group, failure) = (Arc::new(group), Failure::default());
                let watch = Watch::start(&group, control.heartbeat(), &failure, timeout)?;
                Ok(Self {
                    _watch: watch,
                    group,
                    failure,
                    control,
                })
            }
            Err(error) => {
                if !matches!(error, TrainError::Collective { .. }) {
                    control.give_up(&error.to_string());
                }
                Err(error)
            }
        }
    }

    fn connected(control: &Gloo, gpu: usize, timeout: Duration) -> Result<NcclGroup, TrainError> {
        let (rank, world_size) = (control.rank(), control.world_size());
        one_gpu_each(control, &gpu_name(gpu)?)?;
        let id = share_id(control, || Ok(nccl_id()?))?;
        Ok(NcclGroup::connect(&id, rank, world_size, gpu, timeout)?)
    }

    /// What the processes say to each other beside tensors.
    pub fn control(&self) -> &Gloo {
        &self.control
    }

    fn check_alive(&self, what: &'static str) -> Result<(), TrainError> {
        verdict(&self.failure, what).map_or(Ok(()), Err)
    }

    fn pending(
        &self,
        what: &'static str,
        begun: Result<NcclWork, TorchError>,
    ) -> Result<Pending, TrainError> {
        let work = match begun {
            Ok(work) => work,
            Err(error) => {
                return Err(verdict(&self.failure, what).unwrap_or_else(|| {
                    let reason = self.control.heartbeat().explain(&error.to_string());
                    TrainError::Collective { what, reason }
                }));
            }
        };
        self.control.heartbeat().begin();
        let failure = Arc::clone(&self.failure);
        Ok(Pending::new(move || {
            let waited = work.wait();
            if let Some(error) = verdict(&failure, what) {
                return Err(error);
            }
            waited.map_err(|error| TrainError::Collective {
                what,
                reason: error.to_string(),
            })
        }))
    }
}

impl Collective for Nccl {
    fn rank(&self) -> usize {
        self.control.rank()
    }

    fn world_size(&self) -> usize {
        self.control.world_size()
    }

    fn all_gather_into(&self, full: &Tensor, shard: &Tensor) -> Result<Pending, TrainError> {
        const WHAT: &str = "all_gather_into";
        self.check_alive(WHAT)?;
        if full.device() == Device::Cpu {
            return self.control.all_gather_into(full, shard);
        }
        self.pending(WHAT, self.group.all_gather_into(full, shard))
    }

    fn reduce_scatter(&self, shard: &Tensor, full: &Tensor) -> Result<Pending, TrainError> {
        const WHAT: &str = "reduce_scatter";
        self.check_alive(WHAT)?;
        if full.device() == Device::Cpu {
            return self.control.reduce_scatter(shard, full);
        }
        self.pending(WHAT, self.group.reduce_scatter(shard, full))
    }

    fn all_reduce(&self, tensor: &Tensor) -> Result<Pending, TrainError> {
        const WHAT: &str = "all_reduce";
        self.check_alive(WHAT)?;
        if tensor.device() == Device::Cpu {
            return self.control.all_reduce(tensor);
        }
        self.pending(WHAT, self.group.all_reduce(tensor))
    }

    fn broadcast(&self, tensor: &Tensor, from: usize) -> Result<Pending, TrainError> {
        const WHAT: &str = "broadcast";
        self.check_alive(WHAT)?;
        if tensor.device() == Device::Cpu {
            return self.control.broadcast(tensor, from);
        }
        self.pending(WHAT, self.group.broadcast(tensor, from))
    }

    fn barrier(&self) -> Result<(), TrainError> {
        self.check_alive("barrier")?;
        self.control.barrier()
    }

    fn check(&self) -> Result<(), TrainError> {
        self.check_alive("check")?;
        self.control.check()
    }
}

/// The reason why the group has failed, if it has.
fn verdict(failure: &Failure, what: &'static str) -> Option<TrainError> {
    let failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
    failure
        .clone()
        .map(|reason| TrainError::Collective { what, reason })
}

/// Sees to it that no two ranks compute on one GPU, which NCCL would refuse without their names.
fn one_gpu_each(control: &Gloo, mine: &str) -> Result<(), TrainError> {
    let (rank, world_size) = (control.rank(), control.world_size());
    control.set(&format!("gpu/{rank}"), mine)?;
    let mut owners = HashMap::new();
    for rank in 0..world_size {
        let name = control.wait(&format!("gpu/{rank}"))?;
        if let Some(other) = owners.insert(name, rank) {
            return Err(TrainError::Launch(format!(
                "ranks {other} and {rank} have the same GPU: LOCAL_RANK must be a process's number on its host, and a host must \
                 have as many GPUs as processes"
            )));
        }
    }
    Ok(())
}

/// Rank 0 makes an id, all ranks have it.
fn share_id(
    control: &Gloo,
    make: impl FnOnce() -> Result<NcclId, TrainError>,
) -> Result<NcclId, TrainError> {
    const KEY: &str = "nccl";
    if control.rank() == 0 {
        let id = make()?;
        control.set(KEY, &sky_files::hex(&id))?;
        return Ok(id);
    }
    let text = control.wait(KEY)?;
    let byte = |i: usize| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len().div_ceil(2)).map(byte).collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| TrainError::Collective {
            what: "nccl",
            reason: "rank 0 handed out an id that is none: all ranks must run the same version of this program".into(),
        })
}

/// The thread that ends what would wait for ever.
#[derive(Debug)]
struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(
        group: &Arc<NcclGroup>,
        heartbeat: &Arc<Heartbeat>,
        failure: &Failure,
        timeout: Duration,
    ) -> Result<Self, TrainError> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (group, heartbeat, failure) = (
            Arc::clone(group),
            Arc::clone(heartbeat),
            Arc::clone(failure),
        );
        let watch = move || {
            while stopped.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                let Some(stuck) = group.stuck_for() else {
                    continue;
                };
                let reason = if let Some(error) = group.error() {
                    heartbeat.explain(&error)
                } else if let Some(reason) = heartbeat.verdict() {
                    reason
                } else if stuck > timeout {
                    heartbeat.timed_out(timeout)
                } else {
                    continue;
                };
                // Before the abort, which wakes the waiting host thread: it must find the reason.
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
                group.abort();
                heartbeat.give_up(&reason);
                return;
            }
        };
        let thread = thread::Builder::new()
            .name("nccl watch".into())
            .spawn(watch);
        let thread = thread.map_err(|error| TrainError::Thread {
            what: "nccl watch",
            reason: error.to_string(),
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Its panic, if there ever were one, has been printed already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::distributed::gloo::tests::on_ranks;

    const TIMEOUT: Duration = Duration::from_secs(20);

    #[test]
    fn every_rank_has_the_id_that_rank_0_made() {
        let made: NcclId = std::array::from_fn(|i| (i * 7 + 251) as u8);
        let ids = on_ranks(TIMEOUT, 3, |gloo| {
            let id = share_id(&gloo, || Ok(made)).unwrap();
            gloo.exit_barrier().unwrap();
            id
        });
        assert_eq!(ids, [made; 3]);
    }

    #[test]
    fn when_rank_0_cannot_make_one_the_others_hear_why() {
        let errors = on_ranks(TIMEOUT, 2, |gloo| {
            let id = share_id(&gloo, || Err(TrainError::Launch("no libnccl here".into())));
            let error = id.unwrap_err().to_string();
            if gloo.rank() == 0 {
                gloo.give_up(&error);
            }
            error
        });
        assert!(
            errors[1].contains("rank 0 failed: no libnccl here"),
            "{errors:?}"
        );
    }

    #[test]
    fn two_ranks_on_one_gpu_are_named() {
        let errors = on_ranks(TIMEOUT, 3, |gloo| {
            let name = ["GPU-a", "GPU-b", "GPU-a"][gloo.rank()];
            let found = one_gpu_each(&gloo, name).unwrap_err().to_string();
            gloo.exit_barrier().unwrap();
            found
        });
        for error in errors {
            assert!(error.contains("ranks 0 and 2 have the same GPU"), "{error}");
        }
    }

    #[test]
    fn a_rank_without_a_gpu_ends_all_of_them_with_its_reason() {
        let errors = on_ranks(TIMEOUT, 2, |gloo| {
            Nccl::connect(gloo, 99, TIMEOUT).unwrap_err().to_string()
        });
        for error in errors {
            assert!(
                error.contains("libcuda") || error.contains("GPU"),
                "{error}"
            );
        }
    }
}
