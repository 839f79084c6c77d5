//! Gradients and optimizer steps against their formulas.
#![allow(clippy::unwrap_used)]

use sky_torch::{
    AdamW, AdamWPass, AdamWSlot, RoundingBits, TorchError, adamw_pass_, backward, fused_adamw_,
    set_threads,
};
use tch::{Device, Kind, Tensor};

fn floats(t: &Tensor) -> Vec<f64> {
    Vec::try_from(t.to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

#[test]
fn unused_inputs_get_no_gradient_and_dot_grad_stays_empty() {
    let leaf = |v: f64| Tensor::from(v).set_requires_grad(true);
    let (x, unused) = (leaf(3.0), leaf(1.0));
    let y = &x * &x;
    let grads = backward(&[&y], &[&Tensor::from(2.0)], &[&x, &unused]).unwrap();
    assert_eq!(floats(grads[0].as_ref().unwrap()), [12.0]);
    assert!(grads[1].is_none());
    assert!(!x.grad().defined());
}

#[test]
fn what_libtorch_refuses_is_an_error() {
    let x = Tensor::from(1.0).set_requires_grad(true);
    let y = &x * 2.0;
    assert!(matches!(
        backward(&[&y], &[], &[&x]),
        Err(TorchError::Lengths { .. })
    ));
    let wrong_shape = Tensor::zeros([3, 3], (Kind::Double, Device::Cpu));
    assert!(matches!(
        backward(&[&y], &[&wrong_shape], &[&x]),
        Err(TorchError::Op { .. })
    ));
    backward(&[&y], &[&Tensor::from(1.0)], &[&x]).unwrap();
    let z = x.exp();
    let first = backward(&[&z], &[&Tensor::from(1.0)], &[&x]);
    let again = backward(&[&z], &[&Tensor::from(1.0)], &[&x]);
    assert!(
        first.is_ok() && again.is_err(),
        "the graph is freed after one pass"
    );
}

#[test]
fn adamw_follows_the_paper() {
    let options = (Kind::Double, Device::Cpu);
    let param = Tensor::from_slice(&[1.0f64, -2.0]);
    let (m, v) = (Tensor::zeros([2], options), Tensor::zeros([2], options));
    let step = Tensor::zeros([], (Kind::Float, Device::Cpu));
    let hyper = AdamW {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.5,
    };
    let mut expected = [1.0f64, -2.0];
    let (mut em, mut ev) = ([0.0f64; 2], [0.0f64; 2]);
    for t in 1..=5 {
        let grads = [0.3 * f64::from(t), -0.7];
        let grad = Tensor::from_slice(&grads);
        let slot = AdamWSlot {
            param: &param,
            grad: &grad,
            exp_avg: &m,
            exp_avg_sq: &v,
            step: &step,
        };
        fused_adamw_(&[slot], &hyper).unwrap();
        for i in 0..2 {
            expected[i] *= 1.0 - hyper.lr * hyper.weight_decay;
            em[i] = hyper.beta1 * em[i] + (1.0 - hyper.beta1) * grads[i];
            ev[i] = hyper.beta2 * ev[i] + (1.0 - hyper.beta2) * grads[i] * grads[i];
            let (mh, vh) = (
                em[i] / (1.0 - hyper.beta1.powi(t)),
                ev[i] / (1.0 - hyper.beta2.powi(t)),
            );
            expected[i] -= hyper.lr * mh / (vh.sqrt() + hyper.eps);
        }
    }
    for (found, expected) in floats(&param).iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
}

/// Master weights, moments and bf16 weights after four steps of one pass each, on `threads` threads.
fn passes(grads: &[Tensor; 4], hyper: &AdamW, threads: usize) -> [Tensor; 4] {
    set_threads(threads);
    let length = grads[0].size1().unwrap();
    let float = (Kind::Float, Device::Cpu);
    let master = Tensor::arange(length, float).cos();
    let (m, v) = (
        Tensor::zeros([length], float),
        Tensor::zeros([length], float),
    );
    let weights = master.to_kind(Kind::BFloat16);
    for (done, grad) in grads.iter().enumerate() {
        let pass = AdamWPass {
            master: &master,
            grad,
            scale: 0.37,
            exp_avg: &m,
            exp_avg_sq: &v,
            weights: Some(&weights),
            rounding_bits: None,
        };
        adamw_pass_(&pass, hyper, done as u64).unwrap();
    }
    [master, m, v, weights]
}

#[test]
fn one_pass_is_the_fused_step_and_the_rounding_after_it() {
    let hyper = AdamW {
        lr: 0.01,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.5,
    };
    let float = (Kind::Float, Device::Cpu);
    // No multiple of a vector's, a task's or a piece's length.
    for length in [1, 70_003] {
        for kind in [Kind::Float, Kind::BFloat16] {
            let grads = [1.0, 2.0, 3.0, 4.0].map(|k| {
                let grad: Tensor = (Tensor::arange(length, float) * k).sin() * 3.0;
                grad.to_kind(kind)
            });
            let found = passes(&grads, &hyper, 1);
            let master = Tensor::arange(length, float).cos();
            let (m, v) = (
                Tensor::zeros([length], float),
                Tensor::zeros([length], float),
            );
            let step = Tensor::zeros([], float);
            for grad in &grads {
                let slot = AdamWSlot {
                    param: &master,
                    grad: &(grad.to_kind(Kind::Float) * 0.37),
                    exp_avg: &m,
                    exp_avg_sq: &v,
                    step: &step,
                };
                fused_adamw_(&[slot], &hyper).unwrap();
            }
            for (found, expected) in found.iter().zip([&master, &m, &v]) {
                for (found, expected) in floats(found).iter().zip(floats(expected)) {
                    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                }
            }
            assert_eq!(floats(&found[3]), floats(&found[0].to_kind(Kind::BFloat16)));
            for (one, two) in found.iter().zip(&passes(&grads, &hyper, 2)) {
                assert!(Tensor::equal(one, two), "two threads make the bits of one");
            }
        }
    }
}

#[test]
fn a_pass_over_what_does_not_fit_is_an_error() {
    let of = |length, kind| Tensor::zeros([length], (kind, Device::Cpu));
    let float = of(8, Kind::Float);
    let good = || AdamWPass {
        master: &float,
        grad: &float,
        scale: 1.0,
        exp_avg: &float,
        exp_avg_sq: &float,
        weights: None,
        rounding_bits: None,
    };
    let hyper = AdamW {
        lr: 0.0,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.0,
    };
    adamw_pass_(&good(), &hyper, 0).unwrap();
    let (short, double, half) = (
        of(7, Kind::Float),
        of(8, Kind::Double),
        of(8, Kind::BFloat16),
    );
    for wrong in [&short, &double] {
        for pass in [
            AdamWPass {
                grad: wrong,
                ..good()
            },
            AdamWPass {
                exp_avg: wrong,
                ..good()
            },
            AdamWPass {
                exp_avg_sq: &half,
                ..good()
            },
            AdamWPass {
                master: wrong,
                ..good()
            },
            AdamWPass {
                weights: Some(wrong),
                ..good()
            },
        ] {
            assert!(matches!(
                adamw_pass_(&pass, &hyper, 0),
                Err(TorchError::Op { .. })
            ));
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one comparison, step by step")]
fn state_in_bf16_is_rounded_stochastically_and_right_on_average() {
    let hyper = AdamW {
        lr: 0.001,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        weight_decay: 0.5,
    };
    let float = (Kind::Float, Device::Cpu);
    let length = 70_003;
    // Every number of 12 bits and more, well mixed.
    let table = Tensor::arange(1 << 12, (Kind::Int64, Device::Cpu)) * 2_654_435_761_i64;
    let table = table.to_kind(Kind::Int);
    for (master_kind, moment_kind) in [
        (Kind::BFloat16, Kind::Float),
        (Kind::Float, Kind::BFloat16),
        (Kind::BFloat16, Kind::BFloat16),
    ] {
        // Of threads, and of who keeps which elements: whole, or in two parts.
        let run = |threads, parts: &[(i64, i64)]| {
            set_threads(threads);
            let of = |t: Tensor, kind| t.to_kind(kind);
            let master = of(Tensor::arange(length, float).cos(), master_kind);
            let m = of(Tensor::arange(length, float).sin() * 0.01, moment_kind);
            let v = of(
                Tensor::arange(length, float).sin().square() * 0.01 + 0.001,
                moment_kind,
            );
            let grad = (Tensor::arange(length, float) * 2.0).sin();
            for &(from, count) in parts {
                let part = |t: &Tensor| t.narrow(0, from, count);
                let pass = AdamWPass {
                    master: &part(&master),
                    grad: &part(&grad),
                    scale: 1.0,
                    exp_avg: &part(&m),
                    exp_avg_sq: &part(&v),
                    weights: None,
                    rounding_bits: Some(RoundingBits {
                        table: &table,
                        at: from,
                    }),
                };
                adamw_pass_(&pass, &hyper, 9).unwrap();
            }
            [master, m, v]
        };
        let found = run(1, &[(0, length)]);
        for other in [
            run(2, &[(0, length)]),
            run(2, &[(0, 6400), (6400, length - 6400)]),
        ] {
            for (one, two) in found.iter().zip(&other) {
                assert!(Tensor::equal(one, two));
            }
        }
        // The same step in f32 from the same state.
        let begin = |t: Tensor, kind| t.to_kind(kind).to_kind(Kind::Float);
        let master = begin(Tensor::arange(length, float).cos(), master_kind);
        let m = begin(Tensor::arange(length, float).sin() * 0.01, moment_kind);
        let v = begin(
            Tensor::arange(length, float).sin().square() * 0.01 + 0.001,
            moment_kind,
        );
        let before = master.copy();
        let grad = (Tensor::arange(length, float) * 2.0).sin();
        let pass = AdamWPass {
            master: &master,
            grad: &grad,
            scale: 1.0,
            exp_avg: &m,
            exp_avg_sq: &v,
            weights: None,
            rounding_bits: None,
        };
        adamw_pass_(&pass, &hyper, 9).unwrap();
        for ((found, exact), kind) in
            found
                .iter()
                .zip([&master, &m, &v])
                .zip([master_kind, moment_kind, moment_kind])
        {
            let apart = found.to_kind(Kind::Float) - exact;
            if kind == Kind::Float {
                assert_eq!(apart.abs().max().double_value(&[]), 0.0);
                continue;
            }
            // One of the two neighbours in bf16, and neither always: off by less than a 128th of
            // the number, by nothing on average.
            assert!((apart.abs() - exact.abs() / 128.0).max().double_value(&[]) <= 0.0);
            let mean = (&apart / exact.abs().clamp_min(1e-6))
                .mean(Kind::Double)
                .double_value(&[]);
            assert!(mean.abs() < 1e-4, "{mean}");
        }
        if master_kind == Kind::BFloat16 {
            let moved = (found[0].to_kind(Kind::Float) - &before).dot(&(&master - &before));
            let whole = (&master - &before).square().sum(Kind::Float);
            let share = moved.double_value(&[]) / whole.double_value(&[]);
            assert!(
                (share - 1.0).abs() < 0.05,
                "steps far below a bf16's last bit are taken on average: {share}"
            );
        }
    }
}
