//! Low-rank adapters (LoRA: Hu et al., 2021): a frozen projection `x W^T` gets `(alpha / rank) (x
//! A^T) B^T` added.

use tch::Tensor;

use crate::{BlockId, BlockSpec, Config, ParamSpec, blocks};

/// The linear projections of a layer, in the order of its parameters.
pub const PROJECTIONS: [&str; 7] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
];

/// Which projections of every layer have an adapter, and of what kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lora {
    /// Rows of A, columns of B.
    pub rank: i64,
    /// What an adapter adds is multiplied by this over the rank.
    pub alpha: f64,
    /// For each of [`PROJECTIONS`], whether it has one.
    pub adapted: [bool; 7],
}

impl Lora {
    /// What an adapter adds is multiplied by this.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// The adapters' parameters, block by block as in [`blocks`]: for each adapted projection of a
    /// layer, in the layer's order, `...lora_A.weight` `[rank, in]` and `...lora_B.weight` `[out,
    /// rank]`. Embedding and head have none.
    pub fn blocks(&self, config: &Config) -> Vec<BlockSpec> {
        let adapters = |spec: BlockSpec| BlockSpec {
            id: spec.id,
            params: match spec.id {
                BlockId::Layer(_) => spec
                    .params
                    .iter()
                    .filter_map(|param| self.pair(param))
                    .flatten()
                    .collect(),
                BlockId::Embedding | BlockId::Head => Vec::new(),
            },
        };
        blocks(config).into_iter().map(adapters).collect()
    }

    /// A and B of a matrix that has an adapter.
    pub fn pair(&self, param: &ParamSpec) -> Option<[ParamSpec; 2]> {
        let stem = param.name.strip_suffix(".weight")?;
        let projection = stem.rsplit('.').next()?;
        let index = PROJECTIONS.iter().position(|&name| name == projection)?;
        let &[rows, columns] = param.shape.as_slice() else {
            return None;
        };
        let adapter =
            |part: &str, shape: [i64; 2]| ParamSpec::new(format!("{stem}.{part}.weight"), &shape);
        self.adapted[index].then(|| {
            [
                adapter("lora_A", [self.rank, columns]),
                adapter("lora_B", [rows, self.rank]),
            ]
        })
    }

    /// `W + (alpha / rank) B A`: the projection with its adapter merged, in the kind of `weight`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn merged(&self, weight: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor, tch::TchError> {
        tch::no_grad(|| weight.f_add(&b.f_matmul(a)?.f_mul_scalar(self.scale())?))
    }
}

/// A layer's adapters: the parameters of its block in [`Lora::blocks`].
#[derive(Clone, Copy, Debug)]
pub struct Adapters<'a> {
    /// What they are.
    pub lora: &'a Lora,
    /// A and B of each adapted projection.
    pub params: &'a [Tensor],
}

/// The adapter of one projection.
#[derive(Clone, Copy)]
pub(crate) struct Adapter<'a> {
    a: &'a Tensor,
    b: &'a Tensor,
    /// What it adds is multiplied by this.
    scale: f64,
}

/// For each projection of a layer, its adapter.
pub(crate) fn by_projection<'a>(adapters: Option<&Adapters<'a>>) -> [Option<Adapter<'a>>; 7] {
    let mut found = [None; 7];
    if let Some(Adapters { lora, params }) = adapters {
        let mut pairs = params.chunks_exact(2);
        for (adapter, _) in found.iter_mut().zip(lora.adapted).filter(|(_, has)| *has) {
            *adapter = pairs.next().map(|pair| Adapter {
                a: &pair[0],
                b: &pair[1],
                scale: lora.scale(),
            });
        }
    }
    found
}

/// What a projection gives, `[tokens, out]`, with what its adapter adds for the same input.
pub(crate) fn adapted(y: Tensor, x: &Tensor, adapter: Option<Adapter<'_>>) -> Tensor {
    match adapter {
        None => y,
        // The scale goes where the tensor is small.
        Some(Adapter { a, b, scale }) => y.addmm(&(x.matmul(&a.tr()) * scale), &b.tr()),
    }
}
