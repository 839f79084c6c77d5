//! Whether this host's memory holds a run, by the plan, before it begins.

use sky_plan::{
    BatchSampler, CpuPlan, CpuPlanInput, DataSize, Gpu, Hardware, ModelShape, Plan, PlanInput,
    SettingPlan, TrainConfig, host_memory,
};

use crate::{DistributedEnv, TrainError};

/// Refuses a run that does not fit into this host's memory by the plan. Every run passes where the
/// host does not say how much it has, and on a GPU host while the size of the data is not known.
///
/// # Errors
/// [`TrainError::DoesNotFit`] with what the run needs, what there is, and a setting that would make
/// it fit.
pub fn check_memory(
    shape: &ModelShape,
    config: &TrainConfig,
    env: Option<&DistributedEnv>,
    size: Option<&DataSize>,
    on_gpu: bool,
) -> Result<(), TrainError> {
    if !on_gpu {
        return check_cpu_memory(shape, config, env, size);
    }
    match (size, GpuHost::detect(env)) {
        (Some(size), Some(host)) => host.check_memory(shape, config, size),
        _ => Ok(()),
    }
}

/// A plan on CPUs and the host that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// This process's plan.
    pub plan: CpuPlan,
    /// The host's memory in bytes.
    pub memory: u64,
}

/// This process's plan on this host's CPUs; nothing where the host does not say how much memory it
/// has.
pub fn plan_on_cpus(
    shape: &ModelShape,
    config: &TrainConfig,
    env: Option<&DistributedEnv>,
    size: Option<&DataSize>,
) -> Option<HostPlan> {
    let memory = host_memory()?;
    // Where the data is not known, nothing is assumed that would make a run larger than it may be.
    let rows = size.map_or(1, |size| config.training_rows(size.rows));
    let longest = size.map_or(1, |size| size.longest.unwrap_or(size.tokens_per_row as u64));
    let plan = CpuPlan::new(&CpuPlanInput {
        shape,
        config,
        world_size: env.map_or(1, |env| env.world_size as u64),
        local_world_size: env
            .and_then(|env| env.local_world_size)
            .map_or(1, |ranks| ranks as u64),
        longest: longest.min(config.cutoff as u64),
        steps: BatchSampler::new(config, rows as usize, 0).steps(),
        memory,
    });
    Some(HostPlan { plan, memory })
}

fn check_cpu_memory(
    shape: &ModelShape,
    config: &TrainConfig,
    env: Option<&DistributedEnv>,
    size: Option<&DataSize>,
) -> Result<(), TrainError> {
    let Some(HostPlan { plan, memory }) = plan_on_cpus(shape, config, env, size) else {
        return Ok(());
    };
    let Some(advice) = plan.advice else {
        return Ok(());
    };
    let one = plan.rank_bytes;
    let each = match plan.host_bytes / one.total.max(1) {
        1 => String::new(),
        n => format!("{n} processes, each "),
    };
    Err(TrainError::DoesNotFit(format!(
        "this run needs about {} GB of memory and this machine has {} ({each}parameters {}, gradients {}, optimizer {}, \
         copy for checkpoints {}, activations {}, buffers {}, process {}): {advice}",
        gb(plan.host_bytes),
        gb(memory),
        gb(one.parameters),
        gb(one.gradients),
        gb(one.optimizer),
        gb(one.checkpoint),
        gb(one.activations),
        gb(one.buffers),
        gb(one.process),
    )))
}

/// The host of a rank that trains on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuHost {
    /// Bytes of one GPU.
    pub gpu: u64,
    /// Bytes of the host.
    pub host: u64,
    /// GPUs of the run.
    pub world_size: u64,
    /// Of these, on this host.
    pub local_world_size: u64,
}

impl GpuHost {
    /// This host; nothing where it does not say how much memory it or its GPU has.
    pub fn detect(env: Option<&DistributedEnv>) -> Option<Self> {
        let index = env.map_or(0, |env| env.local_rank);
        let count = usize::try_from(tch::Cuda::device_count()).ok()?;
        let ordinal = sky_torch::gpu_for(index, count).ok()?;
        let world_size = env.map_or(1, |env| env.world_size);
        Some(Self {
            gpu: sky_torch::gpu_memory(ordinal).ok()?.total,
            host: host_memory()?,
            world_size: world_size as u64,
            local_world_size: env
                .and_then(|env| env.local_world_size)
                .unwrap_or(world_size) as u64,
        })
    }

    /// Refuses a run that does not fit by the plan.
    ///
    /// # Errors
    /// [`TrainError::DoesNotFit`] with what the run needs, what there is, and a setting that would
    /// fit.
    pub fn check_memory(
        &self,
        shape: &ModelShape,
        config: &TrainConfig,
        size: &DataSize,
    ) -> Result<(), TrainError> {
        let hardware = Hardware::builtin()?;
        let Some(known) = hardware.gpu.values().next() else {
            return Ok(());
        };
        // The plan's memory alone is read; its speed and price are those of another GPU.
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
            gpus: self.world_size,
            hosts: self.world_size.div_ceil(self.local_world_size.max(1)),
            gpu: &gpu,
            hardware: &hardware,
            host_memory: self.host,
            dollars_per_gpu_hour: 0.0,
            rows: size.rows,
            tokens_per_row: size.tokens_per_row,
        };
        let set = SettingPlan::as_set(&input)?;
        if set.fits {
            return Ok(());
        }
        let plan = Plan::new(&input)?;
        let best = plan.best.setting;
        let advice = plan.advice.map_or_else(
            || format!("it would with: {best} (train.offload, train.activation_checkpointing, train.offload_activations)"),
            |advice| format!("{advice}, with: {best}"),
        );
        Err(self.refusal(&set, &advice))
    }

    fn refusal(&self, set: &SettingPlan, advice: &str) -> TrainError {
        let (gpu, host) = (set.gpu_bytes, set.host_bytes);
        TrainError::DoesNotFit(format!(
            "by the plan this run ({}) needs {} GB of each GPU, which has {} (parameters {}, gradients {}, optimizer {}, activations {}, \
             buffers {}, reserve {}), and {} GB of this host's {}: {advice}",
            set.setting,
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
    }
}

fn gb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e9)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sky_plan::Offload;

    use super::*;

    const SIZE: DataSize = DataSize {
        rows: 16_401,
        tokens_per_row: 4096.0,
        longest: None,
    };

    fn refusal(world_size: u64, local_world_size: u64, offload: Offload) -> Option<String> {
        let config = TrainConfig {
            offload,
            ..TrainConfig::default()
        };
        refused(world_size, local_world_size, &config)
    }

    fn refused(world_size: u64, local_world_size: u64, config: &TrainConfig) -> Option<String> {
        let host = GpuHost {
            gpu: 80_000_000_000,
            host: 1_800_000_000_000,
            world_size,
            local_world_size,
        };
        let shape = ModelShape::known("Qwen2.5-32B-Instruct").unwrap();
        let error = host.check_memory(&shape, config, &SIZE).err()?;
        assert!(matches!(error, TrainError::DoesNotFit(_)), "{error}");
        Some(error.to_string())
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
        // One GPU holds the run once weights and optimizer are both in host memory, and not before.
        assert_eq!(refusal(1, 1, Offload::OptimizerAndParameters), None);
        assert!(refusal(1, 1, Offload::Optimizer).is_some());
    }
}
