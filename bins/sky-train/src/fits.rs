//! Whether this machine's memory holds a run, before it begins.

use sky_cli::Invalid;
use sky_train::{CpuPlan, CpuPlanInput, ModelShape, Order, Ranks, TrainConfig, host_memory};

use crate::size::DataSize;

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
