mod run;
mod step;

use sky_model::{Config, Lora, ParamSpec, Segments, blocks};
use sky_types::{TokenSeq, Version};
use tch::{Device, Kind, Tensor};

use crate::{
    Checkpoint, Collective, Dataset, Order, Schedule, State, StepMetrics, TrainConfig, TrainError,
    adapters::{initial, lora, trained_blocks},
    mathematics::OwnLayer,
    meter::Meter,
    saver::Saver,
    split::Split,
    zero::Store,
};

/// What a run is made from. Its results are a function of this alone.
#[derive(Clone, Debug)]
pub struct Job {
    /// Settings.
    pub config: TrainConfig,
    /// The model's shape.
    pub model: Config,
    /// The data.
    pub data: Dataset,
    /// The run's seed.
    pub seed: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every step is done.
    Finished,
    /// It was asked to stop; the same job goes on from the checkpoint of this step.
    Stopped {
        /// Steps done.
        step: u64,
    },
}

/// A run: model, optimizer and cursor.
pub struct Trainer<'c> {
    job: Job,
    origin: Option<String>,
    lora: Option<Lora>,
    layers: Option<OwnLayer<'c>>,
    store: Store<'c>,
    split: Split,
    order: Order,
    /// Learning rate of a step, from 0.
    schedule: Box<dyn Fn(u64) -> f64 + 'c>,
    device: Device,
    step: u64,
    history: Vec<StepMetrics>,
    meter: Meter,
    saver: Saver,
    /// Step of the newest checkpoint that is known to be whole; 0 for none.
    saved: u64,
}

impl<'c> Trainer<'c> {
    /// A run at its beginning; `weights` is asked for each of the model's parameters in turn, whole, in any kind.
    ///
    /// # Errors
    /// When a setting is out of range, a weight cannot be had or has another shape.
    pub fn new(
        job: Job,
        device: Device,
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        Self::filled(job, device, comm, weights, comm.world() > 1)
    }

    /// `compare` says whether `weights` are to be those of rank 0.
    fn filled(
        job: Job,
        device: Device,
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
        compare: bool,
    ) -> Result<Self, TrainError> {
        job.config
            .check()
            .map_err(|(key, reason)| TrainError::Config { key, reason })?;
        let split = Split::new(job.data.len(), job.config.validation_rows, job.seed)?;
        let lora = lora(&job.config);
        if lora.is_some() && job.model.own_layers.is_some() {
            return Err(TrainError::Config {
                key: "lora",
                reason: "adapters belong to the projections of the known layers, this model has layers of its own".into(),
            });
        }
        let trained = trained_blocks(&job.model, &job.config);
        let frozen = lora.map_or_else(Vec::new, |_| blocks(&job.model));
        let first = &mut |param: &ParamSpec| match lora {
            Some(_) if is_adapter(param) => initial(param, job.seed),
            _ => weights(param),
        };
        let places = (device, compare);
        let store = Store::new(&trained, &frozen, &job.config, places, comm, first)?;
        let order = Order::new(&job.config, split.train.len(), job.seed);
        let schedule = Schedule::new(&job.config, order.steps());
        let meter = Meter::new(&job, comm.world());
        Ok(Self {
            job,
            origin: None,
            lora,
            layers: None,
            store,
            split,
            order,
            schedule: Box::new(move |step| schedule.lr(step)),
            device,
            step: 0,
            history: Vec::new(),
            meter,
            saver: Saver::default(),
            saved: 0,
        })
    }

    /// A run as a checkpoint left it. `weights` is asked for frozen weights alone: not at all when no adapters are trained.
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
        let weights = &mut |param: &ParamSpec| {
            if frozen {
                return weights(param);
            }
            // Filled from the checkpoint below, in one pass with the moments.
            let float = (Kind::Float, device);
            Ok(Tensor::f_zeros(param.shape.as_slice(), float)?)
        };
        let compare = frozen && comm.world() > 1;
        let mut trainer = Self::filled(job, device, comm, weights, compare)?;
        trainer.same_run(checkpoint)?;
        checkpoint.restore(&mut trainer.store)?;
        trainer.step = checkpoint.state().step;
        trainer.saved = trainer.step;
        trainer.history = checkpoint.metrics()?;
        trainer.meter.go_on_from(&trainer.history);
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

    /// With what the model's own layers compute ([`Config::with_own_layers`]): given the layer's index from 0, its parameters
    /// in the order of their specs, `x` `[tokens, hidden]` and where its documents begin and end, the same shape as `x`.
    ///
    /// It has to be a pure function, for its value may be computed again in the backward pass, and should not let a document
    /// see another. It runs under autograd; gathering, recomputation, sharding, offload and checkpoints are as for any layer.
    /// MFU is not told of such a model, and `auto` recomputes all layers.
    #[must_use]
    pub fn with_layers(
        mut self,
        layer: impl Fn(usize, &[Tensor], &Tensor, &Segments) -> Tensor + 'c,
    ) -> Self {
        self.layers = Some(Box::new(layer));
        self
    }

    /// With a learning rate of one's own in place of `[train]`'s: a function of the step, from 0, and of nothing else, so
    /// that a run that goes on is the run it was. A checkpoint does not know it: give the same again.
    #[must_use]
    pub fn with_schedule(mut self, learning_rate: impl Fn(u64) -> f64 + 'c) -> Self {
        self.schedule = Box::new(learning_rate);
        self
    }

    /// With a name for what the run was made from beside its [`Job`], such as a hash of the first weights' files: every
    /// checkpoint's [`State`] has it, to be compared before a run goes on from one.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    fn same_run(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let (ours, theirs) = (self.state(), checkpoint.state());
        let what = if ours.model != theirs.model {
            "model".to_owned()
        } else if ours.data != theirs.data {
            format!("data ({} rows, now {})", theirs.data.rows, ours.data.rows)
        } else if ours.seed != theirs.seed {
            format!("seed ({}, now {})", theirs.seed, ours.seed)
        } else if ours.config.essence() != theirs.config.essence() {
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
    pub fn kept_bytes(&self) -> u64 {
        self.store.memory().kept()
    }

    /// The parameters of the embedding, a layer or the head as they stand, whole, in what the model computes in; those of a
    /// layer's adapters follow.
    ///
    /// # Errors
    /// When a collective fails.
    pub fn block(&self, index: usize) -> Result<Vec<Tensor>, TrainError> {
        self.store
            .look(index)?
            .iter()
            .map(|t| Ok(t.f_detach()?.copy()))
            .collect()
    }

    fn state(&self) -> State {
        State {
            v: Version,
            step: self.step,
            steps: self.order.steps(),
            seed: self.job.seed,
            world: self.store.comm().world(),
            config: self.job.config.clone(),
            model: self.job.model.to_json(),
            base: self.store.base().map(str::to_owned),
            origin: self.origin.clone(),
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
    tokenizer: &sky_data::Tokenizer,
    template: &sky_data::ChatTemplate,
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
