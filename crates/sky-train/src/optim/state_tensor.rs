use tch::{Device, Kind, Tensor, no_grad};

use crate::{TrainError, optim::adam8bit::QuantizedTensor};

/// A vector of optimizer state in its storage dtype.
#[derive(Debug)]
pub(crate) enum StateTensor {
    /// f32 or bf16.
    Plain(Tensor),
    /// Codes and scales.
    Quantized(QuantizedTensor),
}

impl StateTensor {
    /// Elements.
    pub(crate) fn length(&self) -> i64 {
        match self {
            Self::Plain(tensor) => tensor.numel() as i64,
            Self::Quantized(codes) => codes.length(),
        }
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Plain(tensor) => (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64,
            Self::Quantized(codes) => codes.bytes(),
        }
    }

    /// Elements `from..from + length`, the same memory; both are multiples of 64.
    pub(crate) fn narrow(&self, from: i64, length: i64) -> Result<Self, TrainError> {
        Ok(match self {
            Self::Plain(tensor) => Self::Plain(tensor.f_narrow(0, from, length)?),
            Self::Quantized(codes) => Self::Quantized(codes.narrow(from, length)?),
        })
    }

    /// A copy in host memory.
    pub(crate) fn copied(&self) -> Result<Self, TrainError> {
        Ok(match self {
            Self::Plain(tensor) => {
                let mut copy = Tensor::f_empty(tensor.size(), (tensor.kind(), Device::Cpu))?;
                no_grad(|| copy.f_copy_(tensor))?;
                Self::Plain(copy)
            }
            Self::Quantized(codes) => Self::Quantized(codes.copied()?),
        })
    }

    /// Its elements in f32; the same memory when they are stored so.
    pub(crate) fn to_f32(&self) -> Result<Tensor, TrainError> {
        match self {
            Self::Plain(tensor) => Ok(tensor.f_detach()?.f_to_kind(Kind::Float)?),
            Self::Quantized(codes) => codes.to_f32(),
        }
    }

    /// Sets its first elements to these f32 values, the others to zero.
    pub(crate) fn fill(&self, values: &Tensor) -> Result<(), TrainError> {
        let count = values.numel() as i64;
        let whole = match self {
            Self::Plain(tensor) => tensor.shallow_clone(),
            Self::Quantized(codes) => {
                Tensor::f_empty([self.length()], (Kind::Float, codes.device()))?
            }
        };
        no_grad(|| {
            whole.f_narrow(0, 0, count)?.f_copy_(values)?;
            let _ = whole.f_narrow(0, count, self.length() - count)?.f_zero_()?;
            Ok::<_, TrainError>(())
        })?;
        match self {
            Self::Plain(_) => Ok(()),
            Self::Quantized(codes) => codes.set(&whole),
        }
    }
}
