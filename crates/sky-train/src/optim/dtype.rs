use sky_plan::MasterDtype;
use tch::Kind;

/// libtorch's name for what master weights are kept in.
pub(crate) fn master_dtype(weights: MasterDtype) -> Kind {
    match weights {
        MasterDtype::F32 => Kind::Float,
        MasterDtype::Bf16 => Kind::BFloat16,
    }
}
