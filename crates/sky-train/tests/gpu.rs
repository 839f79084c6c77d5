//! What has to be checked on a machine with a GPU; `cargo xtask gpu-check` runs it. Not yet run on
//! a GPU.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

use common::{LLAMA, QWEN2, bits, config, initial, job, model, newest};
use serde_json::json;
use sky_model::{Config, ParamSpec};
use sky_plan::{
    ActivationCheckpointing, Hardware, MasterDtype, ModelShape, Offload, OptimizerDtype, Precision,
    TrainConfig,
};
use sky_torch::{NcclGroup, gpu_memory, load_cuda, nccl_id};
use sky_train::{
    Dataset, DistributedEnv, Gloo, Job, Nccl, SingleProcess, Trainer, free_port, init_param,
};
use sky_types::{TokenSeq, derive_seed};
use tch::{Cuda, Device, Kind, Tensor};

const GPU: Device = Device::Cuda(0);
const STEPS: usize = 5;

fn gpu() {
    assert!(load_cuda(), "libtorch finds no GPU it can use");
}

fn trained(model: &Config, config: &TrainConfig, device: Device) -> Trainer<'static> {
    let job = job(model, config, 4);
    let mut trainer = Trainer::new(job, device, &SingleProcess, &mut |p| Ok(initial(p))).unwrap();
    for _ in 0..STEPS {
        trainer.train_step().unwrap();
    }
    trainer
}

fn losses(trainer: &Trainer<'_>) -> Vec<f64> {
    trainer.history().iter().map(|m| m.loss).collect()
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let of = |(a, b): (&f64, &f64)| (a - b).abs() / a.abs();
    a.iter().zip(b).map(of).fold(0.0, f64::max)
}

#[test]
#[ignore = "needs a GPU"]
fn losses_are_the_cpu_s() {
    gpu();
    for text in [QWEN2, LLAMA] {
        let model = model(text);
        for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 2e-2)] {
            let config = TrainConfig {
                precision,
                ..config()
            };
            let cpu = losses(&trained(&model, &config, Device::Cpu));
            let gpu = losses(&trained(&model, &config, GPU));
            let apart = apart(&cpu, &gpu);
            println!("{precision:?}: losses of CPU and GPU are {apart:.1e} apart");
            assert!(apart < tolerance, "{cpu:?} {gpu:?}");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn packed_documents_are_attended_to_by_one_kernel_as_one_by_one() {
    gpu();
    const LENGTHS: [i64; 4] = [70, 1, 129, 300];
    let tokens: i64 = LENGTHS.iter().sum();
    let random = |heads: i64| Tensor::randn([tokens, heads, 64], (Kind::Float, GPU));
    let (q, k, v, up) = (random(6), random(2), random(2), random(6).flatten(1, 2));
    let starts: Vec<i32> = std::iter::once(0)
        .chain(LENGTHS.iter().scan(0, |end, n| {
            *end += *n as i32;
            Some(*end)
        }))
        .collect();
    let run = |kind: Kind, attend: &dyn Fn([&Tensor; 3]) -> Tensor| {
        let leaf = |t: &Tensor| t.to_kind(kind).set_requires_grad(true);
        let leaves = [leaf(&q), leaf(&k), leaf(&v)];
        let out = attend([&leaves[0], &leaves[1], &leaves[2]]);
        let inputs: Vec<&Tensor> = leaves.iter().collect();
        let grads = sky_torch::backward(&[&out], &[&up.to_kind(kind)], &inputs).unwrap();
        let grads = grads.into_iter().map(Option::unwrap);
        std::iter::once(out.detach())
            .chain(grads)
            .collect::<Vec<_>>()
    };
    let one = run(Kind::BFloat16, &|[q, k, v]| {
        let starts = Tensor::from_slice(&starts).to_device(GPU);
        sky_torch::varlen_attention(q, k, v, &starts, 300).unwrap()
    });
    let each = run(Kind::Float, &|[q, k, v]| {
        let outs: Vec<Tensor> = (0..LENGTHS.len())
            .map(|at| {
                let part = |t: &Tensor| {
                    let t = t.narrow(0, i64::from(starts[at]), LENGTHS[at]);
                    t.transpose(0, 1).unsqueeze(0)
                };
                let none: Option<&Tensor> = None;
                Tensor::scaled_dot_product_attention(
                    &part(q),
                    &part(k),
                    &part(v),
                    none,
                    0.0,
                    true,
                    None,
                    true,
                )
                .squeeze_dim(0)
                .transpose(0, 1)
                .flatten(1, 2)
            })
            .collect();
        Tensor::cat(&outs, 0)
    });
    for (name, (one, each)) in ["out", "dq", "dk", "dv"].iter().zip(one.iter().zip(&each)) {
        let off = (one.to_kind(Kind::Float) - each).norm() / each.norm();
        let off = off.double_value(&[]);
        println!("{name}: one kernel and one by one are {off:.1e} apart");
        assert!(off < 2e-2, "{name}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_repeated_run_has_the_same_bits() {
    gpu();
    let model = model(QWEN2);
    for precision in [Precision::F32, Precision::Bf16] {
        let config = TrainConfig {
            precision,
            ..config()
        };
        let run = || bits(&trained(&model, &config, GPU), &model);
        assert_eq!(run(), run());
    }
    // Documents of many of an attention kernel's tiles: partial sums of their gradients must not be
    // added as they come.
    let long = Tensor::randn([4096, 8, 64], (Kind::BFloat16, GPU));
    let starts = Tensor::from_slice(&[0_i32, 2048, 4096]).to_device(GPU);
    let run = || {
        let leaf = || long.detach().copy().set_requires_grad(true);
        let leaves = [leaf(), leaf(), leaf()];
        let [q, k, v] = &leaves;
        let out = sky_torch::varlen_attention(q, k, v, &starts, 2048).unwrap();
        let upstream = out.detach().sin();
        let inputs: Vec<&Tensor> = leaves.iter().collect();
        let grads = sky_torch::backward(&[&out], &[&upstream], &inputs).unwrap();
        grads.into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
#[ignore = "needs a GPU"]
fn the_host_s_optimizer_gives_the_same_bits_wherever_the_rest_lies() {
    gpu();
    let model = model(QWEN2);
    let folder = tempfile::tempdir().unwrap();
    let run = |offload, on_disk: bool| {
        let config = TrainConfig {
            offload,
            offload_folder: on_disk.then(|| folder.path().into()),
            precision: Precision::Bf16,
            ..config()
        };
        let trainer = trained(&model, &config, GPU);
        (bits(&trainer, &model), losses(&trainer))
    };
    let (there, losses) = run(Offload::Optimizer, false);
    assert_eq!(run(Offload::OptimizerAndParameters, false).0, there);
    assert_eq!(run(Offload::Optimizer, true).0, there);
    // The GPU's own kernel rounds otherwise, the same wherever weights wait.
    let (alone, on_gpu) = run(Offload::None, false);
    assert_eq!(run(Offload::Parameters, false).0, alone);
    let apart = apart(&on_gpu, &losses);
    assert!(apart < 1e-2, "{apart:e}");
}

#[test]
#[ignore = "needs a GPU"]
fn block_inputs_that_wait_on_the_host_change_no_bit() {
    gpu();
    let model = model(QWEN2);
    for checkpointing in [
        ActivationCheckpointing::Full,
        ActivationCheckpointing::Selective { every: 2 },
    ] {
        let run = |offload_activations| {
            let config = TrainConfig {
                activation_checkpointing: checkpointing,
                offload_activations,
                precision: Precision::Bf16,
                ..config()
            };
            bits(&trained(&model, &config, GPU), &model)
        };
        assert_eq!(run(true), run(false));
    }
}

#[test]
#[ignore = "needs a GPU"]
fn nccl_works_on_one_gpu() {
    gpu();
    let id = nccl_id().unwrap();
    let group = NcclGroup::connect(&id, 0, 1, 0, Duration::from_secs(60)).unwrap();
    let numbers = Tensor::arange(64, (Kind::Float, GPU));
    let copy = Tensor::zeros([64], (Kind::Float, GPU));
    group
        .all_gather_into(&copy, &numbers)
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(copy, numbers);
    let sum = Tensor::zeros([64], (Kind::Float, GPU));
    group
        .reduce_scatter(&sum, &numbers)
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(sum, numbers);
    group.all_reduce(&sum).unwrap().wait().unwrap();
    group.broadcast(&sum, 0).unwrap().wait().unwrap();
    assert_eq!(sum, numbers);
    Cuda::synchronize(0);
    assert_eq!((group.stuck_for(), group.error()), (None, None));
    group.abort();
    assert!(group.all_reduce(&sum).is_err());
}

#[test]
#[ignore = "needs a GPU"]
fn nccl_works_on_all_gpus_of_this_host() {
    gpu();
    let world_size = Cuda::device_count() as usize;
    if world_size < 2 {
        let _ = std::io::stderr().write_all(b"SKIPPED: one GPU\n");
        return;
    }
    let id = nccl_id().unwrap();
    std::thread::scope(|scope| {
        for rank in 0..world_size {
            scope.spawn(move || {
                let here = Device::Cuda(rank);
                let wait = Duration::from_secs(60);
                let group = NcclGroup::connect(&id, rank, world_size, rank, wait).unwrap();
                let mine = Tensor::full([1 << 20], rank as f64, (Kind::Float, here));
                let all = Tensor::zeros([(world_size as i64) << 20], (Kind::Float, here));
                group.all_gather_into(&all, &mine).unwrap().wait().unwrap();
                for peer in 0..world_size as i64 {
                    let part = all.narrow(0, peer << 20, 1 << 20);
                    assert_eq!(f64::try_from(part.mean(Kind::Double)).unwrap(), peer as f64);
                }
                group.reduce_scatter(&mine, &all).unwrap().wait().unwrap();
                let sum = (world_size * rank) as f64;
                assert_eq!(f64::try_from(mine.mean(Kind::Double)).unwrap(), sum);
                Cuda::synchronize(rank as i64);
            });
        }
    });
}

// A rank a GPU: what is sharded must change nothing but rounding.
#[test]
#[ignore = "needs a GPU"]
fn training_over_nccl_learns_what_one_gpu_does() {
    gpu();
    let world_size = Cuda::device_count() as usize;
    let model = model(QWEN2);
    let alone = losses(&trained(&model, &config(), GPU));
    for zero_stage in 0..=3 {
        for offload in [Offload::None, Offload::OptimizerAndParameters] {
            let config = TrainConfig {
                zero_stage,
                offload,
                ..config()
            };
            let port = free_port().unwrap();
            let all: Vec<Vec<f64>> = std::thread::scope(|scope| {
                let ranks: Vec<_> = (0..world_size)
                    .map(|rank| {
                        let (model, config) = (&model, &config);
                        scope.spawn(move || {
                            let wait = Duration::from_secs(60);
                            let ranks = DistributedEnv::on_one_host(rank, world_size, port);
                            let gloo = Gloo::connect(&ranks, wait).unwrap();
                            let comm = Nccl::connect(gloo, rank, wait).unwrap();
                            let job = job(model, config, 4);
                            let here = Device::Cuda(rank);
                            let mut trainer =
                                Trainer::new(job, here, &comm, &mut |p| Ok(initial(p))).unwrap();
                            for _ in 0..STEPS {
                                trainer.train_step().unwrap();
                            }
                            let losses = losses(&trainer);
                            drop(trainer);
                            comm.control().exit_barrier().unwrap();
                            losses
                        })
                    })
                    .collect();
                ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
            });
            for losses in all {
                let apart = apart(&alone, &losses);
                println!(
                    "{world_size} GPUs, stage {zero_stage}, {offload:?}: {apart:.1e} from one"
                );
                assert!(apart < 1e-4, "{alone:?} {losses:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn a_checkpoint_goes_on_on_a_gpu_with_another_offload() {
    gpu();
    let model = model(QWEN2);
    let at = |offload| TrainConfig {
        offload,
        precision: Precision::Bf16,
        ..config()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut first = trained(&model, &at(Offload::Optimizer), GPU);
    first.save(&folder.path().join("checkpoints")).unwrap();
    let found = newest(folder.path());
    first.train_step().unwrap();
    let expected = bits(&first, &model);
    // The host's optimizer gives the same bits wherever the weights wait.
    for offload in [Offload::Optimizer, Offload::OptimizerAndParameters] {
        let job = job(&model, &at(offload), 4);
        let weights = &mut |param: &ParamSpec| Ok(initial(param));
        let mut rest = Trainer::resume(job, GPU, &SingleProcess, &found, weights).unwrap();
        rest.train_step().unwrap();
        assert_eq!(bits(&rest, &model), expected, "{offload:?}");
    }
}

/// Steps with one row of `tokens` tokens: pace, MFU, the optimizer's share of a step that nothing
/// hides, memory, as a JSON line, also into the file that `SKY_FIGURES` names. One setting a
/// process: libtorch keeps what it once took.
fn measure((name, text): (&str, &str), tokens: usize, config: TrainConfig) {
    const WARM: u64 = 2;
    const MEASURED: u64 = 5;
    gpu();
    let model = Config::from_json(text).unwrap();
    let shape = ModelShape::from_json(text).unwrap();
    let hardware = Hardware::builtin().unwrap();
    // Named by whoever knows it, as `hardware.toml` does.
    let peak = std::env::var("SKY_GPU")
        .ok()
        .map(|name| hardware.gpu(&name).unwrap().bf16_flops);
    let config = TrainConfig {
        global_batch: 1,
        epochs: 1,
        cutoff: tokens,
        micro_batch_tokens: tokens,
        ..config
    };
    let (checkpointing, offload) = (config.activation_checkpointing, config.offload);
    let rows = (0..WARM + MEASURED)
        .map(|row| TokenSeq {
            ids: (0..tokens as u64)
                .map(|at| (derive_seed(row, "token", at) % 151_000) as u32)
                .collect(),
            target: vec![true; tokens],
        })
        .collect();
    let data = Dataset::new(rows, model.vocab_size, &config).unwrap();
    let job = Job {
        config,
        model,
        data,
        seed: 1,
    };
    let mut trainer = Trainer::new(job, GPU, &SingleProcess, &mut |p| init_param(p, 1)).unwrap();
    for _ in 0..WARM {
        trainer.train_step().unwrap();
    }
    Cuda::synchronize(0);
    let began = Instant::now();
    for _ in 0..MEASURED {
        trainer.train_step().unwrap();
    }
    Cuda::synchronize(0);
    let seconds = began.elapsed().as_secs_f64();
    let rate = (tokens as u64 * MEASURED) as f64 / seconds;
    let last = trainer.history().iter().skip(WARM as usize);
    let optimizer: f64 = last.map(|m| m.time.optimizer_seconds).sum();
    // What is gone now is the peak.
    let memory = gpu_memory(0).unwrap();
    let figure = json!({
        "model": name,
        "params": shape.params(),
        "tokens": tokens,
        "setting": format!("blocks again: {checkpointing:?}, offload: {offload:?}"),
        "again": checkpointing != ActivationCheckpointing::None,
        "tokens_per_second": rate,
        "mfu": peak.map(|peak| 3.0 * shape.forward_flops(tokens as f64) * rate / peak),
        "optimizer": optimizer / seconds,
        "peak_bytes": memory.total - memory.free,
    });
    println!("{figure}");
    if let Some(path) = std::env::var_os("SKY_FIGURES") {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "{figure}").unwrap();
    }
    let loss = trainer.history().last().unwrap().loss;
    assert!(loss.is_finite() && loss > 1.0, "{loss}");
}

fn with(checkpointing: ActivationCheckpointing, offload: Offload) -> TrainConfig {
    TrainConfig {
        activation_checkpointing: checkpointing,
        offload,
        ..TrainConfig::default()
    }
}

const SMALL: (&str, &str) = ("qwen2.5-0.5b", include_str!("shapes/qwen2.5-0.5b.json"));
const LARGE: (&str, &str) = ("qwen2.5-7b", include_str!("shapes/qwen2.5-7b.json"));

#[test]
#[ignore = "needs a GPU"]
fn pace_of_half_a_billion_parameters_at_4_thousand_tokens_with_graphs_kept() {
    measure(
        SMALL,
        4096,
        with(ActivationCheckpointing::None, Offload::None),
    );
}

#[test]
#[ignore = "needs a GPU"]
fn pace_of_half_a_billion_parameters_at_4_thousand_tokens() {
    measure(
        SMALL,
        4096,
        with(ActivationCheckpointing::Full, Offload::None),
    );
}

#[test]
#[ignore = "needs a GPU"]
fn pace_of_half_a_billion_parameters_at_16_thousand_tokens() {
    measure(
        SMALL,
        16_384,
        with(ActivationCheckpointing::Full, Offload::None),
    );
}

#[test]
#[ignore = "needs a GPU"]
fn pace_of_half_a_billion_parameters_with_the_optimizer_offloaded() {
    measure(
        SMALL,
        16_384,
        with(ActivationCheckpointing::Full, Offload::Optimizer),
    );
}

/// What lets the whole of 7 billion parameters lie in 80 GB, or its optimizer in 128 GB of a host.
fn narrow(offload: Offload) -> TrainConfig {
    TrainConfig {
        master_dtype: MasterDtype::Bf16,
        optimizer_dtype: OptimizerDtype::EightBit,
        ..with(ActivationCheckpointing::Full, offload)
    }
}

#[test]
#[ignore = "needs a GPU"]
fn pace_of_seven_billion_parameters_at_4_thousand_tokens() {
    measure(LARGE, 4096, narrow(Offload::None));
}

#[test]
#[ignore = "needs a GPU"]
fn pace_of_seven_billion_parameters_at_16_thousand_tokens() {
    measure(LARGE, 16_384, narrow(Offload::None));
}

#[test]
#[ignore = "needs a GPU"]
fn pace_of_seven_billion_parameters_with_the_optimizer_offloaded() {
    measure(LARGE, 16_384, narrow(Offload::Optimizer));
}
