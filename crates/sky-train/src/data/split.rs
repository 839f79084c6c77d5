use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use sky_types::derive_seed;

use crate::TrainError;

/// The rows that are trained on and those held out for validation: a function of their number and
/// the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrainValidationSplit {
    pub(crate) train: Vec<usize>,
    pub(crate) validation: Vec<usize>,
}

impl TrainValidationSplit {
    pub(crate) fn new(rows: usize, held_out: usize, seed: u64) -> Result<Self, TrainError> {
        if held_out >= rows && held_out > 0 {
            return Err(TrainError::Data(format!(
                "train.validation_rows is {held_out} of {rows} rows: none is left to train on"
            )));
        }
        let mut train: Vec<usize> = (0..rows).collect();
        if held_out == 0 {
            return Ok(Self {
                train,
                validation: Vec::new(),
            });
        }
        let seed = derive_seed(seed, "validation", 0);
        train.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut validation = train.split_off(rows - held_out);
        train.sort_unstable();
        validation.sort_unstable();
        Ok(Self { train, validation })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_on_one_side_and_the_seed_says_which() {
        let split = TrainValidationSplit::new(100, 10, 1).unwrap();
        assert_eq!(split.validation.len(), 10);
        let mut all = [split.train.clone(), split.validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(TrainValidationSplit::new(100, 10, 1).unwrap(), split);
        assert_ne!(TrainValidationSplit::new(100, 10, 2).unwrap(), split);
        assert_eq!(TrainValidationSplit::new(3, 0, 1).unwrap().train, [0, 1, 2]);
        assert!(TrainValidationSplit::new(3, 3, 1).is_err());
    }
}
