//! Gradients and optimizer steps against their formulas.
#![allow(clippy::unwrap_used)]

use sky_torch::{AdamW, AdamWSlot, TorchError, backward, fused_adamw_};
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
