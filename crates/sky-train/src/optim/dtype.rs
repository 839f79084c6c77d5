use sky_plan::{MasterDtype, Precision};
use tch::Kind;

/// libtorch's name for what the model computes in.
pub(crate) fn compute_dtype(precision: Precision) -> Kind {
    match precision {
        Precision::Bf16 => Kind::BFloat16,
        Precision::F32 => Kind::Float,
    }
}

/// libtorch's name for what master weights are kept in.
pub(crate) fn master_dtype(weights: MasterDtype) -> Kind {
    match weights {
        MasterDtype::F32 => Kind::Float,
        MasterDtype::Bf16 => Kind::BFloat16,
    }
}
