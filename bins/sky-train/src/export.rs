use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use sky_cli::UserError;
use sky_model::{ModelFiles, ModelText, ParamSpec, SaveOptions};
use sky_train::{Checkpoint, export, export_adapter, export_merged};
use tch::Kind;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Checkpoint to export, or a folder of checkpoints; then the newest intact one is exported.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Model whose tokenizer and chat template are written with the weights, the one that training
    /// started from; default: none are written.
    #[arg(long, value_name = "MODEL")]
    text: Option<PathBuf>,
    /// Model that the checkpoint's adapters are merged into, the one that training started from;
    /// default: that of --text.
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
    /// Write the adapters alone, in f32 and PEFT's format, instead of a merged model.
    #[arg(long, conflicts_with = "dtype")]
    adapter: bool,
    /// Folder to write; must be missing or empty unless --force is given.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Dtype of the written weights.
    #[arg(long, value_enum, default_value_t = Dtype::Bf16)]
    dtype: Dtype,
    /// Write into --out even when it is not empty; replaces the model in it.
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
            "{} exists and is not empty: choose another folder, or use --force",
            args.out.display()
        ))
        .into());
    }
    let out = args.out.canonicalize().ok();
    for (option, model) in [("--base", &args.base), ("--text", &args.text)] {
        let same = |path: &PathBuf| out.is_some() && path.canonicalize().ok() == out;
        if model.as_ref().is_some_and(same) {
            return Err(UserError(format!(
                "--out and {option} are the same folder, which export reads from: \
                 choose another --out"
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
    let text = text.as_ref().map(|(tokenizer, template)| ModelText {
        tokenizer,
        template,
    });
    let base = args.base.as_deref().or(args.text.as_deref());
    let name = base.map_or_else(String::new, |base| base.display().to_string());
    if args.adapter {
        export_adapter(&checkpoint, &name, &args.out)?;
    } else if checkpoint.state().config.lora.is_some() {
        let base = base.ok_or_else(|| {
            UserError(format!(
                "{} holds adapters alone: name the model they belong to with --base, \
                 or write them alone with --adapter",
                checkpoint.path().display()
            ))
        })?;
        let files = ModelFiles::open(base)?;
        let weights = &mut |param: &ParamSpec| files.tensor(&param.name, Kind::Float);
        export_merged(&checkpoint, weights, text, options, &args.out)?;
    } else {
        export(&checkpoint, text, options, &args.out)?;
    }
    sky_cli::outln!(
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
        .with_context(|| format!("{} holds no intact checkpoint", from.display()))
}
