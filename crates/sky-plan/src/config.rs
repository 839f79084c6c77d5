use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sky_types::{Section, SettingError};

use crate::{
    ActivationCheckpointing, Decay, LoraConfig, MasterDtype, Offload, OptimizerDtype, OverLong,
    Precision,
};

/// The recipe's section `[train]`. The defaults are those of the published Sky-T1 run (full
/// fine-tuning with LLaMA-Factory: 3 epochs, 96 rows a batch, peak 1e-5, cosine, 10 % warm-up, 16k
/// tokens).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the data.
    pub epochs: u32,
    /// Ends the run after this many steps, whatever `epochs` says.
    pub max_steps: Option<u64>,
    /// Conversations a step, over all ranks.
    pub global_batch: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// How it falls after the warm-up.
    pub schedule: Decay,
    /// Share of all steps that warm up.
    pub warmup_ratio: f64,
    /// Steps that warm up; takes the place of `warmup_ratio`.
    pub warmup_steps: Option<u64>,
    /// Share of all steps over which `wsd` decays.
    pub decay_ratio: f64,
    /// Learning rate at the end, as a share of the peak.
    pub min_lr_ratio: f64,
    /// Decoupled weight decay; matrices only, norms and biases are left alone.
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// AdamW's epsilon.
    pub eps: f64,
    /// Largest global norm of the gradient; 0 for no clipping.
    pub max_grad_norm: f64,
    /// z-loss: this times the square of the logarithm of the softmax's denominator is added to each
    /// target's loss (PaLM: 1e-4); 0 for none. The reported `loss` is without it.
    pub z_loss: f64,
    /// NEFTune: noise on the embedded tokens, uniform within `alpha / sqrt(tokens x width)` (Jain
    /// et al., 2023: 5 to 15); 0 for none. Not when the loss on held-out rows is taken.
    pub neftune_alpha: f64,
    /// Longest conversation in tokens.
    pub cutoff: usize,
    /// What happens to a longer one.
    pub over_long: OverLong,
    /// Most tokens of one packed micro-batch; where a conversation is longer, up to `cutoff`, those
    /// of its batch may have as many.
    pub micro_batch_tokens: usize,
    /// Which layers keep their graphs for the backward pass and which are recomputed from their
    /// inputs.
    pub activation_checkpointing: ActivationCheckpointing,
    /// ZeRO stage: what is sharded over the ranks. 0 nothing, 1 the optimizer, 2 gradients too, 3
    /// parameters too.
    pub zero_stage: u8,
    /// What leaves a GPU for host memory; not yet run on one. On a CPU it changes nothing.
    pub offload: Offload,
    /// Whether the inputs of layers that are recomputed wait in pinned host memory for it; not yet
    /// run on a GPU. On a CPU it changes nothing.
    pub offload_activations: bool,
    /// A folder on a fast local disk where master weights and optimizer states lie, in a file
    /// mapped into memory; the optimizer's step is done on the host then, whatever `offload` says.
    /// Changes no bit of a result on a CPU.
    pub offload_folder: Option<PathBuf>,
    /// Longest wait for another rank, in seconds. A rank that dies ends the others within it.
    pub collective_timeout: u64,
    /// Adapters are trained and the model's own weights frozen; none: all weights are trained.
    pub lora: Option<LoraConfig>,
    /// What the model computes in.
    pub precision: Precision,
    /// What the optimizer keeps weights in; bf16 for a `precision` of bf16 alone.
    pub master_dtype: MasterDtype,
    /// Dtype of AdamW's two optimizer states.
    pub optimizer_dtype: OptimizerDtype,
    /// Tokens whose logits exist at once in the head.
    pub loss_chunk: usize,
    /// Steps between checkpoints; another at the end; 0 for the end only.
    pub save_every: u64,
    /// Checkpoints during training are written by a thread of their own, from a copy of the state
    /// in memory.
    pub background_save: bool,
    /// Conversations held out of the data, by the seed: never trained on.
    pub validation_rows: usize,
    /// Steps between losses on them; another at the end; 0 for the end only.
    pub validate_every: u64,
    /// Checkpoints kept on disk; with at least 2, a damaged one costs `save_every` steps and no
    /// more.
    pub keep_checkpoints: usize,
    /// Checkpoints left when the run is finished and its model written.
    pub keep_finished: usize,
    /// Dense peak of what one rank computes on, in FLOP/s: the metrics have MFU then. On GPUs the
    /// one of `[hardware]` when it is unset.
    pub peak_flops: Option<f64>,
    /// Rent of all that the run computes on, in dollars an hour: the metrics have the cost then. On
    /// GPUs that of `[hardware]` when it is unset.
    pub dollars_per_hour: Option<f64>,
    /// Threads of one process; 0 for one each core. The last bits of a result may depend on it.
    pub threads: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 3,
            max_steps: None,
            global_batch: 96,
            learning_rate: 1e-5,
            schedule: Decay::Cosine,
            warmup_ratio: 0.1,
            warmup_steps: None,
            decay_ratio: 0.2,
            min_lr_ratio: 0.0,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            max_grad_norm: 1.0,
            z_loss: 0.0,
            neftune_alpha: 0.0,
            cutoff: 16_384,
            over_long: OverLong::Drop,
            micro_batch_tokens: 16_384,
            activation_checkpointing: ActivationCheckpointing::Auto,
            zero_stage: 3,
            offload: Offload::None,
            offload_activations: false,
            offload_folder: None,
            collective_timeout: 600,
            lora: None,
            precision: Precision::Bf16,
            master_dtype: MasterDtype::F32,
            optimizer_dtype: OptimizerDtype::F32,
            loss_chunk: 512,
            save_every: 100,
            background_save: true,
            validation_rows: 0,
            validate_every: 50,
            keep_checkpoints: 2,
            keep_finished: 1,
            peak_flops: None,
            dollars_per_hour: None,
            threads: 0,
        }
    }
}

impl Section for TrainConfig {
    const NAME: &'static str = "train";

    #[expect(clippy::too_many_lines, reason = "a table")]
    fn check(&self) -> Result<(), SettingError> {
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let checks = [
            ("epochs", self.epochs > 0, "must be at least 1"),
            (
                "global_batch",
                (1..=1 << 20).contains(&self.global_batch),
                "must be from 1 to 1048576",
            ),
            (
                "learning_rate",
                self.learning_rate > 0.0 && self.learning_rate.is_finite(),
                "must be a positive number",
            ),
            (
                "warmup_ratio",
                share(self.warmup_ratio),
                "must be from 0 to 1",
            ),
            (
                "decay_ratio",
                share(self.decay_ratio),
                "must be from 0 to 1",
            ),
            (
                "min_lr_ratio",
                share(self.min_lr_ratio),
                "must be from 0 to 1",
            ),
            (
                "weight_decay",
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "must be zero or more",
            ),
            (
                "beta1",
                (0.0..1.0).contains(&self.beta1),
                "must be from 0 up to, and without, 1",
            ),
            (
                "beta2",
                (0.0..1.0).contains(&self.beta2),
                "must be from 0 up to, and without, 1",
            ),
            (
                "eps",
                // Below, it could be zero in f32, and 0 / 0 an update.
                self.eps >= 1e-30 && self.eps.is_finite(),
                "must be a number from 1e-30 on",
            ),
            (
                "max_grad_norm",
                self.max_grad_norm >= 0.0 && self.max_grad_norm.is_finite(),
                "must be zero (no clipping) or more",
            ),
            (
                "z_loss",
                self.z_loss >= 0.0 && self.z_loss.is_finite(),
                "must be zero (none) or more",
            ),
            (
                "neftune_alpha",
                self.neftune_alpha >= 0.0 && self.neftune_alpha.is_finite(),
                "must be zero (no noise) or more",
            ),
            (
                "cutoff",
                (2..=1 << 24).contains(&self.cutoff),
                "must be from 2 to 16777216 tokens",
            ),
            (
                "micro_batch_tokens",
                (1..=1 << 24).contains(&self.micro_batch_tokens),
                "must be from 1 to 16777216 tokens",
            ),
            (
                "loss_chunk",
                (1..=1 << 24).contains(&self.loss_chunk),
                "must be from 1 to 16777216 tokens",
            ),
            (
                "master_dtype",
                self.master_dtype == MasterDtype::F32 || self.precision == Precision::Bf16,
                "in bf16 are for a precision of bf16: f32 compute would see no more than that",
            ),
            (
                "keep_checkpoints",
                self.keep_checkpoints > 0,
                "must be at least 1",
            ),
            (
                "activation_checkpointing",
                self.activation_checkpointing != ActivationCheckpointing::Selective { every: 0 },
                "selective.every must be at least 1",
            ),
            ("max_steps", self.max_steps != Some(0), "must be at least 1"),
            (
                "peak_flops",
                self.peak_flops.is_none_or(|n| n.is_finite() && n >= 1.0),
                "must be at least 1 FLOP/s",
            ),
            (
                "dollars_per_hour",
                self.dollars_per_hour
                    .is_none_or(|n| n.is_finite() && n >= 0.0),
                "must be zero or more",
            ),
            ("threads", self.threads <= 4096, "must be at most 4096"),
            ("zero_stage", self.zero_stage <= 3, "must be from 0 to 3"),
            (
                "offload_folder",
                self.offload_folder.as_deref().is_none_or(Path::is_absolute),
                "must be an absolute path, of a folder on a fast local disk",
            ),
            (
                "collective_timeout",
                (1..=7 * 24 * 3600).contains(&self.collective_timeout),
                "must be from 1 to 604800 seconds",
            ),
            (
                "validation_rows",
                self.validation_rows <= 1 << 32,
                "must be at most 4294967296",
            ),
        ];
        match checks.into_iter().find(|(_, good, _)| !good) {
            None => self.lora.as_ref().map_or(Ok(()), |lora| {
                lora.check()
                    .map_err(|reason| SettingError::new("lora", reason))
            }),
            Some((key, _, reason)) => Err(SettingError::new(key, reason)),
        }
    }
}

impl TrainConfig {
    /// What leaves a GPU: with a folder for it, the optimizer always does.
    pub fn offloaded(&self) -> Offload {
        match self.offload_folder {
            Some(_) => self.offload.with_optimizer(),
            None => self.offload,
        }
    }

    /// Rows that are trained on, of `rows` in all.
    pub fn training_rows(&self, rows: u64) -> u64 {
        rows.saturating_sub(self.validation_rows as u64)
    }

    /// The settings that all ranks of a run must share: all but what is a host's own.
    pub fn shared_by_ranks(&self) -> serde_json::Value {
        let own = Self {
            threads: 0,
            offload_folder: None,
            ..self.clone()
        };
        let mut value = serde_json::to_value(own).unwrap_or_default();
        // Whether there is a folder decides what is kept where.
        value["offload_folder"] = self.offload_folder.is_some().into();
        value
    }

    /// The settings that a result depends on: two runs that agree in these may resume from each
    /// other's checkpoints. How state is kept, sharded and saved changes no more than the last
    /// bits, the precision of optimizer states and master weights hardly more.
    pub fn resume_fingerprint(&self) -> serde_json::Value {
        // A struct of numbers, names and options has a JSON form.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            let mut left_out = vec![
                "activation_checkpointing",
                "background_save",
                "collective_timeout",
                "dollars_per_hour",
                "loss_chunk",
                "keep_checkpoints",
                "keep_finished",
                "master_dtype",
                "micro_batch_tokens",
                "optimizer_dtype",
                "offload",
                "offload_activations",
                "offload_folder",
                "peak_flops",
                "save_every",
                "threads",
                "zero_stage",
            ];
            if self.validation_rows == 0 {
                left_out.extend(["validation_rows", "validate_every"]);
            }
            // Off, they are as if they were not.
            left_out.extend((self.z_loss == 0.0).then_some("z_loss"));
            left_out.extend((self.neftune_alpha == 0.0).then_some("neftune_alpha"));
            left_out.extend(self.lora.is_none().then_some("lora"));
            for key in left_out {
                object.remove(key);
            }
        }
        value
    }

    /// Most tokens of a packed micro-batch: `micro_batch_tokens`, or the longest conversation when
    /// that is longer.
    pub fn pack_tokens(&self, longest: usize) -> usize {
        self.micro_batch_tokens.max(longest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_each_bad_number_names_its_key() {
        assert_eq!(TrainConfig::default().check(), Ok(()));
        let text = serde_json::to_string(&TrainConfig::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<TrainConfig>(&text).unwrap(),
            TrainConfig::default()
        );
        let text = "activation_checkpointing = { selective = { every = 4 } }";
        let chosen: TrainConfig = toml::from_str(text).unwrap();
        let every = ActivationCheckpointing::Selective { every: 4 };
        assert_eq!(chosen.activation_checkpointing, every);
        let kept: Vec<usize> = (1..=9).filter(|&layer| every.keeps(layer)).collect();
        assert_eq!(kept, [4, 8]);
        assert_eq!((every.layers_stored(9), every.layers_recomputed(9)), (2, 7));
        for (key, value) in [
            ("epochs", "0"),
            ("global_batch", "0"),
            ("learning_rate", "0.0"),
            ("learning_rate", "-1e-5"),
            ("warmup_ratio", "1.5"),
            ("beta2", "1.0"),
            ("max_grad_norm", "-1.0"),
            ("z_loss", "-1e-4"),
            ("neftune_alpha", "-5.0"),
            ("cutoff", "1"),
            ("master_dtype", r#""bf16", "precision": "f32""#),
            ("keep_checkpoints", "0"),
            ("max_steps", "0"),
            ("zero_stage", "4"),
            ("peak_flops", "0.0"),
            ("dollars_per_hour", "-1.0"),
            ("activation_checkpointing", r#"{"selective": {"every": 0}}"#),
            ("collective_timeout", "0"),
            ("lora", "{\"rank\": 0}"),
            ("lora", "{\"alpha\": -1}"),
            ("lora", "{\"targets\": []}"),
            ("offload_folder", "\"state\""),
        ] {
            let config: TrainConfig =
                serde_json::from_str(&format!("{{\"{key}\": {value}}}")).unwrap();
            assert_eq!(config.check().unwrap_err().key, key);
        }
    }
}
