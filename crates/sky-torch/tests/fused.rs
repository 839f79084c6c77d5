//! The fused operations against the same formulas in libtorch's own operations.
#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use sky_torch::{
    accumulate_, attention, backward, cross_entropy_, rms_norm, rotary, supports_attention,
    supports_fused, swiglu,
};
use tch::{Device, Kind, Tensor, no_grad};

const KINDS: [(Kind, f64); 2] = [(Kind::Float, 1e-5), (Kind::BFloat16, 2e-2)];

/// The generator is the process's: one test at a time draws from it, and each the same numbers
/// every time.
fn seeded(seed: i64) -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let guard = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    guard
}

fn random(shape: &[i64], kind: Kind) -> Tensor {
    let t = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
    t.set_requires_grad(true)
}

/// The largest difference, as a share of the largest value; of values that are all but 0 (inputs
/// are about 1), of 1e-5.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    let most = b.abs().max().double_value(&[]);
    (a - b).abs().max().double_value(&[]) / most.max(1e-5)
}

/// Value and gradients of `ours` on tensors of `kind`, against `theirs` on the same numbers in f64.
fn agree(
    kind: Kind,
    within: f64,
    inputs: &[Tensor],
    ours: impl Fn(&[Tensor]) -> Tensor,
    theirs: impl Fn(&[Tensor]) -> Tensor,
) {
    let exact: Vec<Tensor> = inputs
        .iter()
        .map(|t| t.detach().to_kind(Kind::Double).set_requires_grad(true))
        .collect();
    let (y, z) = (ours(inputs), theirs(&exact));
    assert_eq!(y.kind(), kind);
    assert!(apart(&y, &z) < within, "{kind:?}: value {}", apart(&y, &z));
    let upstream = Tensor::randn(y.size(), (Kind::Float, Device::Cpu)).to_kind(kind);
    let wide = upstream.to_kind(Kind::Double);
    let a = backward(&[&y], &[&upstream], &inputs.iter().collect::<Vec<_>>()).unwrap();
    let b = backward(&[&z], &[&wide], &exact.iter().collect::<Vec<_>>()).unwrap();
    for (index, (a, b)) in a.iter().zip(&b).enumerate() {
        let far = apart(a.as_ref().unwrap(), b.as_ref().unwrap());
        assert!(far < within, "{kind:?}: gradient {index}: {far}");
    }
}

#[test]
fn each_operation_and_its_gradients_are_those_of_the_formula() {
    let _generator = seeded(1);
    for (kind, within) in KINDS {
        // Widths that fill vectors and widths that do not; rows in one task and in several.
        for (rows, width) in [(1, 5), (3, 17), (64, 64), (200, 96)] {
            let (x, w) = (random(&[rows, width], kind), random(&[width], kind));
            agree(
                kind,
                within,
                &[x, w],
                |t| rms_norm(&t[0], &t[1], 1e-5).unwrap(),
                |t| {
                    let mean = t[0]
                        .square()
                        .mean_dim([-1_i64].as_slice(), true, Kind::Double);
                    &t[0] * (mean + 1e-5).rsqrt() * &t[1]
                },
            );
            let (gate, up) = (
                random(&[rows, width], kind) * 5,
                random(&[rows, width], kind),
            );
            let gate = gate.detach().set_requires_grad(true);
            agree(
                kind,
                within,
                &[gate, up],
                |t| swiglu(&t[0], &t[1]).unwrap(),
                |t| t[0].silu() * &t[1],
            );
            let half = width;
            let angles = Tensor::rand([rows, 1, half], (Kind::Float, Device::Cpu)) * 6;
            let (cos, sin) = (angles.cos().to_kind(kind), angles.sin().to_kind(kind));
            let (c, s) = (cos.to_kind(Kind::Double), sin.to_kind(Kind::Double));
            agree(
                kind,
                within,
                &[random(&[rows, 3, 2 * half], kind)],
                |t| rotary(&t[0], &cos, &sin).unwrap(),
                |t| {
                    let halves = t[0].chunk(2, -1);
                    let (a, b) = (&halves[0], &halves[1]);
                    Tensor::cat(&[a * &c - b * &s, b * &c + a * &s], -1)
                },
            );
        }
    }
}

#[test]
fn logits_become_the_gradient_of_their_loss_and_z_loss() {
    let _generator = seeded(2);
    let (scale, z_loss) = (0.125, 1e-2);
    for (kind, within) in KINDS {
        for (rows, classes) in [(1, 2), (5, 1000), (9, 33)] {
            let logits = random(&[rows, classes], kind) * 8;
            let logits = logits.detach();
            let targets = Tensor::randint(classes, [rows], (Kind::Int64, Device::Cpu));
            let exact = logits.to_kind(Kind::Double).set_requires_grad(true);
            let losses = exact.cross_entropy_loss(
                &targets,
                None::<&Tensor>,
                tch::Reduction::None,
                -100,
                0.0,
            );
            let log_z = exact.logsumexp([-1_i64].as_slice(), false);
            let whole = (&losses + log_z.square() * z_loss).sum(Kind::Double) * scale;
            let grad = backward(&[&whole], &[&Tensor::from(1.0)], &[&exact]).unwrap();
            let ours = cross_entropy_(&logits, &targets, scale, z_loss).unwrap();
            // What a loss is made of is in the logits' kind; the loss itself is f32.
            let off = (ours.to_kind(Kind::Double) - &losses).abs().max();
            assert!(off.double_value(&[]) < 1e-4, "{kind:?}: {off:?}");
            let far = apart(&logits, grad[0].as_ref().unwrap());
            assert!(far < within, "{kind:?}: {far}");
        }
    }
}

#[test]
fn sums_take_both_kinds_and_great_and_small_numbers_stay_finite() {
    for (kind, _) in KINDS {
        let sum = Tensor::ones([40_000], (Kind::Float, Device::Cpu));
        let x = Tensor::full([40_000], 0.5, (kind, Device::Cpu));
        accumulate_(&sum, &x).unwrap();
        assert_eq!(sum.sum(Kind::Float).double_value(&[]), 60_000.0);

        let far = Tensor::from_slice(&[-300.0_f32, -90.0, 0.0, 90.0, 300.0]).to_kind(kind);
        let one = far.ones_like();
        assert!(apart(&swiglu(&far, &one).unwrap(), &far.silu()) < 1e-6);
        let logits = (&far * 100).view([1, 5]);
        let losses = cross_entropy_(&logits, &Tensor::from_slice(&[4_i64]), 1.0, 0.0).unwrap();
        assert_eq!(losses.double_value(&[0]), 0.0);
        assert!(logits.abs().max().double_value(&[]) < 1e-30);
        // A number that is none goes through, so that the trainer's guard sees it.
        let nan = Tensor::full([1, 5], f64::NAN, (kind, Device::Cpu));
        let all = [
            swiglu(&nan, &nan).unwrap(),
            rms_norm(&nan, &one, 1e-5).unwrap(),
            cross_entropy_(&nan, &Tensor::from_slice(&[0_i64]), 1.0, 0.0).unwrap(),
            nan,
        ];
        for t in all {
            assert!(t.isnan().all().int64_value(&[]) == 1, "{t:?}");
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let _generator = seeded(3);
    let (x, w) = (
        random(&[300, 96], Kind::BFloat16),
        random(&[96], Kind::BFloat16),
    );
    let upstream = random(&[300, 96], Kind::BFloat16).detach();
    let found = |threads| {
        sky_torch::set_threads(threads);
        let y = rms_norm(&x, &w, 1e-5).unwrap();
        let mut out = backward(&[&y], &[&upstream], &[&x, &w]).unwrap();
        out.push(Some(y.detach()));
        out
    };
    let one = found(1);
    for (a, b) in one.iter().zip(&found(2)) {
        assert!(a.as_ref().unwrap().equal(b.as_ref().unwrap()));
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let float = (Kind::Float, Device::Cpu);
    let (x, w) = (Tensor::zeros([4, 6], float), Tensor::zeros([5], float));
    assert!(
        !supports_fused(Kind::Double, Device::Cpu) && !supports_fused(Kind::Float, Device::Cuda(0))
    );
    assert!(rms_norm(&x, &w, 1e-5).is_err());
    assert!(rms_norm(&x.to_kind(Kind::Double), &w, 1e-5).is_err());
    assert!(swiglu(&x, &x.tr()).is_err());
    assert!(rotary(&x, &w, &w).is_err());
    assert!(accumulate_(&w, &x).is_err());
    assert!(accumulate_(&w.to_kind(Kind::BFloat16), &w).is_err());
    for wrong in [-100_i64, 6] {
        let targets = Tensor::from_slice(&[0, 1, 2, wrong]);
        assert!(no_grad(|| cross_entropy_(&x, &targets, 1.0, 0.0)).is_err());
    }
    assert!(cross_entropy_(&x, &Tensor::from_slice(&[0_i64]), 1.0, 0.0).is_err());
}

/// The formula itself, in the inputs' kind.
fn composed_attention(t: &[Tensor], starts: &[i64]) -> Tensor {
    let group = t[0].size()[1] / t[1].size()[1];
    let outs: Vec<Tensor> = starts
        .windows(2)
        .map(|ends| {
            let part = |t: &Tensor| t.narrow(0, ends[0], ends[1] - ends[0]).transpose(0, 1);
            let shared = |t: &Tensor| part(t).repeat_interleave_self_int(group, 0, None);
            let (q, k, v) = (part(&t[0]), shared(&t[1]), shared(&t[2]));
            let width = q.size()[2] as f64;
            let scores = q.matmul(&k.transpose(1, 2)) / width.sqrt();
            let unseen = Tensor::ones(scores.size(), (Kind::Bool, Device::Cpu)).triu(1);
            let weights = scores
                .masked_fill(&unseen, f64::NEG_INFINITY)
                .softmax(-1, None);
            weights.matmul(&v).transpose(0, 1).flatten(1, 2)
        })
        .collect();
    Tensor::cat(&outs, 0)
}

#[test]
fn attention_and_its_gradients_are_those_of_the_formula() {
    if !supports_attention(Kind::BFloat16, Device::Cpu, 64) {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: the product of bf16 attention; this processor has no AVX-512 BF16\n",
        );
        return;
    }
    let _generator = seeded(1);
    // Tiles that are full and tiles that are not, more than one strip of keys, heads that share
    // keys and heads that do not.
    for (lengths, heads, kv_heads, width) in [
        (vec![1], 1, 1, 32),
        (vec![64, 128], 2, 1, 64),
        (vec![3, 65, 1, 200], 6, 2, 64),
        (vec![700, 513], 3, 3, 96),
        (vec![130], 4, 1, 128),
    ] {
        let starts: Vec<i64> = std::iter::once(0)
            .chain(lengths.iter().scan(0, |sum, n| {
                *sum += n;
                Some(*sum)
            }))
            .collect();
        let tokens = *starts.last().unwrap();
        let of = |heads| random(&[tokens, heads, width], Kind::BFloat16);
        let inputs = [of(heads), of(kv_heads), of(kv_heads)];
        agree(
            Kind::BFloat16,
            1e-2,
            &inputs,
            |t| attention(&t[0], &t[1], &t[2], &starts).unwrap(),
            |t| composed_attention(t, &starts),
        );
    }
}

#[test]
fn attention_is_the_same_for_any_number_of_threads_and_lets_a_nan_through() {
    if !supports_attention(Kind::BFloat16, Device::Cpu, 64) {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: bits of bf16 attention; this processor has no AVX-512 BF16\n",
        );
        return;
    }
    let _generator = seeded(2);
    let of = |heads| random(&[300, heads, 64], Kind::BFloat16);
    let (q, k, v) = (of(4), of(2), of(2));
    let results = |threads| {
        sky_torch::set_threads(threads);
        let out = attention(&q, &k, &v, &[0, 100, 300]).unwrap();
        let found = backward(&[&out], &[&out.detach()], &[&q, &k, &v]).unwrap();
        let mut all: Vec<Tensor> = found.into_iter().flatten().collect();
        all.push(out.detach());
        all
    };
    for (a, b) in results(1).iter().zip(&results(2)) {
        assert!(a.equal(b));
    }
    let broken = no_grad(|| {
        k.detach()
            .index_fill(0, &Tensor::from_slice(&[150i64]), f64::NAN)
    });
    let out = attention(&q, &broken, &v, &[0, 100, 300]).unwrap();
    let bad: Vec<bool> = Vec::try_from(out.isnan().any_dim(1, false)).unwrap();
    // The token itself and those of its document that come after it.
    assert!(bad.iter().enumerate().all(|(at, &bad)| bad == (at >= 150)));
}

#[test]
fn attention_refuses_what_does_not_fit() {
    if !supports_attention(Kind::BFloat16, Device::Cpu, 64) {
        return;
    }
    let of =
        |tokens, heads, width| Tensor::zeros([tokens, heads, width], (Kind::BFloat16, Device::Cpu));
    let (q, k) = (of(8, 4, 64), of(8, 2, 64));
    for (q, k, v, starts) in [
        (&q, &k, &k, vec![]),
        (&q, &k, &k, vec![0, 9]),
        (&q, &k, &k, vec![0, 5, 5, 8]),
        (&q, &k, &k, vec![0, 9, 8]),
        (&q, &k, &q, vec![0, 8]),
        (&q, &of(8, 3, 64), &of(8, 3, 64), vec![0, 8]),
        (&of(8, 4, 40), &of(8, 2, 40), &of(8, 2, 40), vec![0, 8]),
        (&q, &of(7, 2, 64), &of(7, 2, 64), vec![0, 8]),
        (&q.to_kind(Kind::Float), &k, &k, vec![0, 8]),
    ] {
        assert!(attention(q, k, v, &starts).is_err(), "{starts:?}");
    }
    assert!(
        !supports_attention(Kind::Float, Device::Cpu, 64)
            && !supports_attention(Kind::BFloat16, Device::Cpu, 48)
    );
}
