//! The fused operations against the same formulas in libtorch's own operations.
#![allow(clippy::unwrap_used)]

use sky_torch::{accumulate_, backward, cross_entropy_, fuses, rms_norm, rotary, swiglu};
use tch::{Device, Kind, Tensor, no_grad};

const KINDS: [(Kind, f64); 2] = [(Kind::Float, 1e-5), (Kind::BFloat16, 2e-2)];

fn random(shape: &[i64], kind: Kind) -> Tensor {
    let t = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
    t.set_requires_grad(true)
}

/// The largest difference, as a share of the largest value.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    let most = b.abs().max().double_value(&[]);
    (a - b).abs().max().double_value(&[]) / most.max(1e-9)
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
    tch::manual_seed(1);
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
    tch::manual_seed(2);
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
    tch::manual_seed(3);
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
    assert!(!fuses(Kind::Double, Device::Cpu) && !fuses(Kind::Float, Device::Cuda(0)));
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
