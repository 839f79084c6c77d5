//! The estimate that a dry run of `sky-train train` prints.

use std::{path::Path, thread};

use sky_cli::{Recipe, StageEstimate};
use sky_plan::{
    ActivationCheckpointing, BatchSampler, Hardware, HardwareConfig, ModelShape, TrainConfig,
};
use sky_train::{
    DistributedEnv,
    session::{HostPlan, plan_on_cpus},
};

use crate::{plan::Planned, size::KnownSize};

/// The inputs of an estimate.
pub(crate) struct EstimateInput<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) config: &'a TrainConfig,
    pub(crate) shape: &'a ModelShape,
    pub(crate) env: Option<&'a DistributedEnv>,
    pub(crate) options: &'a HardwareConfig,
    /// The run folder, when its data can be counted.
    pub(crate) run: Option<&'a Path>,
}

impl EstimateInput<'_> {
    /// Sizes and expected time, on the recipe's [hardware] when it has that section, else on this
    /// machine.
    pub(crate) fn estimate(&self, known: Option<&KnownSize>) -> anyhow::Result<StageEstimate> {
        let Self { config, shape, .. } = self;
        let trained = match &config.lora {
            Some(_) => format!(
                " ({:.1} M in adapters are trained)",
                shape.trained(config) as f64 / 1e6
            ),
            None => String::new(),
        };
        let params = shape.params() as f64 / 1e9;
        let Some(known) = known else {
            return Ok(StageEstimate {
                what: format!(
                    "{params:.2} B parameters{trained}; rows are not known before the data is"
                ),
                seconds: None,
            });
        };
        let size = known.size;
        let steps = BatchSampler::new(config, config.training_rows(size.rows) as usize, 0).steps();
        let batch = (config.global_batch as u64).min(size.rows);
        let tokens = steps as f64 * batch as f64 * size.tokens_per_row;
        let what = format!(
            "{} rows ({}): {steps} steps of {batch} rows, {:.2} M tokens, {params:.2} B parameters{trained}",
            size.rows,
            known.source,
            tokens / 1e6
        );
        let (more, seconds) = if self.recipe.has("hardware") {
            self.on_gpus()?
        } else {
            self.on_this_machine(known, tokens)?
        };
        Ok(StageEstimate {
            what: what + &more,
            seconds: Some(seconds),
        })
    }

    fn on_gpus(&self) -> anyhow::Result<(String, f64)> {
        let planned = Planned::new(
            self.recipe,
            self.shape.clone(),
            self.config.clone(),
            Hardware::builtin()?,
            self.options.clone(),
            self.run,
        )?;
        let plan = planned.plan()?;
        let set = &plan.as_set;
        let mut text = format!(
            "; {} x {}, {}, {:.0} GB a GPU, ${:.0}",
            self.options.gpus,
            self.options.gpu,
            set.setting,
            set.gpu_bytes.total as f64 / 1e9,
            set.dollars,
        );
        if !set.fits {
            text += ", does not fit";
            if plan.fits {
                text += &format!(" ({} does)", plan.best.setting);
            }
        }
        Ok((text, set.hours * 3600.0))
    }

    fn on_this_machine(&self, known: &KnownSize, tokens: f64) -> anyhow::Result<(String, f64)> {
        let Self { config, shape, .. } = self;
        let cores = match config.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let recomputed = match config.activation_checkpointing {
            ActivationCheckpointing::Auto => 0,
            chosen => chosen.layers_recomputed(shape.layers),
        };
        let mut text = String::new();
        let planned = plan_on_cpus(shape, config, self.env, Some(&known.size));
        if let Some(HostPlan { plan, memory }) = planned {
            text += &format!(
                "; about {:.1} of {:.1} GB of memory",
                plan.host_bytes as f64 / 1e9,
                memory as f64 / 1e9
            );
            if let Some(advice) = plan.advice {
                text += &format!(", does not fit: {advice}");
            }
        }
        let flops = shape.step_flops(known.size.tokens_per_row, config, recomputed) * tokens;
        let cpu = Hardware::builtin()?.cpu;
        Ok((text, flops / (cpu.flops_per_core * cores as f64)))
    }
}
