//! Whether this machine's memory holds a run, before it begins.

use sky_cli::Invalid;
use sky_train::{
    CpuPlan, CpuPlanInput, Gpu, Hardware, ModelShape, Order, Plan, PlanInput, Ranks, SettingPlan,
    TrainConfig, host_memory,
};

use crate::{plan::words, size::DataSize};

/// This process's plan on this machine's CPUs; nothing where the system does not say how much memory it has.
pub(crate) fn plan(
    shape: &ModelShape,
    config: &TrainConfig,
    ranks: Option<&Ranks>,
    size: Option<&DataSize>,
) -> Option<(CpuPlan, u64)> {
    let memory = host_memory()?;
    // Where the data is not known, nothing is assumed that would make a run larger than it may be.
    let rows = size.map_or(1, |size| config.training_rows(size.rows));
    let longest = size.map_or(1, |size| size.longest.unwrap_or(size.tokens_per_row as u64));
    let plan = CpuPlan::new(&CpuPlanInput {
        shape,
        config,
        world: ranks.map_or(1, |ranks| ranks.world as u64),
        local_world: ranks
            .and_then(|ranks| ranks.local_world)
            .map_or(1, |n| n as u64),
        longest: longest.min(config.cutoff as u64),
        steps: Order::new(config, rows as usize, 0).steps(),
        memory,
    });
    Some((plan, memory))
}

/// Refuses a run that the plan says cannot fit.
///
/// # Errors
/// With what it needs, what there is, and the one knob that would make it fit.
pub(crate) fn check(
    shape: &ModelShape,
    config: &TrainConfig,
    ranks: Option<&Ranks>,
    size: Option<&DataSize>,
) -> anyhow::Result<()> {
    let Some((plan, memory)) = plan(shape, config, ranks, size) else {
        return Ok(());
    };
    let Some(advice) = plan.advice else {
        return Ok(());
    };
    let gb = |bytes: u64| format!("{:.1}", bytes as f64 / 1e9);
    let one = plan.rank_bytes;
    let each = match plan.host_bytes / one.total.max(1) {
        1 => String::new(),
        n => format!("{n} processes, each "),
    };
    Err(Invalid(format!(
        "this run needs about {} GB of memory and this machine has {} ({each}parameters {}, gradients {}, optimizer {}, \
         copy for checkpoints {}, activations {}, buffers {}, process {}): {advice}, or start it all the same with --overcommit",
        gb(plan.host_bytes),
        gb(memory),
        gb(one.parameters),
        gb(one.gradients),
        gb(one.optimizer),
        gb(one.checkpoint),
        gb(one.activations),
        gb(one.buffers),
        gb(one.process),
    ))
    .into())
}

/// The machine that a process on a GPU finds itself on.
pub(crate) struct GpuHost {
    /// Bytes of one GPU.
    pub(crate) gpu: u64,
    /// Bytes of the host.
    pub(crate) host: u64,
    /// GPUs of the run.
    pub(crate) world: u64,
    /// Of these, on this host.
    pub(crate) local: u64,
}

impl GpuHost {
    /// This one; nothing where it does not say how much memory it has.
    pub(crate) fn here(ranks: Option<&Ranks>) -> Option<Self> {
        let index = ranks.map_or(0, |ranks| ranks.local_rank);
        let count = usize::try_from(tch::Cuda::device_count()).ok()?;
        let (_, gpu) = sky_torch::gpu_memory(sky_torch::gpu_for(index, count).ok()?).ok()?;
        let world = ranks.map_or(1, |ranks| ranks.world);
        Some(Self {
            gpu,
            host: host_memory()?,
            world: world as u64,
            local: ranks.and_then(|ranks| ranks.local_world).unwrap_or(world) as u64,
        })
    }

    /// Refuses a run on GPUs that the plan says cannot fit.
    ///
    /// # Errors
    /// With what it needs, what there is, and what would make it fit.
    pub(crate) fn check(
        &self,
        shape: &ModelShape,
        config: &TrainConfig,
        size: &DataSize,
    ) -> anyhow::Result<()> {
        let hardware = Hardware::builtin()?;
        let Some(known) = hardware.gpu.values().next() else {
            return Ok(());
        };
        // Memory alone is asked for; speed and price are another GPU's.
        let gpu = Gpu {
            memory: self.gpu as f64,
            ..known.clone()
        };
        // No micro-batch is longer than its batch's rows together.
        let longest = size.longest.unwrap_or(u64::MAX).max(1);
        let longest = usize::try_from(longest).unwrap_or(usize::MAX);
        let batch = longest.saturating_mul(config.global_batch);
        let config = &TrainConfig {
            cutoff: config.cutoff.min(longest),
            micro_batch_tokens: config.micro_batch_tokens.min(batch),
            ..config.clone()
        };
        let input = PlanInput {
            shape,
            config,
            gpus: self.world,
            hosts: self.world.div_ceil(self.local.max(1)),
            gpu: &gpu,
            hardware: &hardware,
            host_memory: self.host,
            dollars_per_gpu_hour: 0.0,
            rows: size.rows,
            tokens_per_row: size.tokens_per_row,
        };
        let set = SettingPlan::as_set(&input).map_err(|error| Invalid(error.to_string()))?;
        if set.fits {
            return Ok(());
        }
        let plan = Plan::new(&input)?;
        let advice = plan.advice.map_or_else(
            || format!("it would with: {} (train.offload, train.activation_checkpointing, train.offload_activations)", words(plan.best.setting)),
            |advice| format!("{advice}, with: {}", words(plan.best.setting)),
        );
        let gb = |bytes: u64| format!("{:.1}", bytes as f64 / 1e9);
        let (gpu, host) = (set.gpu_bytes, set.host_bytes);
        Err(Invalid(format!(
            "by the plan this run ({}) needs {} GB of each GPU, which has {} (parameters {}, gradients {}, optimizer {}, activations {}, \
             buffers {}, reserve {}), and {} GB of this host's {}: {advice}; or start it all the same with --overcommit",
            words(set.setting),
            gb(gpu.total),
            gb(self.gpu),
            gb(gpu.parameters),
            gb(gpu.gradients),
            gb(gpu.optimizer),
            gb(gpu.activations),
            gb(gpu.buffers),
            gb(gpu.reserve),
            gb(host.total),
            gb(self.host),
        ))
        .into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sky_train::Offload;

    use super::*;

    const SIZE: DataSize = DataSize {
        rows: 16_401,
        tokens_per_row: 4096.0,
        longest: None,
        source: "",
    };

    fn refusal(world: u64, local: u64, offload: Offload) -> Option<String> {
        let config = TrainConfig {
            offload,
            ..TrainConfig::default()
        };
        refused(world, local, &config)
    }

    fn refused(world: u64, local: u64, config: &TrainConfig) -> Option<String> {
        let host = GpuHost {
            gpu: 80_000_000_000,
            host: 1_800_000_000_000,
            world,
            local,
        };
        let shape = ModelShape::known("Qwen2.5-32B-Instruct").unwrap();
        let found = host.check(&shape, config, &SIZE).err()?;
        assert!(found.is::<Invalid>());
        Some(found.to_string())
    }

    #[test]
    fn a_run_on_gpus_that_cannot_fit_is_refused_with_what_would() {
        assert_eq!(refusal(8, 8, Offload::Optimizer), None);
        // Below stage 1 each of eight ranks keeps the whole state in this host's memory.
        let below = TrainConfig {
            offload: Offload::Optimizer,
            zero_stage: 0,
            ..TrainConfig::default()
        };
        let text = refused(8, 8, &below).unwrap();
        assert!(text.contains("zero_stage = 3"), "{text}");
        let whole = refusal(8, 8, Offload::None).unwrap();
        assert!(whole.contains("of each GPU, which has 80.0"), "{whole}");
        assert!(
            whole.contains("it would with: optimizer offloaded"),
            "{whole}"
        );
        // Half of the optimizer on each of two hosts: what one holds of it is half.
        assert_eq!(refusal(16, 8, Offload::None), None);
        let alone = refusal(1, 1, Offload::OptimizerAndParameters);
        assert!(alone.is_none_or(|text| text.contains("--overcommit")));
    }
}
