pub(crate) mod activation_checkpointing;
pub(crate) mod forward_backward;
pub(crate) mod layer_fn;
pub(crate) mod loss;
pub(crate) mod micro_batch;
mod run;
mod step;

pub use loss::{Loss, LossChunk};

use std::sync::Arc;

use sky_model::{Config, Lora, PackedSequences, ParamSpec, blocks};
use sky_types::{Section, TokenSeq, Version};
use tch::{Device, Kind, Tensor};

use crate::{
    Checkpoint, Collective, Dataset, Optimizer, StepMetrics, TrainError, TrainerState,
    checkpoint::background::BackgroundWriter,
    data::split::TrainValidationSplit,
    distributed::weight_checksum::WeightChecksum,
    distributed::zero::ShardedState,
    metrics::step_timer::StepTimer,
    params::trainable::{init_adapter, lora, trained_blocks},
    trainer::layer_fn::CustomLayerFn,
};
use sky_plan::{BatchSampler, Schedule, TrainConfig};

/// What a run is made from. Its results are a function of this and of the custom parts.
#[derive(Clone, Debug)]
pub struct Job {
    /// The recipe's `[train]`.
    pub config: TrainConfig,
    /// The model's shape.
    pub model: Config,
    /// Training and validation rows, tokenized.
    pub data: Dataset,
    /// Decides the order of rows, the noise and the rounding.
    pub seed: u64,
}

/// How [`Trainer::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every step is done.
    Finished,
    /// It was asked to stop; the same job resumes from the checkpoint of this step.
    Stopped {
        /// Steps done.
        step: u64,
    },
}

/// A run: model, optimizer and cursor.
pub struct Trainer<'c> {
    job: Job,
    input_hash: Option<String>,
    lora: Option<Lora>,
    layers: Option<CustomLayerFn<'c>>,
    loss: Option<Box<dyn Loss + 'c>>,
    optimizer: Option<Arc<dyn Optimizer>>,
    sharded_state: ShardedState<'c>,
    split: TrainValidationSplit,
    order: BatchSampler,
    /// Learning rate of a step, from 0.
    schedule: Box<dyn Fn(u64) -> f64 + 'c>,
    device: Device,
    step: u64,
    history: Vec<StepMetrics>,
    timer: StepTimer,
    background: BackgroundWriter,
    /// Step of the newest checkpoint that is known to be whole; 0 for none.
    saved: u64,
}

impl<'c> Trainer<'c> {
    /// A run at its first step. `weights` is asked for each of the model's parameters in turn,
    /// whole, in any dtype, the same on every rank.
    ///
    /// # Errors
    /// When a setting is out of range, a weight cannot be had, has another shape or is not rank
    /// 0's.
    pub fn new(
        job: Job,
        device: Device,
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        if comm.world_size() == 1 {
            return Self::filled(job, device, comm, weights);
        }
        let mut checksum = WeightChecksum::default();
        let trainer = Self::filled(job, device, comm, &mut |param| {
            let whole = weights(param)?;
            checksum.note(param, &whole)?;
            Ok(whole)
        })?;
        checksum.compare(comm)?;
        Ok(trainer)
    }

    fn filled(
        job: Job,
        device: Device,
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        job.config.check()?;
        let split =
            TrainValidationSplit::new(job.data.len(), job.config.validation_rows, job.seed)?;
        let lora = lora(&job.config);
        if lora.is_some() && job.model.custom_layers.is_some() {
            return Err(TrainError::Config {
                key: "lora",
                reason: "adapters belong to the projections of the known layers, this model has custom layers".into(),
            });
        }
        let trained = trained_blocks(&job.model, &job.config);
        let frozen = lora.map_or_else(Vec::new, |_| blocks(&job.model));
        let first = &mut |param: &ParamSpec| match lora {
            Some(_) if is_adapter(param) => init_adapter(param, job.seed),
            _ => weights(param),
        };
        let sharded_state = ShardedState::new(&trained, &frozen, &job.config, device, comm, first)?;
        let order = BatchSampler::new(&job.config, split.train.len(), job.seed);
        let schedule = Schedule::new(&job.config, order.steps());
        let known = job.model.custom_layers.is_none();
        let shape = known.then(|| crate::model_shape(&job.model));
        let timer = StepTimer::new(shape, comm.world_size());
        Ok(Self {
            job,
            input_hash: None,
            lora,
            layers: None,
            loss: None,
            optimizer: None,
            sharded_state,
            split,
            order,
            schedule: Box::new(move |step| schedule.lr(step)),
            device,
            step: 0,
            history: Vec::new(),
            timer,
            background: BackgroundWriter::default(),
            saved: 0,
        })
    }

    /// A run as a checkpoint left it. `weights` is asked for frozen weights alone: not at all when
    /// no adapters are trained.
    ///
    /// # Errors
    /// When the checkpoint is of another run or belongs to other frozen weights, or cannot be read.
    pub fn resume(
        job: Job,
        device: Device,
        comm: &'c dyn Collective,
        checkpoint: &Checkpoint,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        let frozen = job.config.lora.is_some();
        // Frozen weights are compared with the checkpoint's, by every rank.
        let mut trainer = Self::filled(job, device, comm, &mut |param| {
            if frozen {
                return weights(param);
            }
            // Filled from the checkpoint below, in one pass with the optimizer states.
            let float = (Kind::Float, device);
            Ok(Tensor::f_zeros(param.shape.as_slice(), float)?)
        })?;
        trainer.same_run(checkpoint)?;
        checkpoint.restore(&mut trainer.sharded_state)?;
        trainer.step = checkpoint.state().step;
        trainer.saved = trainer.step;
        trainer.history = checkpoint.metrics()?;
        trainer.timer.resume_from(&trainer.history);
        if trainer.history.len() as u64 != trainer.step {
            return Err(TrainError::Checkpoint {
                path: checkpoint.path().into(),
                reason: format!(
                    "says step {}, its metrics have {} lines",
                    trainer.step,
                    trainer.history.len()
                ),
            });
        }
        Ok(trainer)
    }

    /// With the function of the model's custom layers ([`Config::with_custom_layers`]). It takes
    /// the layer's index from 0, its parameters in the order of their specs, `x` `[tokens, hidden]`
    /// and where its documents begin and end, and gives the same shape as `x`.
    ///
    /// It must be a pure function, since the backward pass may recompute it, and should not let a
    /// document see another. It runs under autograd; gathering, recomputation, sharding, offload
    /// and checkpoints work as for any layer. MFU is not reported for such a model, and `auto`
    /// recomputes all layers.
    #[must_use]
    pub fn with_layers(
        mut self,
        layer: impl Fn(usize, &[Tensor], &Tensor, &PackedSequences) -> Tensor + 'c,
    ) -> Self {
        self.layers = Some(Box::new(layer));
        self
    }

    /// With a custom learning rate in place of `[train]`'s: a function of the step, from 0, and of
    /// nothing else, so that a resumed run equals an uninterrupted one. A checkpoint does not know
    /// it: give the same when the run resumes.
    #[must_use]
    pub fn with_schedule(mut self, learning_rate: impl Fn(u64) -> f64 + 'c) -> Self {
        self.schedule = Box::new(learning_rate);
        self
    }

    /// With a custom loss in place of the cross-entropy. `z_loss` does not apply to it; the
    /// validation loss is this one. A checkpoint does not know it: give the same when the run
    /// resumes.
    #[must_use]
    pub fn with_loss(mut self, loss: impl Loss + 'c) -> Self {
        self.loss = Some(Box::new(loss));
        self
    }

    /// With a custom optimizer in place of AdamW. A checkpoint does not know it: give the same when
    /// the run resumes.
    #[must_use]
    pub fn with_optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.optimizer = Some(Arc::new(optimizer));
        self
    }

    /// With a hash of what the run was made from beside its [`Job`], such as the files of the first
    /// weights. Every checkpoint's [`TrainerState`] has it, to be compared before a run resumes
    /// from one.
    #[must_use]
    pub fn with_input_hash(mut self, input_hash: impl Into<String>) -> Self {
        self.input_hash = Some(input_hash.into());
        self
    }

    fn same_run(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let (ours, theirs) = (self.trainer_state(), checkpoint.state());
        let what = if ours.model != theirs.model {
            "model".to_owned()
        } else if ours.data != theirs.data {
            format!("data ({} rows, now {})", theirs.data.rows, ours.data.rows)
        } else if ours.seed != theirs.seed {
            format!("seed ({}, now {})", theirs.seed, ours.seed)
        } else if ours.config.resume_fingerprint() != theirs.config.resume_fingerprint() {
            "settings in [train]".to_owned()
        } else if ours.base != theirs.base {
            "frozen weights: the adapters belong to another base model".to_owned()
        } else if ours.steps != theirs.steps || theirs.step > theirs.steps {
            format!("length ({} steps, now {})", theirs.steps, ours.steps)
        } else {
            return Ok(());
        };
        Err(TrainError::OtherRun {
            path: checkpoint.path().into(),
            what,
        })
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.order.steps()
    }

    /// Metrics of the steps done.
    pub fn history(&self) -> &[StepMetrics] {
        &self.history
    }

    /// Bytes of weights, gradients and optimizer state that this rank keeps, all gradients there.
    pub fn state_bytes(&self) -> u64 {
        self.sharded_state.memory().state_bytes()
    }

    /// The parameters of the embedding, a layer or the head as they stand, whole, in what the model
    /// computes in; those of a layer's adapters follow.
    ///
    /// # Errors
    /// When a collective fails.
    pub fn block(&self, index: usize) -> Result<Vec<Tensor>, TrainError> {
        self.sharded_state
            .full_params(index)?
            .iter()
            .map(|t| Ok(t.f_detach()?.copy()))
            .collect()
    }

    fn trainer_state(&self) -> TrainerState {
        TrainerState {
            v: Version,
            step: self.step,
            steps: self.order.steps(),
            seed: self.job.seed,
            world_size: self.sharded_state.comm().world_size(),
            config: self.job.config.clone(),
            model: self.job.model.to_json(),
            base: self.sharded_state.base().map(str::to_owned),
            input_hash: self.input_hash.clone(),
            data: self.job.data.id().clone(),
        }
    }
}

impl std::fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("step", &self.step)
            .field("steps", &self.order.steps())
            .finish_non_exhaustive()
    }
}

fn is_adapter(param: &ParamSpec) -> bool {
    param.name.ends_with(".lora_A.weight") || param.name.ends_with(".lora_B.weight")
}

/// Encodes conversations with a model's own tokenizer and chat template.
///
/// # Errors
/// When the template refuses one; its row is named.
pub fn encode(
    conversations: &[sky_types::Conversation],
    tokenizer: &sky_text::Tokenizer,
    template: &sky_text::ChatTemplate,
) -> Result<Vec<TokenSeq>, TrainError> {
    conversations
        .iter()
        .enumerate()
        .map(|(row, conversation)| {
            template
                .encode_training(tokenizer, conversation)
                .map_err(|error| TrainError::Data(format!("row {row}: {error}")))
        })
        .collect()
}
