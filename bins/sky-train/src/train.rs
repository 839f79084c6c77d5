use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use sky_cli::{
    Invalid, ModelConfig, Plan, Progress, Recipe, StageArgs, Stop, Work, layout, model_files,
    run_failed,
};
use sky_files::{Counts, read_json};
use sky_model::{ModelFiles, ParamSpec, SaveOptions};
use sky_train::{
    Checkpoint, Checkpointing, Dataset, Ended, Hardware, HardwareConfig, Job, ModelShape, Order,
    Ranks, StepTime, TrainConfig, TrainError, Trainer, encode, export, export_merged, prune,
};
use sky_types::Conversation;
use tch::Kind;

use crate::{
    fits,
    group::Group,
    plan::{Planned, hardware_section, words},
    size::{DataSize, data_size, shape},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stage: StageArgs,
    /// Start a run that by the plan does not fit into this machine's memory.
    #[arg(long)]
    overcommit: bool,
    /// Exit code of a run that was told to stop and has saved, for schedulers that take 0 for the end.
    #[arg(long, value_name = "CODE", default_value_t = 0)]
    pub(crate) stopped_code: u8,
}

/// The run was asked to stop and has saved its state.
#[derive(Debug, thiserror::Error)]
#[error("stopped after step {step} of {steps}, saved; the same command goes on from there")]
pub(crate) struct Stopped {
    step: u64,
    steps: u64,
}

/// The stage's folder in the run folder.
const FOLDER: &str = "train";
const CHECKPOINTS: &str = "checkpoints";
const MODEL: &str = "model";

pub(crate) fn run(args: &Args, cuda: bool) -> anyhow::Result<ExitCode> {
    let (overcommit, stopped) = (args.overcommit, ExitCode::from(args.stopped_code));
    let args = &args.stage;
    // From the beginning: a large model takes minutes to read. The run then stops after its first step.
    let stop = if args.looks_only() {
        Stop::never()
    } else {
        Stop::listen()?
    };
    let recipe = args.load()?;
    let mut config: TrainConfig = recipe.section("train")?;
    config
        .check()
        .map_err(|(key, reason)| recipe.complain("train", key, &reason))?;
    let student: ModelConfig = recipe.section("student")?;
    let shape = shape(&recipe, &student)?;
    let ranks = Ranks::from_env().map_err(|error| Invalid(error.to_string()))?;
    if args.looks_only() && ranks.as_ref().is_some_and(|ranks| ranks.rank > 0) {
        return Ok(ExitCode::SUCCESS);
    }
    let options = hardware_section(&recipe)?;
    if cuda && recipe.has("hardware") {
        priced(&recipe, &mut config, &options, ranks.as_ref())?;
    }
    // Data that cannot be read is not counted; whoever trains on it is told.
    let counted = data_size(&recipe, Some(&args.run), &config, &options);
    let run = counted.is_ok().then_some(&*args.run);
    let size = match counted {
        Ok(size) => size,
        Err(_) => data_size(&recipe, None, &config, &options)?,
    };
    let to_be_done = args.force || !args.path(FOLDER).join("manifest.json").exists();
    if to_be_done && !args.looks_only() && !overcommit {
        match (cuda, &size) {
            (false, size) => fits::check(&shape, &config, ranks.as_ref(), size.as_ref())?,
            (true, Some(size)) => {
                if let Some(host) = fits::GpuHost::here(ranks.as_ref()) {
                    host.check(&shape, &config, size)?;
                }
            }
            (true, None) => {}
        }
    }
    let expected = Expected {
        recipe: &recipe,
        config: &config,
        shape: &shape,
        ranks: ranks.as_ref(),
        options,
        run,
    };
    let plan = expected.plan(size)?;
    let mut inputs = vec![PathBuf::from(layout::SHAREGPT)];
    let mut model = PathBuf::new();
    if !args.dry_run {
        model = student
            .located(&recipe, "student")?
            .context("the student has no path")?
            .canonicalize()?;
        inputs.extend(model_files(&model)?);
    }
    let work = Work {
        name: "train",
        inputs,
        config: serde_json::json!({ "train": config.essence() }),
        revision: 1,
        keeps: &[CHECKPOINTS],
        plan,
    };
    if args.looks_only() {
        args.run(&recipe, work, |_| unreachable_in_a_dry_run())?;
        return Ok(ExitCode::SUCCESS);
    }
    let group = Group::join(ranks, &config, cuda)?;
    let training = Training {
        recipe: &recipe,
        config: &config,
        args,
        model: &model,
        group: &group,
        stop: &stop,
    };
    let checkpoints = args.path(FOLDER).join(CHECKPOINTS);
    let done = group.together(
        |begin| {
            args.run(&recipe, work, |dir| {
                begin()?;
                training.run(dir.path(), Some(dir.origin()))
            })
        },
        || {
            let done = training.run(&args.path(FOLDER), None);
            done.map(|_| ()).map_err(run_failed)
        },
    );
    match done {
        // Preemption is no failure: the work is on disk.
        Err(error) if error.is::<Stopped>() => {
            if let Some(said) = error.downcast_ref::<Stopped>().filter(|_| group.leads()) {
                eprintln!("train: {said}");
            }
            return Ok(stopped);
        }
        other => other?,
    }
    if config.keep_finished == 0 && group.leads() {
        prune(&checkpoints, 0)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `[train]` does not say of the GPUs' peak and rent, from `[hardware]`.
fn priced(
    recipe: &Recipe,
    config: &mut TrainConfig,
    options: &HardwareConfig,
    ranks: Option<&Ranks>,
) -> anyhow::Result<()> {
    let hardware = Hardware::builtin()?;
    let gpu = hardware
        .gpu(&options.gpu)
        .map_err(|error| recipe.complain("hardware", "gpu", &error.to_string()))?;
    let gpus = ranks.map_or(1, |ranks| ranks.world) as f64;
    let price = options.dollars_per_gpu_hour.unwrap_or(gpu.dollars_per_hour);
    config.peak_flops = config.peak_flops.or(Some(gpu.bf16_flops));
    config.dollars_per_hour = config.dollars_per_hour.or(Some(price * gpus));
    Ok(())
}

fn unreachable_in_a_dry_run() -> anyhow::Result<Made> {
    anyhow::bail!("a dry run runs nothing")
}

/// What a dry run tells from.
struct Expected<'a> {
    recipe: &'a Recipe,
    config: &'a TrainConfig,
    shape: &'a ModelShape,
    ranks: Option<&'a Ranks>,
    options: HardwareConfig,
    /// The run folder, when its data can be counted.
    run: Option<&'a Path>,
}

impl Expected<'_> {
    /// What a dry run says: for the recipe's [hardware] when it names some, else for this machine's cores and memory.
    fn plan(self, size: Option<DataSize>) -> anyhow::Result<Plan> {
        let Self {
            recipe,
            config,
            shape,
            ranks,
            options,
            run,
        } = self;
        let trained = match &config.lora {
            Some(_) => format!(
                " ({:.1} M in adapters are trained)",
                shape.trained(config) as f64 / 1e6
            ),
            None => String::new(),
        };
        let params = shape.params() as f64 / 1e9;
        let Some(size) = size else {
            return Ok(Plan {
                what: format!(
                    "{params:.2} B parameters{trained}; rows are not known before the data is"
                ),
                seconds: None,
            });
        };
        let steps = Order::new(config, config.training_rows(size.rows) as usize, 0).steps();
        let batch = (config.global_batch as u64).min(size.rows);
        let tokens = steps as f64 * batch as f64 * size.tokens_per_row;
        let mut what = format!(
            "{} rows ({}): {steps} steps of {batch} rows, {:.2} M tokens, {params:.2} B parameters{trained}",
            size.rows,
            size.source,
            tokens / 1e6
        );
        let hardware = Hardware::builtin()?;
        if recipe.has("hardware") {
            let planned = Planned::new(
                recipe,
                shape.clone(),
                config.clone(),
                hardware,
                options.clone(),
                run,
            )?;
            let plan = planned.plan()?;
            let set = &plan.as_set;
            what += &format!(
                "; {} x {}, {}, {:.0} GB a GPU, ${:.0}",
                options.gpus,
                options.gpu,
                words(set.setting),
                set.gpu_bytes.total as f64 / 1e9,
                set.dollars,
            );
            if !set.fits {
                what += ", does not fit";
                if plan.fits {
                    what += &format!(" ({} does)", words(plan.best.setting));
                }
            }
            return Ok(Plan {
                what,
                seconds: Some(set.hours * 3600.0),
            });
        }
        let cores = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let computed_again = match config.activation_checkpointing {
            Checkpointing::Auto => 0,
            chosen => chosen.again(shape.layers),
        };
        if let Some((plan, memory)) = fits::plan(shape, config, ranks, Some(&size)) {
            what += &format!(
                "; about {:.1} of {:.1} GB of memory",
                plan.host_bytes as f64 / 1e9,
                memory as f64 / 1e9
            );
            if let Some(advice) = plan.advice {
                what += &format!(", does not fit: {advice}");
            }
        }
        let flops = shape.step_flops(size.tokens_per_row, config, computed_again) * tokens;
        Ok(Plan {
            seconds: Some(flops / (hardware.cpu.flops_per_core * cores as f64)),
            what,
        })
    }
}

/// What a stage hands back: outputs, scratch files, counts.
type Made = (Vec<String>, Vec<String>, Counts);

/// One process's part of the training.
struct Training<'a> {
    recipe: &'a Recipe,
    config: &'a TrainConfig,
    args: &'a StageArgs,
    model: &'a Path,
    group: &'a Group,
    stop: &'a Stop,
}

impl Training<'_> {
    /// `origin` is known to rank 0.
    fn run(&self, dir: &Path, origin: Option<String>) -> anyhow::Result<Made> {
        let (config, group) = (self.config, self.group);
        sky_torch::set_threads(match config.threads {
            0 => group.threads(),
            threads => threads,
        });
        let device = group.device();
        let files = ModelFiles::open(self.model)?;
        files.config().no_own_layers()?;
        let (tokenizer, template) = (files.tokenizer()?, files.chat_template()?);
        let path = self.args.path(layout::SHAREGPT);
        let conversations: Vec<Conversation> = read_json(&path)?;
        let named = |error: TrainError| Invalid(format!("{}: {error}", path.display()));
        let seqs = encode(&conversations, &tokenizer, &template).map_err(named)?;
        let data = Dataset::new(seqs, files.config().vocab_size, config).map_err(named)?;
        let (over_long, no_target) = (data.over_long(), data.no_target());
        let job = Job {
            config: config.clone(),
            model: files.config().clone(),
            data,
            seed: self.recipe.seed,
        };
        group.same_everywhere(&job)?;
        let root = dir.join(CHECKPOINTS);
        let newest = group.newest_checkpoint(&root, origin.as_deref())?;
        let base = |param: &ParamSpec| files.tensor(&param.name, Kind::Float);
        let weights = &mut |param: &ParamSpec| Ok(base(param)?);
        let mut trainer = match &newest {
            Some(checkpoint) => Trainer::resume(job, device, group.comm(), checkpoint, weights)?,
            None => Trainer::new(job, device, group.comm(), weights)?,
        };
        drop(newest);
        if let Some(origin) = origin {
            trainer = trainer.with_origin(origin);
        }
        if group.leads() {
            tell_what_is_lost(&dir.join("metrics.jsonl"), trainer.step());
        }

        let ended = self.steps(&mut trainer, dir)?;
        let steps = trainer.steps();
        if let Ended::Stopped { step } = ended {
            group.leave()?;
            return Err(Stopped { step, steps }.into());
        }
        let tokens: u64 = trainer.history().iter().map(|m| m.tokens).sum();
        let last = trainer.history().last();
        let final_loss = last.map(|m| m.loss);
        let validation_loss = last.and_then(|m| m.validation_loss);
        // The model is written from the checkpoint, a parameter at a time: the run's own memory is free by then.
        drop(trainer);
        let mut counts = Counts::new(conversations.len() as u64, steps)
            .with("tokens", tokens)
            .with("final_loss", final_loss)
            .with("over_long", over_long)
            .with("no_target", no_target);
        if let Some(loss) = validation_loss {
            counts = counts.with("validation_loss", loss);
        }
        if !group.leads() {
            return Ok((Vec::new(), Vec::new(), counts));
        }

        let checkpoint = Checkpoint::newest(&root, &mut |line| eprintln!("train: {line}"))?
            .filter(|found| found.state().step == steps)
            .context(
                "the last checkpoint cannot be read back; the same command trains its steps again",
            )?;
        let out = dir.join(MODEL);
        if out.exists() {
            fs::remove_dir_all(&out).with_context(|| format!("cannot clear {}", out.display()))?;
        }
        let (text, options) = (Some((&tokenizer, &template)), SaveOptions::default());
        match config.lora {
            None => export(&checkpoint, text, options, &out)?,
            Some(_) => export_merged(&checkpoint, &mut |p| base(p), text, options, &out)?,
        }
        // The last one stays until the stage is done: what ends before that goes on from it.
        prune(&root, config.keep_finished.max(1))?;
        let mut outputs = vec!["metrics.jsonl".to_owned()];
        for entry in fs::read_dir(&out)? {
            outputs.push(format!("{MODEL}/{}", entry?.file_name().to_string_lossy()));
        }
        outputs.sort();
        Ok((outputs, Vec::new(), counts))
    }

    fn steps(&self, trainer: &mut Trainer<'_>, dir: &Path) -> anyhow::Result<Ended> {
        let progress = self
            .group
            .leads()
            .then(|| Progress::new("train", trainer.steps(), "steps"));
        if let Some(progress) = &progress {
            progress.skip(trainer.step());
        }
        Ok(trainer.run(dir, &mut |metrics| {
            if let Some(progress) = &progress {
                progress.advance(1);
                let validation = metrics
                    .validation_loss
                    .map_or_else(String::new, |loss| format!("  validation {loss:.4}"));
                progress.note(format!(
                    "loss {:.4}{validation}  {}",
                    metrics.loss,
                    spent(&metrics.time)
                ));
            }
            if self.stop.raised() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?)
    }
}

/// Says how many steps a killed process had done since the checkpoint that the run goes on from.
fn tell_what_is_lost(metrics: &Path, step: u64) {
    // What it holds beyond the checkpoint is cut off when the run goes on.
    let lines = fs::read(metrics).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count());
    let lost = (lines as u64).saturating_sub(step);
    if lost > 0 {
        let steps = if lost == 1 { "step" } else { "steps" };
        eprintln!(
            "train: goes on after step {step}; done again since that checkpoint: {lost} {steps}"
        );
    }
}

/// Pace, MFU, most memory and cost so far, as far as they are known.
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
