use sky_model::ParamSpec;
use tch::{Kind, Tensor};

use crate::{Collective, TrainError};

/// Elements that are added up at a time: libtorch makes 8 bytes of each first.
const PART: i64 = 1 << 22;

/// A checksum of the weights that a rank has read, compared with rank 0's. Hosts may have a file
/// each, and a rank fills its shard from its own.
#[derive(Default)]
pub(crate) struct WeightChecksum {
    names: Vec<String>,
    sums: Vec<i64>,
}

impl WeightChecksum {
    /// Notes a parameter: the sum of its bits taken as whole numbers, which no order or number of
    /// threads changes.
    pub(crate) fn note(&mut self, param: &ParamSpec, whole: &Tensor) -> Result<(), TrainError> {
        let whole_numbers = match whole.kind().elt_size_in_bytes() {
            1 => Kind::Int8,
            2 => Kind::Int16,
            4 => Kind::Int,
            _ => Kind::Int64,
        };
        let bits = whole.f_reshape([-1])?.f_view_dtype(whole_numbers)?;
        let mut sum = 0_i64;
        for part in bits.f_split(PART, 0)? {
            sum = sum.wrapping_add(part.f_sum(Kind::Int64)?.f_int64_value(&[])?);
        }
        self.names.push(param.name.clone());
        self.sums.push(sum);
        Ok(())
    }

    /// Compares with rank 0.
    ///
    /// # Errors
    /// When a parameter differs, with its name.
    pub(crate) fn compare(&self, comm: &dyn Collective) -> Result<(), TrainError> {
        // A double holds each half exactly.
        let halves = |sum: &i64| [(sum >> 32) as f64, (sum & 0xffff_ffff) as f64];
        let ours: Vec<f64> = self.sums.iter().flat_map(halves).collect();
        let theirs = Tensor::f_from_slice(&ours)?;
        comm.broadcast(&theirs, 0)?.wait()?;
        let theirs = Vec::<f64>::try_from(theirs)?;
        let differs = ours.iter().zip(&theirs).position(|(a, b)| a != b);
        differs.map_or(Ok(()), |at| {
            Err(TrainError::Launch(format!(
                "this rank's model has other weights than rank 0's, `{}` first: give all hosts the same files",
                self.names[at / 2]
            )))
        })
    }
}
