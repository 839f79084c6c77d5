//! The processes of a training run: one, or those that a launcher started.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use sky_cli::Invalid;
use sky_train::{Checkpoint, Collective, Gloo, Job, Ranks, Solo, TrainConfig, TrainError};
use tch::Device;

/// This process's part in a run.
pub(crate) struct Group {
    ranks: Option<(Ranks, Gloo)>,
}

impl Group {
    /// Meets the other processes, when there are others.
    pub(crate) fn join(ranks: Option<Ranks>, config: &TrainConfig) -> anyhow::Result<Self> {
        let timeout = Duration::from_secs(config.collective_timeout);
        let ranks = ranks
            .map(|ranks| {
                let gloo = Gloo::connect(&ranks, timeout)
                    .with_context(|| format!("rank {}", ranks.rank))?;
                Ok::<_, anyhow::Error>((ranks, gloo))
            })
            .transpose()?;
        Ok(Self { ranks })
    }

    pub(crate) fn comm(&self) -> &dyn Collective {
        self.ranks.as_ref().map_or(&Solo, |(_, gloo)| gloo)
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
    pub(crate) fn device(&self, cuda: bool) -> anyhow::Result<Device> {
        match (&self.ranks, cuda) {
            (_, false) => Ok(Device::Cpu),
            (None, true) => Ok(Device::Cuda(0)),
            (Some(_), true) => Err(Invalid(
                "several processes train on CPUs alone so far: set CUDA_VISIBLE_DEVICES= (to nothing) to hide the GPUs"
                    .into(),
            )
            .into()),
        }
    }

    /// Runs `lead` on rank 0, and `follow` on the others once `lead` has called what it is given; they do nothing when it
    /// never does, because there is nothing to do. A rank that fails tells the others.
    pub(crate) fn together(
        &self,
        lead: impl FnOnce(&dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<()>,
        follow: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        const KEY: &str = "stage";
        let Some((ranks, gloo)) = &self.ranks else {
            return lead(&|| Ok(()));
        };
        let done = if ranks.rank == 0 {
            let begun = std::cell::Cell::new(false);
            let done = lead(&|| {
                begun.set(true);
                Ok(gloo.tell(KEY, "begin")?)
            });
            if done.is_ok() && !begun.get() {
                gloo.tell(KEY, "done").and_then(|()| gloo.leave())?;
            }
            done
        } else {
            match gloo.hear(KEY) {
                Ok(word) if word == "begin" => follow(),
                Ok(_) => gloo.leave().map_err(Into::into),
                Err(error) => Err(error.into()),
            }
        };
        done.map_err(|error| {
            if error.is::<crate::train::Stopped>() {
                return error;
            }
            let told = matches!(
                error.downcast_ref::<TrainError>(),
                Some(TrainError::Collective { .. })
            );
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
        let Some((ranks, gloo)) = &self.ranks else {
            return Ok(());
        };
        let ours = [
            ("settings in [train]", job.config.essence().to_string()),
            ("ZeRO stage", job.config.zero_stage.to_string()),
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

    /// The checkpoint to go on from: rank 0 finds the newest good one, the others open the same.
    pub(crate) fn newest_checkpoint(&self, root: &Path) -> anyhow::Result<Option<Checkpoint>> {
        const KEY: &str = "checkpoint";
        if let Some((ranks, gloo)) = &self.ranks
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
        if let Some((_, gloo)) = &self.ranks {
            let name = found.as_ref().and_then(|found| found.path().file_name());
            gloo.tell(KEY, &name.unwrap_or_default().to_string_lossy())?;
        }
        Ok(found)
    }

    /// The end of what the ranks do together.
    pub(crate) fn leave(&self) -> anyhow::Result<()> {
        if let Some((_, gloo)) = &self.ranks {
            gloo.leave()?;
        }
        Ok(())
    }
}
