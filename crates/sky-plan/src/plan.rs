use serde::Serialize;

use crate::{
    ActivationCheckpointing, BatchSampler, MasterDtype, OptimizerDtype, PlanError, Precision,
    TrainConfig,
    assumptions::assumptions,
    gpu_plan::{PlanInput, SettingPlan, micro_tokens, step_tokens},
    hardware::MAX_ROWS,
    memory_setting::{Setting, settings},
    step_time::evaluate,
};

/// The plan of a run: every setting, and which to take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Whether any setting fits.
    pub fits: bool,
    /// The best setting: the cheapest that fits, or, when none does, the one that needs least.
    pub best: SettingPlan,
    /// The first that fits, in order of how much they offload.
    pub first: Option<SettingPlan>,
    /// What the recipe sets: what is run.
    pub as_set: SettingPlan,
    /// When nothing fits, the one knob that would make it.
    pub advice: Option<String>,
    /// Parameters of the model.
    pub params: u64,
    /// Parameters that are trained: the same, or those of the adapters, which `params` does not
    /// count.
    pub trained_params: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Tokens of the run.
    pub tokens: f64,
    /// All settings, in order of how much they offload.
    pub settings: Vec<SettingPlan>,
    /// Every assumption, in words.
    pub assumptions: Vec<String>,
}

impl Plan {
    /// Plans a run.
    ///
    /// # Errors
    /// When there is nothing to plan: no GPU, no rows.
    pub fn new(input: &PlanInput<'_>) -> Result<Self, PlanError> {
        let steps = steps(input)?;
        let settings = settings(input.config)
            .map(|setting| evaluate(input, setting, steps))
            .collect::<Vec<_>>();
        let fitting = || settings.iter().filter(|plan| plan.fits);
        let least = fitting().map(|plan| plan.dollars).fold(f64::MAX, f64::min);
        // Less is offloaded the earlier a setting comes: what saves under 2 % is not worth another
        // thing to move.
        let cheapest = fitting().find(|plan| plan.dollars <= least * 1.02);
        let smallest = settings.iter().min_by_key(|plan| plan.gpu_bytes.total);
        let Some(best) = cheapest.or(smallest).cloned() else {
            return Err(PlanError::Input("no setting to choose from".into()));
        };
        Ok(Self {
            first: fitting().next().cloned(),
            as_set: SettingPlan::as_set(input)?,
            fits: best.fits,
            advice: (!best.fits).then(|| advice(input, steps, &best)),
            params: input.shape.params(),
            trained_params: input.shape.trained(input.config),
            steps,
            tokens: steps as f64 * step_tokens(input),
            settings,
            assumptions: assumptions(input),
            best,
        })
    }
}

impl SettingPlan {
    /// What a run as its recipe sets it needs and costs, nothing chosen for it.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn as_set(input: &PlanInput<'_>) -> Result<Self, PlanError> {
        let config = input.config;
        let setting = Setting {
            offload: config.offloaded(),
            // On a GPU `auto` recomputes.
            activation_checkpointing: match config.activation_checkpointing {
                ActivationCheckpointing::Auto => ActivationCheckpointing::Full,
                chosen => chosen,
            },
            offload_activations: config.offload_activations,
        };
        Ok(evaluate(input, setting, steps(input)?))
    }
}

fn steps(input: &PlanInput<'_>) -> Result<u64, PlanError> {
    let tokens = input.tokens_per_row;
    if input.gpus == 0 || input.rows == 0 || tokens.is_nan() || tokens <= 0.0 {
        return Err(PlanError::Input(
            "at least one GPU, one row and one token a row are needed".into(),
        ));
    }
    let rows = input.config.training_rows(input.rows);
    if rows == 0 || rows > MAX_ROWS {
        return Err(PlanError::Input(format!(
            "{rows} of {} rows are left to train on (train.validation_rows is {}), from 1 to {MAX_ROWS} can be",
            input.rows, input.config.validation_rows
        )));
    }
    Ok(BatchSampler::new(input.config, rows as usize, 0).steps())
}

/// The one change that makes a run fit that does not, the least costly first.
fn advice(input: &PlanInput<'_>, steps: u64, best: &SettingPlan) -> String {
    let fits = |changed: &PlanInput<'_>| {
        settings(changed.config).any(|setting| evaluate(changed, setting, steps).fits)
    };
    type Change = fn(&mut TrainConfig);
    let knobs: [(&str, Change); 6] = [
        ("zero_stage = 3", |c| c.zero_stage = 3),
        ("background_save = false", |c| c.background_save = false),
        ("activation_checkpointing = \"full\"", |c| {
            c.activation_checkpointing = ActivationCheckpointing::Full;
        }),
        ("optimizer_dtype = \"bf16\"", |c| {
            c.optimizer_dtype = OptimizerDtype::Bf16;
        }),
        ("optimizer_dtype = \"8bit\"", |c| {
            c.optimizer_dtype = OptimizerDtype::EightBit;
        }),
        ("master_dtype = \"bf16\"", |c| {
            c.master_dtype = narrowest(c);
        }),
    ];
    for (text, change) in knobs {
        let mut config = input.config.clone();
        change(&mut config);
        if fits(&PlanInput {
            config: &config,
            ..input.clone()
        }) {
            return format!("set train.{text}");
        }
    }
    let most = micro_tokens(input);
    let mut tokens = most / 2;
    while tokens >= 512 {
        let config = TrainConfig {
            micro_batch_tokens: tokens as usize,
            cutoff: input.config.cutoff.min(tokens as usize),
            ..input.config.clone()
        };
        if fits(&PlanInput {
            config: &config,
            ..input.clone()
        }) {
            return format!(
                "lower train.micro_batch_tokens and train.cutoff to {tokens} (longer rows would be left out)"
            );
        }
        tokens /= 2;
    }
    let plenty = PlanInput {
        host_memory: u64::MAX,
        ..input.clone()
    };
    if fits(&plenty) {
        let needed = settings(input.config)
            .map(|setting| evaluate(&plenty, setting, steps))
            .filter(|plan| plan.fits)
            .map(|plan| plan.host_bytes.total)
            .min()
            .unwrap_or(0);
        return format!("give the host {} of memory", sized(needed));
    }
    for gpus in (1..=10).map(|doubling| input.gpus << doubling) {
        if fits(&PlanInput {
            gpus,
            hosts: input.hosts * gpus / input.gpus,
            host_memory: u64::MAX,
            ..input.clone()
        }) {
            return format!("use {gpus} of these GPUs");
        }
    }
    format!(
        "use GPUs with at least {} of memory",
        sized(best.gpu_bytes.total)
    )
}

/// Dtype of master weights that takes the least memory.
pub(crate) fn narrowest(config: &TrainConfig) -> MasterDtype {
    match config.precision {
        Precision::Bf16 => MasterDtype::Bf16,
        Precision::F32 => MasterDtype::F32,
    }
}

fn sized(bytes: u64) -> String {
    format!("{} GB", bytes.div_ceil(1_000_000_000))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
