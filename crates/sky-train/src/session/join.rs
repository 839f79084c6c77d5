use std::{cell::Cell, fmt, time::Duration};

use sky_plan::TrainConfig;
use tch::Device;

use crate::{Collective, DistributedEnv, Gloo, Nccl, SingleProcess, TrainError};

/// How a process takes part in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// How long a rank waits for another one.
    pub timeout: Duration,
    /// Threads of this process; 0 for its share of the host's cores.
    pub threads: usize,
    /// Whether each rank trains on a GPU of its own. [`sky_torch::load_cuda`] says whether this
    /// host has any.
    pub cuda: bool,
}

impl SessionConfig {
    /// Timeout and threads as the recipe's `[train]` has them, on CPUs.
    pub fn new(config: &TrainConfig) -> Self {
        Self {
            timeout: Duration::from_secs(config.collective_timeout),
            threads: config.threads,
            cuda: false,
        }
    }

    /// With a GPU for each rank, or without.
    #[must_use]
    pub fn with_cuda(mut self, cuda: bool) -> Self {
        self.cuda = cuda;
        self
    }
}

/// This process's part in a run of one or several ranks.
///
/// Every rank calls the same methods in the same order: most of them exchange something with the
/// other ranks.
pub struct Session {
    group: Option<Group>,
    device: Device,
    /// Exchanges so far: each one has store keys of its own.
    rounds: Cell<u64>,
}

/// The run's ranks, when there are several.
struct Group {
    env: DistributedEnv,
    peers: Peers,
}

/// The other ranks' process group.
enum Peers {
    OnCpus(Gloo),
    OnGpus(Nccl),
}

impl Peers {
    /// The group that carries control messages; on GPUs it is beside the one that carries tensors.
    fn gloo(&self) -> &Gloo {
        match self {
            Self::OnCpus(gloo) => gloo,
            Self::OnGpus(nccl) => nccl.control(),
        }
    }
}

impl Session {
    /// Joins the other ranks, and sets the number of threads. Without `env` this process is the
    /// only rank.
    ///
    /// # Errors
    /// [`TrainError::Launch`] when this host has too few GPUs, or some ranks have GPUs and others
    /// do not; else when a rank does not join within the timeout.
    pub fn join(env: Option<DistributedEnv>, config: &SessionConfig) -> Result<Self, TrainError> {
        let _span = tracing::info_span!("join_ranks").entered();
        super::launcher::end_with_launcher()?;
        let local_rank = env.as_ref().map_or(0, |env| env.local_rank);
        let gpu = config
            .cuda
            .then(|| sky_torch::gpu_for(local_rank, tch::Cuda::device_count().max(0) as usize))
            .transpose()
            .map_err(|error| TrainError::Launch(error.to_string()))?;
        let group = env
            .map(|env| {
                let peers = meet(&env, config.timeout, gpu)?;
                Ok::<_, TrainError>(Group { env, peers })
            })
            .transpose()?;
        sky_torch::set_threads(match config.threads {
            0 => group.as_ref().map_or(0, |group| group.env.share_of_cores()),
            threads => threads,
        });
        Ok(Self {
            group,
            device: gpu.map_or(Device::Cpu, Device::Cuda),
            rounds: Cell::new(0),
        })
    }

    /// The process group that tensors travel over.
    pub fn comm(&self) -> &dyn Collective {
        match self.group.as_ref().map(|group| &group.peers) {
            None => &SingleProcess,
            Some(Peers::OnCpus(gloo)) => gloo,
            Some(Peers::OnGpus(nccl)) => nccl,
        }
    }

    /// This process's rank, from 0.
    pub fn rank(&self) -> usize {
        self.comm().rank()
    }

    /// Whether this is rank 0, which reports and writes for all ranks.
    pub fn is_leader(&self) -> bool {
        self.rank() == 0
    }

    /// The device that this process trains on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The environment of this rank, when there are several.
    pub fn env(&self) -> Option<&DistributedEnv> {
        self.group.as_ref().map(|group| &group.env)
    }

    pub(super) fn control(&self) -> Option<&Gloo> {
        self.group.as_ref().map(|group| group.peers.gloo())
    }

    /// Store keys of the next exchange. All ranks call the same methods in the same order, so their
    /// numbers agree.
    pub(super) fn next_keys(&self) -> Keys {
        let round = self.rounds.get();
        self.rounds.set(round + 1);
        Keys(round)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("env", &self.env())
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// Names of one exchange's keys in the store.
pub(super) struct Keys(u64);

impl Keys {
    pub(super) fn of(&self, what: &str) -> String {
        format!("{}/{what}", self.0)
    }
}

/// Joins the process group, and checks that all ranks compute on the same kind of device.
fn meet(env: &DistributedEnv, timeout: Duration, gpu: Option<usize>) -> Result<Peers, TrainError> {
    const KEY: &str = "device";
    let gloo = Gloo::connect(env, timeout)?;
    let mine = if gpu.is_some() { "a GPU" } else { "a CPU" };
    // A rank that waits in a collective of GPUs and one that waits in one of CPUs would wait for
    // each other.
    gloo.set(&format!("{KEY}/{}", env.rank), mine)?;
    for peer in 0..env.world_size {
        let theirs = gloo.wait(&format!("{KEY}/{peer}"))?;
        if theirs != mine {
            let reason = format!(
                "rank {peer} computes on {theirs}, rank {} on {mine}: give all of them GPUs, or hide these with CUDA_VISIBLE_DEVICES= (set to nothing)",
                env.rank
            );
            gloo.give_up(&reason);
            return Err(TrainError::Launch(reason));
        }
    }
    Ok(match gpu {
        Some(gpu) => Peers::OnGpus(Nccl::connect(gloo, gpu, timeout)?),
        None => Peers::OnCpus(gloo),
    })
}
