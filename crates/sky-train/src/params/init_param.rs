//! First values of what nobody has trained yet.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sky_model::ParamSpec;
use sky_types::derive_seed;
use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// A parameter's value for training from nothing, f32 on the CPU: biases are zero, norms one,
/// matrices uniform with a standard deviation of 0.02 (transformers' `initializer_range` of Qwen2
/// and Llama). A function of the seed and the name.
///
/// # Errors
/// When there is no memory for it.
pub fn init_param(param: &ParamSpec, seed: u64) -> Result<Tensor, TrainError> {
    let float = (Kind::Float, Device::Cpu);
    if param.name.ends_with(".bias") {
        return Ok(Tensor::f_zeros(param.shape.as_slice(), float)?);
    }
    if param.shape.len() < 2 {
        return Ok(Tensor::f_ones(param.shape.as_slice(), float)?);
    }
    uniform(param, 0.02 * 3_f32.sqrt(), derive_seed(seed, "fresh", 0))
}

/// Numbers from `-bound` to as much above zero, f32 on the CPU: a function of the seed and the
/// name.
pub(crate) fn uniform(param: &ParamSpec, bound: f32, seed: u64) -> Result<Tensor, TrainError> {
    let mut rng = ChaCha8Rng::seed_from_u64(derive_seed(seed, &param.name, 0));
    let values: Vec<f32> = (0..param.numel())
        .map(|_| (2.0 * rng.random::<f32>() - 1.0) * bound)
        .collect();
    Ok(Tensor::f_from_slice(&values)?.f_view(param.shape.as_slice())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_random_by_name_and_seed_and_the_rest_is_not() {
        let value = |name: &str, shape: &[i64], seed| {
            let value = init_param(&ParamSpec::new(name, shape), seed).unwrap();
            assert_eq!(value.size(), shape);
            Vec::<f32>::try_from(value.view(-1)).unwrap()
        };
        let matrix = value("a.weight", &[100, 70], 1);
        let mean = matrix.iter().sum::<f32>() / 7000.0;
        let variance = matrix.iter().map(|x| x * x).sum::<f32>() / 7000.0;
        assert!(mean.abs() < 1e-3, "{mean}");
        assert!((variance.sqrt() - 0.02).abs() < 1e-3, "{variance}");
        assert_eq!(matrix, value("a.weight", &[100, 70], 1));
        assert_ne!(matrix, value("a.weight", &[100, 70], 2));
        assert_ne!(matrix, value("b.weight", &[100, 70], 1));
        assert_eq!(value("norm.weight", &[3], 1), [1.0; 3]);
        assert_eq!(value("a.bias", &[3], 1), [0.0; 3]);
    }
}
