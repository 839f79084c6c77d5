//! The block mathematics against plain formulas, finite differences, and itself unpacked.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::RefCell;

use common::{LLAMA, QWEN2, random_params};
use sky_model::{
    Config, HeadGrads, HeadLoss, HeadOptions, IGNORE_INDEX, PackedSequences, embed, head_backward,
    head_logits, head_loss, layer,
};
use tch::{Device, Kind, Tensor};

const CPU: Device = Device::Cpu;

/// The head's two matrices, the embedding standing in when they are tied.
fn head(params: &[Vec<Tensor>]) -> (&Tensor, &Tensor) {
    let last = params.last().unwrap();
    (&last[0], last.get(1).unwrap_or(&params[0][0]))
}

fn logits(config: &Config, params: &[Vec<Tensor>], ids: &[i64], lengths: &[i64]) -> Tensor {
    let sequences = PackedSequences::new(config, lengths, params[0][0].kind(), CPU);
    let mut x = embed(&params[0], &Tensor::from_slice(ids));
    for block in &params[1..=config.num_layers] {
        x = layer(config, block, &x, &sequences);
    }
    let (norm, matrix) = head(params);
    head_logits(config, norm, matrix, &x)
}

fn all(grads: &HeadGrads) -> [&Tensor; 3] {
    let weights = [&grads.norm_w, &grads.head_w].map(|grad| grad.as_ref().unwrap());
    [&grads.x, weights[0], weights[1]]
}

fn max_abs(t: &Tensor) -> f64 {
    t.abs().max().double_value(&[])
}

/// One layer written out head by head with explicit masks and softmax, as the papers state it.
fn plain_layer(config: &Config, p: &[Tensor], x: &Tensor) -> Tensor {
    let norm = |x: &Tensor, w: &Tensor| {
        let mean = (x * x).mean_dim([-1i64].as_slice(), true, Kind::Double);
        x / (mean + config.rms_norm_eps).sqrt() * w
    };
    let rest = RefCell::new(p.iter());
    let take = || rest.borrow_mut().next().unwrap();
    let linear = |x: &Tensor, bias: bool| {
        let y = x.matmul(&take().tr());
        if bias { y + take() } else { y }
    };
    let tokens = x.size()[0];
    let d = config.head_dim;
    let rope = |x: &Tensor| {
        let rows: Vec<Tensor> = (0..tokens)
            .map(|t| {
                let row = x.get(t);
                let mut out: Vec<f64> = vec![0.0; d as usize];
                for i in 0..d / 2 {
                    let angle = t as f64 * config.rope_theta.powf(-2.0 * i as f64 / d as f64);
                    let (a, b) = (row.double_value(&[i]), row.double_value(&[i + d / 2]));
                    out[i as usize] = a * angle.cos() - b * angle.sin();
                    out[(i + d / 2) as usize] = b * angle.cos() + a * angle.sin();
                }
                Tensor::from_slice(&out)
            })
            .collect();
        Tensor::stack(&rows, 0)
    };
    let mask = Tensor::full([tokens, tokens], f64::NEG_INFINITY, (Kind::Double, CPU)).triu(1);
    let a = norm(x, take());
    let (q, k, v) = (
        linear(&a, config.qkv_bias),
        linear(&a, config.qkv_bias),
        linear(&a, config.qkv_bias),
    );
    let heads: Vec<Tensor> = (0..config.num_heads)
        .map(|h| {
            let shared = h / (config.num_heads / config.num_kv_heads);
            let q = rope(&q.narrow(1, h * d, d));
            let k = rope(&k.narrow(1, shared * d, d));
            let scores = q.matmul(&k.tr()) / (d as f64).sqrt() + &mask;
            scores
                .softmax(-1, Kind::Double)
                .matmul(&v.narrow(1, shared * d, d))
        })
        .collect();
    let x = x + linear(&Tensor::cat(&heads, 1), config.attention_output_bias);
    let a = norm(&x, take());
    let gate = linear(&a, config.mlp_bias);
    let up = linear(&a, config.mlp_bias);
    &x + linear(&(&gate * gate.sigmoid() * up), config.mlp_bias)
}

#[test]
fn a_layer_is_what_the_papers_say() {
    for text in [QWEN2, LLAMA] {
        let config = Config::from_json(text).unwrap();
        let params = random_params(&config, Kind::Double, 1);
        let x = Tensor::randn([7, config.hidden_size], (Kind::Double, CPU));
        let ours = layer(
            &config,
            &params[1],
            &x,
            &PackedSequences::new(&config, &[7], Kind::Double, CPU),
        );
        // The rotary tables are f32 by design.
        let difference = max_abs(&(ours - plain_layer(&config, &params[1], &x)));
        assert!(difference < 1e-5, "{difference}");
    }
}

#[test]
fn packed_documents_do_not_see_each_other_and_positions_restart() {
    for text in [QWEN2, LLAMA] {
        let config = Config::from_json(text).unwrap();
        let params = random_params(&config, Kind::Double, 2);
        let ids: Vec<i64> = (0..17).map(|i| (i * 7 + 3) % config.vocab_size).collect();
        // Neighbours of one length go through as a batch, the others alone.
        let lengths = [4, 4, 5, 1, 3];
        let packed = logits(&config, &params, &ids, &lengths);
        let mut start = 0;
        for length in lengths {
            let alone = logits(
                &config,
                &params,
                &ids[start as usize..(start + length) as usize],
                &[length],
            );
            let difference = max_abs(&(packed.narrow(0, start, length) - alone));
            assert!(difference < 1e-12, "document at {start}: {difference}");
            start += length;
        }
        let joined = logits(&config, &params, &ids, &[17]);
        assert!(
            max_abs(&(packed - joined)) > 1e-3,
            "the documents must matter"
        );
    }
}

#[test]
fn gradients_match_finite_differences() {
    for text in [QWEN2, LLAMA] {
        let config = Config::from_json(text).unwrap();
        let params = random_params(&config, Kind::Double, 3);
        let ids: Vec<i64> = (0..9).map(|i| (i * 5 + 1) % config.vocab_size).collect();
        let targets = Tensor::from_slice(&[3i64, IGNORE_INDEX, 2, 5, 1, IGNORE_INDEX, 7, 0, 4]);
        let sequences = PackedSequences::new(&config, &[4, 5], Kind::Double, CPU);
        let loss = || {
            let mut x = embed(&params[0], &Tensor::from_slice(&ids));
            for block in &params[1..=config.num_layers] {
                x = layer(&config, block, &x, &sequences);
            }
            let (norm, matrix) = head(&params);
            head_loss(&config, norm, matrix, &x, &targets, 4)
        };
        let all: Vec<Tensor> = params
            .iter()
            .flatten()
            .map(|p| p.set_requires_grad(true))
            .collect();
        let HeadLoss { sum, count } = loss();
        assert_eq!(count, 7);
        let refs: Vec<&Tensor> = all.iter().collect();
        let grads = sky_torch::backward(&[&sum], &[&sum.ones_like()], &refs).unwrap();
        let directions = random_params(&config, Kind::Double, 5);
        for ((param, grad), direction) in all.iter().zip(grads).zip(directions.iter().flatten()) {
            let grad = grad.expect("every parameter takes part");
            let _guard = tch::no_grad_guard();
            let step = 1e-5;
            let mut moved = param.detach();
            let shift = |t: &mut Tensor, by: f64| *t += direction * by;
            shift(&mut moved, step);
            let above = loss().sum.double_value(&[]);
            shift(&mut moved, -2.0 * step);
            let below = loss().sum.double_value(&[]);
            shift(&mut moved, step);
            let expected = (above - below) / (2.0 * step);
            let found = (grad * direction).sum(Kind::Double).double_value(&[]);
            let tolerance = 1e-6 * (1.0 + expected.abs());
            assert!(
                (found - expected).abs() < tolerance,
                "{:?}: {found} {expected}",
                param.size()
            );
        }
    }
}

#[test]
fn the_chunked_head_gives_the_same_loss_and_gradients() {
    let config = Config::from_json(QWEN2).unwrap();
    let params = random_params(&config, Kind::Float, 4);
    let (norm, matrix) = head(&params);
    let x = Tensor::randn([11, config.hidden_size], (Kind::Float, CPU));
    let targets: Vec<i64> = (0..11)
        .map(|i| if i % 3 == 0 { IGNORE_INDEX } else { i })
        .collect();
    let targets = Tensor::from_slice(&targets);
    let leaves = [&x, norm, matrix].map(|t| t.detach().set_requires_grad(true));
    let HeadLoss { sum: whole, count } =
        head_loss(&config, &leaves[1], &leaves[2], &leaves[0], &targets, 100);
    let scale = Tensor::from(0.25f32);
    let expected =
        sky_torch::backward(&[&whole], &[&scale], &[&leaves[0], &leaves[1], &leaves[2]]).unwrap();
    let options = |chunk, z_loss| HeadOptions {
        chunk,
        scale: 0.25,
        z_loss,
        frozen: false,
    };
    for chunk in [1, 3, 100] {
        let found =
            head_backward(&config, norm, matrix, &x, &targets, &options(chunk, 0.0)).unwrap();
        assert_eq!((found.count, count), (7, 7));
        assert!(max_abs(&(&found.loss_sum - whole.detach())) < 1e-4);
        let alone = HeadOptions {
            frozen: true,
            ..options(chunk, 0.0)
        };
        let alone = head_backward(&config, norm, matrix, &x, &targets, &alone).unwrap();
        assert!(alone.norm_w.is_none() && alone.head_w.is_none());
        assert_eq!((&alone.x, &alone.loss_sum), (&found.x, &found.loss_sum));
        for (found, expected) in all(&found).into_iter().zip(&expected) {
            assert!(max_abs(&(found - expected.as_ref().unwrap())) < 1e-5);
        }
    }
    // z-loss as it is written: a coefficient times the square of log(sum(exp(logits))), at the
    // targets alone.
    let at = targets.ne(IGNORE_INDEX).nonzero().squeeze_dim(1);
    let logits = head_logits(&config, &leaves[1], &leaves[2], &leaves[0]).index_select(0, &at);
    let log_z = logits
        .exp()
        .sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
        .log();
    // Recomputed: the first backward has freed the graph above.
    let sum = head_loss(&config, &leaves[1], &leaves[2], &leaves[0], &targets, 100).sum;
    let whole = &sum + log_z.square().sum(Kind::Float) * 0.1;
    let with_z =
        sky_torch::backward(&[&whole], &[&scale], &[&leaves[0], &leaves[1], &leaves[2]]).unwrap();
    for chunk in [1, 3, 100] {
        let found =
            head_backward(&config, norm, matrix, &x, &targets, &options(chunk, 0.1)).unwrap();
        assert!(max_abs(&(&found.loss_sum - sum.detach())) < 1e-4);
        for ((found, with_z), without) in all(&found).into_iter().zip(&with_z).zip(&expected) {
            let (with_z, without) = (with_z.as_ref().unwrap(), without.as_ref().unwrap());
            assert!(max_abs(&(found - with_z)) < 1e-5);
            assert!(max_abs(&(with_z - without)) > 1e-3, "z-loss does nothing");
        }
    }
    let nothing = Tensor::full([11], IGNORE_INDEX, (Kind::Int64, CPU));
    let found = head_backward(&config, norm, matrix, &x, &nothing, &options(4, 0.1)).unwrap();
    assert_eq!((found.count, found.loss_sum.double_value(&[])), (0, 0.0));
    assert_eq!(max_abs(found.head_w.as_ref().unwrap()), 0.0);
}
