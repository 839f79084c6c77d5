//! Layers and learning rates that a program brings itself.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{
    LLAMA, QWEN2, bits, config, initial, job, model, newest, on_ranks, trainer, try_trainer,
};
use sky_model::{Config, ModelFiles, PackedSequences, ParamSpec, SaveOptions, blocks, layer};
use sky_plan::{ActivationCheckpointing, LoraConfig, TrainConfig};
use sky_train::{Collective, SingleProcess, TrainError, Trainer, export};
use tch::{Device, Kind, Tensor};

/// The model with the same layers under another name: what comes out is known.
fn renamed(base: &Config) -> Config {
    let layers = blocks(base);
    base.clone()
        .with_custom_layers("renamed", |index| layers[index + 1].params.clone())
        .unwrap()
}

fn begin<'c>(
    base: &'c Config,
    model: &Config,
    config: &TrainConfig,
    comm: &'c dyn Collective,
) -> Trainer<'c> {
    let job = job(model, config, 4);
    let trainer = Trainer::new(job, Device::Cpu, comm, &mut |param| Ok(initial(param))).unwrap();
    with_base(trainer, base)
}

fn with_base<'c>(trainer: Trainer<'c>, base: &'c Config) -> Trainer<'c> {
    trainer.with_layers(|_, params, x, sequences| layer(base, params, x, sequences))
}

fn steps(trainer: &mut Trainer<'_>, count: u64) -> Vec<f64> {
    (0..count)
        .map(|_| trainer.train_step().unwrap().loss)
        .collect()
}

#[test]
fn the_known_layers_brought_from_outside_give_the_same_bits() {
    for (text, checkpointing) in [
        (LLAMA, ActivationCheckpointing::None),
        (LLAMA, ActivationCheckpointing::Full),
        (QWEN2, ActivationCheckpointing::Auto),
    ] {
        let (base, config) = (
            model(text),
            TrainConfig {
                activation_checkpointing: checkpointing,
                validation_rows: 3,
                ..config()
            },
        );
        let own = renamed(&base);
        let mut theirs = trainer(job(&base, &config, 4));
        let mut ours = begin(&base, &own, &config, &SingleProcess);
        assert_eq!(steps(&mut ours, 4), steps(&mut theirs, 4));
        assert_eq!(bits(&ours, &own), bits(&theirs, &base));
        assert!(ours.history()[0].time.mfu.is_none());
    }
}

#[test]
fn they_are_sharded_like_any_other() {
    let base = model(QWEN2);
    let own = renamed(&base);
    let found = on_ranks(2, |comm| {
        let mut ours = begin(&base, &own, &config(), comm);
        let ours = (steps(&mut ours, 3), bits(&ours, &own));
        let job = job(&base, &config(), 4);
        let mut theirs = Trainer::new(job, Device::Cpu, comm, &mut |p| Ok(initial(p))).unwrap();
        (ours, (steps(&mut theirs, 3), bits(&theirs, &base)))
    });
    for (ours, theirs) in found {
        assert_eq!(ours, theirs);
    }
}

/// A layer with an unused parameter and one that differs from layer to layer.
fn gated(index: usize, params: &[Tensor], x: &Tensor, _: &PackedSequences) -> Tensor {
    x + x.linear::<Tensor>(&params[1], None).tanh() * (index as f64 + 0.5)
}

fn gated_model() -> Config {
    model(LLAMA)
        .with_custom_layers("gated", |index| {
            vec![
                ParamSpec::new(format!("layers.{index}.spare"), &[5]),
                ParamSpec::new(format!("layers.{index}.mix"), &[16, 16]),
            ]
        })
        .unwrap()
}

fn half_way(dir: &Path, config: &TrainConfig) {
    let mut first = trainer(job(&gated_model(), config, 4)).with_layers(gated);
    steps(&mut first, 3);
    first.save(&dir.join("checkpoints")).unwrap();
}

#[test]
fn a_run_resumes_from_its_checkpoint_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let (own, config) = (gated_model(), config());
    half_way(dir.path(), &config);
    let resume = |model: &Config| {
        let job = job(model, &config, 4);
        let none = &mut |_: &ParamSpec| panic!("no weight is asked for");
        Trainer::resume(job, Device::Cpu, &SingleProcess, &newest(dir.path()), none)
    };
    let mut resumed = resume(&own).unwrap().with_layers(gated);
    let mut whole = trainer(job(&own, &config, 4)).with_layers(gated);
    let losses = steps(&mut whole, 6);
    assert_eq!(steps(&mut resumed, 3), losses[3..]);
    assert_eq!(bits(&resumed, &own), bits(&whole, &own));
    assert!(losses[5] < losses[0]);

    let others = renamed(&model(LLAMA));
    let error = resume(&others).err().unwrap().to_string();
    assert!(error.contains("other model"), "{error}");
}

#[test]
fn an_export_has_their_parameters_and_is_taken_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    half_way(dir.path(), &config());
    let (checkpoint, out) = (newest(dir.path()), dir.path().join("model"));
    let options = SaveOptions {
        kind: Kind::Float,
        ..SaveOptions::default()
    };
    export(&checkpoint, None, options, &out).unwrap();
    let files = ModelFiles::open(&out).unwrap();
    assert_eq!(*files.config(), gated_model());
    for param in blocks(files.config()).iter().flat_map(|b| &b.params) {
        let written = files.tensor(&param.name, Kind::Float).unwrap();
        assert_eq!(written, checkpoint.tensor(param).unwrap(), "{}", param.name);
    }
    let text = std::fs::read_to_string(out.join("config.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["model_type"], "gated");
}

fn refusal(trainer: Trainer<'_>) -> String {
    let mut trainer = trainer;
    let before = trainer.step();
    let error = trainer.train_step().unwrap_err().to_string();
    assert_eq!(trainer.step(), before);
    error
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let (own, plain, config) = (gated_model(), model(LLAMA), config());
    let missing = refusal(trainer(job(&own, &config, 4)));
    assert!(missing.contains("its layers are `gated`"), "{missing}");
    let unnamed = refusal(trainer(job(&plain, &config, 4)).with_layers(gated));
    assert!(unnamed.contains("with_custom_layers"), "{unnamed}");
    let narrow = trainer(job(&own, &config, 4)).with_layers(|_, _, x, _| x.narrow(1, 0, 8));
    let narrow = refusal(narrow);
    assert!(narrow.contains("layer 0 gives Float of shape"), "{narrow}");

    let adapters = TrainConfig {
        lora: Some(LoraConfig::default()),
        ..config
    };
    let error = try_trainer(job(&own, &adapters, 4)).err().unwrap();
    assert!(matches!(error, TrainError::Config { key: "lora", .. }));
}

#[test]
fn a_run_that_fails_says_how_many_steps_are_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        background_save: false,
        activation_checkpointing: ActivationCheckpointing::None,
        micro_batch_tokens: 4096,
        ..config()
    };
    // Two layers a step: the sixth step's are no numbers.
    let calls = std::cell::Cell::new(0);
    let mut broken = trainer(job(&gated_model(), &config, 4)).with_layers(|index, params, x, s| {
        calls.set(calls.get() + 1);
        let y = gated(index, params, x, s);
        if calls.get() > 10 { y * f64::NAN } else { y }
    });
    let never_stop = &mut |_: &_| std::ops::ControlFlow::Continue(());
    let error = broken.run(dir.path(), never_stop).unwrap_err().to_string();
    assert!(error.contains("step 6: the loss is not finite"), "{error}");
    let lost = "the last good checkpoint is of step 4: 1 of 5 steps are repeated";
    assert!(error.contains(lost), "{error}");
    assert_eq!(newest(dir.path()).state().step, 4);
}

#[test]
fn a_gradient_that_is_no_number_ends_the_run_before_anything_is_changed() {
    let (model, config) = (gated_model(), config());
    // Nothing is added to the value, and infinity times zero to the gradient.
    let mut broken = trainer(job(&model, &config, 4)).with_layers(|index, params, x, s| {
        let y = gated(index, params, x, s);
        &y + (&y * 0.0).square().sqrt()
    });
    let before = bits(&broken, &model);
    let error = broken.train_step().unwrap_err().to_string();
    assert!(
        error.contains("step 1: the gradient's norm is not finite; rows ["),
        "{error}"
    );
    assert_eq!(bits(&broken, &model), before);
}

#[test]
fn a_schedule_of_ones_own_takes_the_place_of_the_settings() {
    let (plain, config) = (model(LLAMA), config());
    let rate = |step: u64| 1e-3 / (step + 1) as f64;
    let mut own = trainer(job(&plain, &config, 4)).with_schedule(rate);
    steps(&mut own, 3);
    let rates: Vec<f64> = own.history().iter().map(|step| step.lr).collect();
    assert_eq!(rates, [rate(0), rate(1), rate(2)]);
    for bad in [f64::NAN, f64::INFINITY, -1e-3] {
        let error = refusal(trainer(job(&plain, &config, 4)).with_schedule(move |_| bad));
        assert!(error.contains("at step 1"), "{error}");
    }
    let still = trainer(job(&plain, &config, 4)).with_schedule(|_| 0.0);
    let (mut still, before) = (still, bits(&trainer(job(&plain, &config, 4)), &plain));
    steps(&mut still, 1);
    assert_eq!(bits(&still, &plain), before);
}
