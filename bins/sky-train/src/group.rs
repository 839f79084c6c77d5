//! The processes of a training run: one, or those that a launcher started.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use sky_cli::Invalid;
use sky_train::{Checkpoint, Collective, Gloo, Job, Nccl, Ranks, Solo, TrainConfig, TrainError};
use tch::Device;

/// This process's part in a run.
pub(crate) struct Group {
    ranks: Option<(Ranks, Peers)>,
    device: Device,
}

/// The other processes.
enum Peers {
    OnCpus(Gloo),
    OnGpus(Nccl),
}

impl Peers {
    fn gloo(&self) -> &Gloo {
        match self {
            Self::OnCpus(gloo) => gloo,
            Self::OnGpus(nccl) => nccl.control(),
        }
    }
}

impl Group {
    /// Meets the other processes, when there are others. With `cuda` each has a GPU of its own.
    pub(crate) fn join(
        ranks: Option<Ranks>,
        config: &TrainConfig,
        cuda: bool,
    ) -> anyhow::Result<Self> {
        let timeout = Duration::from_secs(config.collective_timeout);
        let local_rank = ranks.as_ref().map_or(0, |ranks| ranks.local_rank);
        let gpu = cuda
            .then(|| sky_torch::gpu_for(local_rank, tch::Cuda::device_count().max(0) as usize))
            .transpose()
            .map_err(|error| Invalid(error.to_string()))?;
        let ranks = ranks
            .map(|ranks| {
                let peers = Self::meet(&ranks, timeout, gpu);
                let peers = peers.with_context(|| format!("rank {}", ranks.rank))?;
                Ok::<_, anyhow::Error>((ranks, peers))
            })
            .transpose()?;
        Ok(Self {
            ranks,
            device: gpu.map_or(Device::Cpu, Device::Cuda),
        })
    }

    fn meet(ranks: &Ranks, timeout: Duration, gpu: Option<usize>) -> anyhow::Result<Peers> {
        const KEY: &str = "computes on";
        let gloo = Gloo::connect(ranks, timeout)?;
        let mine = if gpu.is_some() { "a GPU" } else { "a CPU" };
        // One that waits for GPUs and one that does not would wait for each other.
        gloo.tell(&format!("{KEY}/{}", ranks.rank), mine)?;
        for peer in 0..ranks.world {
            let theirs = gloo.hear(&format!("{KEY}/{peer}"))?;
            if theirs != mine {
                let said = format!(
                    "rank {peer} computes on {theirs}, rank {} on {mine}: give all of them GPUs, or hide these with CUDA_VISIBLE_DEVICES= (set to nothing)",
                    ranks.rank
                );
                gloo.give_up(&said);
                return Err(Invalid(said).into());
            }
        }
        Ok(match gpu {
            Some(gpu) => Peers::OnGpus(Nccl::connect(gloo, gpu, timeout)?),
            None => Peers::OnCpus(gloo),
        })
    }

    pub(crate) fn comm(&self) -> &dyn Collective {
        match &self.ranks {
            None => &Solo,
            Some((_, Peers::OnCpus(gloo))) => gloo,
            Some((_, Peers::OnGpus(nccl))) => nccl,
        }
    }

    fn others(&self) -> Option<(&Ranks, &Gloo)> {
        self.ranks
            .as_ref()
            .map(|(ranks, peers)| (ranks, peers.gloo()))
    }

    /// Whether this is rank 0, which speaks and writes for all.
    pub(crate) fn leads(&self) -> bool {
        self.comm().rank() == 0
    }

    /// Threads for this process where the settings leave it open; 0 for all cores.
    pub(crate) fn threads(&self) -> usize {
        self.ranks
            .as_ref()
            .map_or(0, |(ranks, _)| ranks.share_of_cores())
    }

    /// What this process trains on.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// Runs `lead` on rank 0, and `follow` on the others once `lead` has called what it is given; they do nothing when it
    /// never does, because there is nothing to do. None ends well before `lead` has. A rank that fails tells the others.
    pub(crate) fn together(
        &self,
        lead: impl FnOnce(&dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<()>,
        follow: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        const KEY: &str = "stage";
        const OVER: &str = "stage over";
        let Some((ranks, gloo)) = self.others() else {
            return lead(&|| Ok(()));
        };
        let done = if ranks.rank == 0 {
            let begun = std::cell::Cell::new(false);
            let done = lead(&|| {
                begun.set(true);
                Ok(gloo.tell(KEY, "begin")?)
            });
            done.and_then(|()| Ok(gloo.tell(if begun.get() { OVER } else { KEY }, "done")?))
        } else {
            match gloo.hear(KEY) {
                Ok(word) if word == "begin" => {
                    follow().and_then(|()| Ok(gloo.hear(OVER).map(drop)?))
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        let done = done.and_then(|()| match self.leave() {
            // All is done and written: one that is lost now has nothing to say.
            Err(_) if self.leads() => Ok(()),
            left => left,
        });
        done.map_err(|error| {
            if error.is::<crate::train::Stopped>() {
                return error;
            }
            let told = error
                .downcast_ref::<TrainError>()
                .is_some_and(TrainError::is_collective);
            if !told {
                // Contexts may say nothing of their own.
                let causes = error.chain().map(ToString::to_string);
                let causes: Vec<String> = causes.filter(|cause| !cause.is_empty()).collect();
                gloo.give_up(&causes.join(": "));
            }
            error.context(format!("rank {}", ranks.rank))
        })
    }

    /// Sees to it that all ranks train the same model on the same data with the same settings.
    pub(crate) fn same_everywhere(&self, job: &Job) -> anyhow::Result<()> {
        let Some((ranks, gloo)) = self.others() else {
            return Ok(());
        };
        let ours = [
            ("settings in [train]", job.config.of_all_ranks().to_string()),
            ("model", job.model.to_json().to_string()),
            ("data", job.data.id().sha256.clone()),
            ("seed", job.seed.to_string()),
        ];
        for (what, value) in ours {
            if ranks.rank == 0 {
                gloo.tell(what, &value)?;
            } else if gloo.hear(what)? != value {
                bail!("this rank and rank 0 have different {what}");
            }
        }
        Ok(())
    }

    /// The checkpoint to go on from: rank 0, which knows the run's `origin`, finds the newest good one, the others open the
    /// same.
    pub(crate) fn newest_checkpoint(
        &self,
        root: &Path,
        origin: Option<&str>,
    ) -> anyhow::Result<Option<Checkpoint>> {
        const KEY: &str = "checkpoint";
        if let Some((ranks, gloo)) = self.others()
            && ranks.rank > 0
        {
            let name = gloo.hear(KEY)?;
            if name.is_empty() {
                return Ok(None);
            }
            let path = root.join(name);
            return Ok(Some(
                Checkpoint::reopen(&path)
                    .context("the run folder must be the same for all ranks")?,
            ));
        }
        let found = Checkpoint::newest(root, &mut |line| eprintln!("train: {line}"))?;
        if let Some(found) = &found
            && let (Some(theirs), Some(ours)) = (found.state().origin.as_deref(), origin)
            && theirs != ours
        {
            return Err(TrainError::OtherRun {
                path: found.path().into(),
                what: "model files or data".into(),
            }
            .into());
        }
        if let Some((_, gloo)) = self.others() {
            let name = found.as_ref().and_then(|found| found.path().file_name());
            gloo.tell(KEY, &name.unwrap_or_default().to_string_lossy())?;
        }
        Ok(found)
    }

    /// The end of what the ranks do together.
    pub(crate) fn leave(&self) -> anyhow::Result<()> {
        if let Some((_, gloo)) = self.others() {
            gloo.leave()?;
        }
        Ok(())
    }
}
