use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use sky_cli::{
    ModelConfig, Progress, Recipe, StageArgs, StageDef, StopSignal, UserError, layout, model_files,
    run_failed,
};
use sky_files::{Counts, read_json};
use sky_model::{ModelFiles, ModelText, ParamSpec, SaveOptions};
use sky_plan::{Hardware, HardwareConfig, ModelShape, TrainConfig};
use sky_train::{
    Dataset, DistributedEnv, Job, StepMetrics, StepTime, TrainError, encode, prune,
    session::{
        FinishedRun, Notice, RunSpec, Session, SessionConfig, SessionEnd, TrainingRun, check_memory,
    },
};
use sky_types::Conversation;
use tch::Kind;

use crate::{
    estimate::EstimateInput,
    size::{KnownSize, data_size, shape},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stage: StageArgs,
    /// Start the run even when the plan says that it does not fit into this machine's memory.
    #[arg(long)]
    overcommit: bool,
    /// Exit code, 0 to 255, of a run that was asked to stop and has saved its state; for schedulers
    /// that read 0 as finished.
    #[arg(long, value_name = "CODE", default_value_t = 0)]
    pub(crate) stopped_code: u8,
}

/// The run was asked to stop and has saved its state.
#[derive(Debug, thiserror::Error)]
#[error("stopped after step {step} of {steps}, saved; the same command resumes from there")]
struct Stopped {
    step: u64,
    steps: u64,
}

/// The stage's folder in the run folder.
const FOLDER: &str = "train";
const CHECKPOINTS: &str = "checkpoints";

pub(crate) fn run(args: &Args, cuda: bool) -> anyhow::Result<ExitCode> {
    let (overcommit, stopped_code) = (args.overcommit, ExitCode::from(args.stopped_code));
    let args = &args.stage;
    // Listens from the start, since reading a large model takes minutes. A run that is asked to
    // stop meanwhile stops after its first step.
    let stop = if args.is_dry_run() {
        StopSignal::never()
    } else {
        StopSignal::listen()?
    };
    let env = DistributedEnv::from_env().map_err(|error| UserError(error.to_string()))?;
    let settings = Settings::read(args, env.as_ref(), cuda)?;
    if args.is_dry_run() && env.as_ref().is_some_and(|env| env.rank > 0) {
        return Ok(ExitCode::SUCCESS);
    }
    let done = !args.force && args.path(FOLDER).join("manifest.json").exists();
    if !done && !args.is_dry_run() && !overcommit {
        settings.check_memory(env.as_ref(), cuda)?;
    }
    let (definition, model) = settings.stage(args, env.as_ref())?;
    if args.is_dry_run() {
        args.run(&settings.recipe, definition, |_| {
            anyhow::bail!("a dry run runs nothing")
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = &settings.config;
    let session = join(env, config, cuda)?;
    let training = Training {
        recipe: &settings.recipe,
        config,
        args,
        model: &model,
        session: &session,
        stop: &stop,
    };
    match training.run_stage(definition) {
        // A stopped run is no failure: its work is on disk.
        Err(error) if error.is::<Stopped>() => {
            if let Some(stopped) = error
                .downcast_ref::<Stopped>()
                .filter(|_| session.is_leader())
            {
                eprintln!("train: {stopped}");
            }
            return Ok(stopped_code);
        }
        other => other?,
    }
    if config.keep_finished == 0 && session.is_leader() {
        prune(&args.path(FOLDER).join(CHECKPOINTS), 0)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Joins the other ranks. A wrong launch is an error that the user can mend.
fn join(env: Option<DistributedEnv>, config: &TrainConfig, cuda: bool) -> anyhow::Result<Session> {
    let rank = env.as_ref().map(|env| env.rank);
    let options = SessionConfig::new(config).with_cuda(cuda);
    let joined = Session::join(env, &options).map_err(|error| match error {
        TrainError::Launch(reason) => UserError(reason).into(),
        other => anyhow::Error::from(other),
    });
    match rank {
        Some(rank) => joined.with_context(|| format!("rank {rank}")),
        None => joined,
    }
}

/// The sections of the recipe that this stage reads, checked.
struct Settings {
    recipe: Recipe,
    config: TrainConfig,
    student: ModelConfig,
    shape: ModelShape,
    options: HardwareConfig,
    size: Option<KnownSize>,
    /// The run folder, when its data can be counted.
    run: Option<PathBuf>,
}

impl Settings {
    fn read(args: &StageArgs, env: Option<&DistributedEnv>, cuda: bool) -> anyhow::Result<Self> {
        let recipe = args.load()?;
        let mut config: TrainConfig = recipe.section()?;
        let student: ModelConfig = recipe.parse_section("student")?;
        let shape = shape(&recipe, &student)?;
        let options: HardwareConfig = recipe.section()?;
        if cuda && recipe.has("hardware") {
            set_peak_and_price(&recipe, &mut config, &options, env)?;
        }
        // Data that cannot be read is not counted here; the training reports what is wrong with it.
        let counted = data_size(&recipe, Some(&args.run), &config, &options);
        let run = counted.is_ok().then(|| args.run.clone());
        let size = match counted {
            Ok(size) => size,
            Err(_) => data_size(&recipe, None, &config, &options)?,
        };
        Ok(Self {
            recipe,
            config,
            student,
            shape,
            options,
            size,
            run,
        })
    }

    /// Refuses a run that does not fit into memory by the plan.
    fn check_memory(&self, env: Option<&DistributedEnv>, cuda: bool) -> anyhow::Result<()> {
        let size = self.size.as_ref().map(|known| &known.size);
        check_memory(&self.shape, &self.config, env, size, cuda).map_err(|error| match error {
            TrainError::DoesNotFit(reason) => {
                UserError(format!("{reason}, or start it anyway with --overcommit")).into()
            }
            TrainError::Plan(error) => UserError(error.to_string()).into(),
            other => other.into(),
        })
    }

    /// The stage, and the student's path unless this is a dry run.
    fn stage(
        &self,
        args: &StageArgs,
        env: Option<&DistributedEnv>,
    ) -> anyhow::Result<(StageDef<'static>, PathBuf)> {
        let estimate = EstimateInput {
            recipe: &self.recipe,
            config: &self.config,
            shape: &self.shape,
            env,
            options: &self.options,
            run: self.run.as_deref(),
        };
        let estimate = estimate.estimate(self.size.as_ref())?;
        let mut inputs = vec![PathBuf::from(layout::SHAREGPT)];
        let mut model = PathBuf::new();
        if !args.dry_run {
            model = self
                .student
                .located(&self.recipe, "student")?
                .context("the student has no path")?
                .canonicalize()?;
            inputs.extend(model_files(&model)?);
        }
        let definition = StageDef {
            name: "train",
            inputs,
            config: serde_json::json!({ "train": self.config.resume_fingerprint() }),
            revision: 1,
            preserve: &[CHECKPOINTS],
            estimate,
        };
        Ok((definition, model))
    }
}

/// Fills in the peak FLOP/s and the rent of the GPUs from `[hardware]` where `[train]` lacks them.
fn set_peak_and_price(
    recipe: &Recipe,
    config: &mut TrainConfig,
    options: &HardwareConfig,
    env: Option<&DistributedEnv>,
) -> anyhow::Result<()> {
    let hardware = Hardware::builtin()?;
    let gpu = hardware
        .gpu(&options.gpu)
        .map_err(|error| recipe.error_at("hardware", "gpu", &error.to_string()))?;
    let gpus = env.map_or(1, |env| env.world_size) as f64;
    let price = options.dollars_per_gpu_hour.unwrap_or(gpu.dollars_per_hour);
    config.peak_flops = config.peak_flops.or(Some(gpu.bf16_flops));
    config.dollars_per_hour = config.dollars_per_hour.or(Some(price * gpus));
    Ok(())
}

/// The result of a stage: outputs, scratch files, counts.
type StageResult = (Vec<String>, Vec<String>, Counts);

/// One process's part of the training.
struct Training<'a> {
    recipe: &'a Recipe,
    config: &'a TrainConfig,
    args: &'a StageArgs,
    model: &'a Path,
    session: &'a Session,
    stop: &'a StopSignal,
}

impl Training<'_> {
    /// Runs the stage: rank 0 opens it and writes its manifest, the others train with it.
    fn run_stage(&self, definition: StageDef<'_>) -> anyhow::Result<()> {
        let done = self.session.lead_and_follow(
            |begin| {
                self.args.run(self.recipe, definition, |dir| {
                    begin()?;
                    self.run(dir.path(), Some(dir.input_hash()))
                })
            },
            || {
                let done = self.run(&self.args.path(FOLDER), None);
                done.map(drop).map_err(run_failed)
            },
            told_to_others,
        );
        match self.session.env() {
            Some(env) => done.map_err(|error| {
                if error.is::<Stopped>() {
                    return error;
                }
                error.context(format!("rank {}", env.rank))
            }),
            None => done,
        }
    }

    /// Trains and exports. Only rank 0 knows the input hash.
    fn run(&self, folder: &Path, input_hash: Option<String>) -> anyhow::Result<StageResult> {
        let files = ModelFiles::open(self.model)?;
        files.config().no_custom_layers()?;
        let (job, rows) = self.job(&files)?;
        let mut counts = Counts::new(rows, 0)
            .with("over_long", job.data.over_long())
            .with("no_target", job.data.no_target());
        // The run passed the memory check by its estimated size before any rank joined.
        let spec = RunSpec::new(job, folder)
            .with_input_hash(input_hash)
            .without_memory_check();
        let weights = &mut |param: &ParamSpec| Ok(files.tensor(&param.name, Kind::Float)?);
        let run = self
            .session
            .resume_or_start(spec, weights, &mut print_notice)?;
        let finished = match self.train(run)? {
            SessionEnd::Finished(finished) => finished,
            SessionEnd::Stopped { step, steps } => {
                self.session.exit_barrier()?;
                return Err(Stopped { step, steps }.into());
            }
        };
        counts = add_counts(counts, &finished);
        let outputs = self.export(&finished, &files)?;
        Ok((outputs, Vec::new(), counts))
    }

    /// The run's settings, model and data, and how many rows the data has.
    fn job(&self, files: &ModelFiles) -> anyhow::Result<(Job, u64)> {
        let (tokenizer, template) = (files.tokenizer()?, files.chat_template()?);
        let path = self.args.path(layout::SHAREGPT);
        let conversations: Vec<Conversation> = read_json(&path)?;
        let named = |error: TrainError| UserError(format!("{}: {error}", path.display()));
        let seqs = encode(&conversations, &tokenizer, &template).map_err(named)?;
        let data = Dataset::new(seqs, files.config().vocab_size, self.config).map_err(named)?;
        let job = Job {
            config: self.config.clone(),
            model: files.config().clone(),
            data,
            seed: self.recipe.seed,
        };
        Ok((job, conversations.len() as u64))
    }

    /// Trains with a progress bar on rank 0.
    fn train(&self, run: TrainingRun<'_>) -> Result<SessionEnd, TrainError> {
        let trainer = run.trainer();
        let progress = self.session.is_leader().then(|| {
            let progress = Progress::new("train", trainer.steps(), "steps");
            progress.skip(trainer.step());
            progress
        });
        run.train(&mut |metrics| {
            if let Some(progress) = &progress {
                progress.advance(1);
                progress.note(note(metrics));
            }
            if self.stop.raised() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    /// Writes the model; gives the stage's outputs.
    fn export(&self, finished: &FinishedRun, files: &ModelFiles) -> anyhow::Result<Vec<String>> {
        let text = ModelText {
            tokenizer: &files.tokenizer()?,
            template: &files.chat_template()?,
        };
        let base = &mut |param: &ParamSpec| files.tensor(&param.name, Kind::Float);
        let out = finished.export(Some(text), SaveOptions::default(), Some(base))?;
        let Some(out) = out else {
            return Ok(Vec::new());
        };
        let mut outputs = vec!["metrics.jsonl".to_owned()];
        for entry in fs::read_dir(&out)? {
            outputs.push(format!("model/{}", entry?.file_name().to_string_lossy()));
        }
        outputs.sort();
        Ok(outputs)
    }
}

/// The message about an error for the other ranks. None when they know already, or when the run was
/// only stopped.
fn told_to_others(error: &anyhow::Error) -> Option<String> {
    let known = error
        .downcast_ref::<TrainError>()
        .is_some_and(TrainError::is_collective);
    if known || error.is::<Stopped>() {
        return None;
    }
    // Contexts may have no text of their own.
    let causes = error.chain().map(ToString::to_string);
    let causes: Vec<String> = causes.filter(|cause| !cause.is_empty()).collect();
    Some(causes.join(": "))
}

fn print_notice(notice: &Notice) {
    eprintln!("train: {notice}");
}

/// Adds a finished run's counts for the manifest.
fn add_counts(counts: Counts, finished: &FinishedRun) -> Counts {
    let history = finished.history();
    let tokens: u64 = history.iter().map(|step| step.tokens).sum();
    let last = history.last();
    let mut counts = Counts {
        count_out: finished.steps(),
        ..counts
    }
    .with("tokens", tokens)
    .with("final_loss", last.map(|step| step.loss));
    if let Some(loss) = last.and_then(|step| step.validation_loss) {
        counts = counts.with("validation_loss", loss);
    }
    counts
}

/// The text beside the progress bar after a step.
fn note(metrics: &StepMetrics) -> String {
    let validation = metrics
        .validation_loss
        .map_or_else(String::new, |loss| format!("  validation {loss:.4}"));
    format!(
        "loss {:.4}{validation}  {}",
        metrics.loss,
        spent(&metrics.time)
    )
}

/// Tokens per second, MFU, peak memory and cost so far; unknown ones are left out.
fn spent(time: &StepTime) -> String {
    let mut text = format!("{:.0} tok/s", time.tokens_per_second);
    if let Some(mfu) = time.mfu {
        text += &format!("  MFU {:.0} %", mfu * 100.0);
    }
    if let Some(bytes) = time.memory.gpu.or(time.memory.peak) {
        text += &format!("  {:.1} GB", bytes as f64 / 1e9);
    }
    if let Some(dollars) = time.dollars {
        text += &format!("  ${dollars:.2}");
    }
    text
}
