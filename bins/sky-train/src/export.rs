use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use sky_cli::UserError;
use sky_model::{ModelFiles, ParamSpec, SaveOptions};
use sky_train::{Checkpoint, export, export_adapter, export_merged};
use tch::Kind;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkpoint, or a folder of checkpoints, of which the newest good one is taken.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The model whose tokenizer and chat template go with the weights: the one training began
    /// with.
    #[arg(long, value_name = "MODEL")]
    text: Option<PathBuf>,
    /// The model that a run's adapters belong to, to merge them into; when it is not given, that of
    /// --text.
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
    /// Write the adapters alone, f32, as PEFT does.
    #[arg(long, conflicts_with = "dtype")]
    adapter: bool,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Kind of the weights on disk.
    #[arg(long, value_enum, default_value_t = Dtype::Bf16)]
    dtype: Dtype,
    /// Replace what the folder holds.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dtype {
    Bf16,
    F16,
    F32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let taken = args.out.exists()
        && std::fs::read_dir(&args.out).map_or(true, |mut entries| entries.next().is_some());
    if taken && !args.force {
        return Err(UserError(format!(
            "{} exists and is not empty: choose another folder, or --force",
            args.out.display()
        ))
        .into());
    }
    let out = args.out.canonicalize().ok();
    for (option, model) in [("--base", &args.base), ("--text", &args.text)] {
        let same = |path: &PathBuf| out.is_some() && path.canonicalize().ok() == out;
        if model.as_ref().is_some_and(same) {
            return Err(UserError(format!(
                "--out is the folder of {option}, which is read: choose another folder"
            ))
            .into());
        }
    }
    let checkpoint = open(&args.from)?;
    let text = args
        .text
        .as_deref()
        .map(|path| {
            let files = ModelFiles::open(path)?;
            Ok::<_, sky_model::ModelError>((files.tokenizer()?, files.chat_template()?))
        })
        .transpose()?;
    let options = SaveOptions {
        kind: match args.dtype {
            Dtype::Bf16 => Kind::BFloat16,
            Dtype::F16 => Kind::Half,
            Dtype::F32 => Kind::Float,
        },
        ..SaveOptions::default()
    };
    let text = text
        .as_ref()
        .map(|(tokenizer, template)| (tokenizer, template));
    let base = args.base.as_deref().or(args.text.as_deref());
    let name = base.map_or_else(String::new, |base| base.display().to_string());
    if args.adapter {
        export_adapter(&checkpoint, &name, &args.out)?;
    } else if checkpoint.state().config.lora.is_some() {
        let base = base.ok_or_else(|| {
            UserError(format!(
                "{} holds adapters alone: give the model they belong to with --base, or write them as they are with --adapter",
                checkpoint.path().display()
            ))
        })?;
        let files = ModelFiles::open(base)?;
        let weights = &mut |param: &ParamSpec| files.tensor(&param.name, Kind::Float);
        export_merged(&checkpoint, weights, text, options, &args.out)?;
    } else {
        export(&checkpoint, text, options, &args.out)?;
    }
    println!(
        "{}: step {} of {}, from {}",
        args.out.display(),
        checkpoint.state().step,
        checkpoint.state().steps,
        checkpoint.path().display()
    );
    Ok(())
}

fn open(from: &Path) -> anyhow::Result<Checkpoint> {
    if from.join("manifest.json").exists() && from.join("state.json").exists() {
        return Ok(Checkpoint::open(from)?);
    }
    if !from.exists() {
        return Err(UserError(format!("{} does not exist", from.display())).into());
    }
    Checkpoint::newest(from, &mut |line| eprintln!("{line}"))?
        .with_context(|| format!("{} holds no good checkpoint", from.display()))
}
