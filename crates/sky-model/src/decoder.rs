//! The same functions as `layers.rs`, arranged for inference: projections that share an input
//! fused into one matrix, keys and values kept, only the positions asked for brought to logits.

use tch::{Device, Kind, Tensor};

use crate::{
    Config, ModelError,
    cache::{KeyValues, LayerKeyValues, RowCache},
    layers::{rms_norm, rotate},
    packed_sequences::{RopeTables, rope_tables},
};

const NONE: Option<&Tensor> = None;

#[derive(Debug)]
struct FusedLinear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl FusedLinear {
    fn apply(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }
}

#[derive(Debug)]
struct DecoderLayer {
    input_norm: Tensor,
    qkv: FusedLinear,
    output: FusedLinear,
    post_norm: Tensor,
    gate_up: FusedLinear,
    down: FusedLinear,
}

/// A model's weights arranged for inference.
#[derive(Debug)]
pub(crate) struct Decoder {
    config: Config,
    kind: Kind,
    embedding: Tensor,
    layers: Vec<DecoderLayer>,
    norm: Tensor,
    head: Tensor,
    /// Rotary tables of every position, `[context, head_dim / 2]`.
    rope: RopeTables,
}

/// The result of [`Decoder::prefill`].
pub(crate) struct Prefill {
    /// The hidden state of each sequence's last token, `[sequences, hidden]`.
    pub(crate) hidden: Tensor,
    /// Each sequence's keys and values.
    pub(crate) cached: Vec<KeyValues>,
}

impl Decoder {
    /// Takes blocks in the order of the forward pass, each in the order of its spec.
    pub(crate) fn new(
        config: &Config,
        params: Vec<Vec<Tensor>>,
        kind: Kind,
        context: i64,
    ) -> Result<Self, ModelError> {
        config.no_custom_layers()?;
        let specs = crate::blocks(config);
        let fits = params.len() == specs.len()
            && specs
                .iter()
                .zip(&params)
                .all(|(s, p)| s.params.len() == p.len());
        if !fits {
            return Err(ModelError::Config(
                "the parameters are not those of this configuration's blocks".into(),
            ));
        }
        for (spec, tensor) in specs
            .iter()
            .flat_map(|s| &s.params)
            .zip(params.iter().flatten())
        {
            if tensor.size() != spec.shape {
                let (expected, found) = (spec.shape.clone(), tensor.size());
                return Err(ModelError::Shape {
                    name: spec.name.clone(),
                    expected,
                    found,
                });
            }
        }
        let mut flat = params
            .into_iter()
            .flatten()
            .map(|t| t.detach().to_kind(kind));
        let mut next = move || {
            flat.next()
                .ok_or_else(|| ModelError::Config("a parameter is missing".into()))
        };
        let embedding = next()?;
        let mut layers = Vec::with_capacity(config.num_layers);
        for _ in 0..config.num_layers {
            let input_norm = next()?;
            let qkv = fuse(&mut next, 3, config.qkv_bias)?;
            let output = fuse(&mut next, 1, config.attention_output_bias)?;
            let post_norm = next()?;
            let gate_up = fuse(&mut next, 2, config.mlp_bias)?;
            let down = fuse(&mut next, 1, config.mlp_bias)?;
            layers.push(DecoderLayer {
                input_norm,
                qkv,
                output,
                post_norm,
                gate_up,
                down,
            });
        }
        let norm = next()?;
        let head = if config.tie_word_embeddings {
            embedding.shallow_clone()
        } else {
            next()?
        };
        let rope = rope_tables(config, context, kind, embedding.device());
        Ok(Self {
            config: config.clone(),
            kind,
            embedding,
            layers,
            norm,
            head,
            rope,
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The device that the parameters are on, where everything is computed.
    pub(crate) fn device(&self) -> Device {
        self.embedding.device()
    }

    /// Indices on the decoder's device.
    pub(crate) fn indices(&self, indices: &[i64]) -> Result<Tensor, ModelError> {
        Ok(Tensor::f_from_slice(indices)?.f_to_device(self.device())?)
    }

    /// Logits of hidden states `[rows, hidden]`: f32 `[rows, vocab]`, row-major.
    pub(crate) fn logits(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        let normed = rms_norm(hidden, &self.norm, self.config.rms_norm_eps);
        Ok(normed
            .f_linear(&self.head, NONE)?
            .f_to_kind(Kind::Float)?
            .f_contiguous()?)
    }

    /// Runs several token sequences that all follow `prefix`, packed side by side without padding.
    pub(crate) fn prefill(
        &self,
        sequences: &[&[u32]],
        prefix: Option<&KeyValues>,
    ) -> Result<Prefill, ModelError> {
        let c = &self.config;
        let before = prefix.map_or(0, |p| p.tokens);
        let ids: Vec<i64> = sequences
            .iter()
            .flat_map(|s| s.iter().map(|&id| i64::from(id)))
            .collect();
        let lengths: Vec<i64> = sequences.iter().map(|s| s.len() as i64).collect();
        let positions: Vec<i64> = lengths.iter().flat_map(|&n| before..before + n).collect();
        let rope = self.rope_at(&positions)?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        // Each query sees the prefix and its own sequence up to itself.
        let mask = Tensor::f_full(
            [longest, before + longest],
            f64::NEG_INFINITY,
            (self.kind, self.device()),
        )?
        .f_triu(before + 1)?;
        let mut cached: Vec<KeyValues> = lengths
            .iter()
            .map(|&tokens| KeyValues {
                tokens,
                layers: Vec::with_capacity(self.layers.len()),
            })
            .collect();
        let mut x = Tensor::f_embedding(&self.embedding, &self.indices(&ids)?, -1, false, false)?;
        for (at, layer) in self.layers.iter().enumerate() {
            let (q, k, v) = self.project(layer, &x, &rope)?;
            let mut outs = Vec::with_capacity(lengths.len());
            let mut start = 0;
            for (&n, cached) in lengths.iter().zip(&mut cached) {
                let part = |t: &Tensor| t.f_narrow(0, start, n)?.f_transpose(0, 1);
                let own = LayerKeyValues {
                    keys: part(&k)?.f_contiguous()?,
                    values: part(&v)?.f_contiguous()?,
                };
                let (keys, values) = match prefix.map(|p| &p.layers[at]) {
                    Some(shared) => (
                        Tensor::f_cat(&[&shared.keys, &own.keys], 1)?,
                        Tensor::f_cat(&[&shared.values, &own.values], 1)?,
                    ),
                    None => (own.keys.shallow_clone(), own.values.shallow_clone()),
                };
                let mask = mask.f_narrow(0, 0, n)?.f_narrow(1, 0, before + n)?;
                let out = Tensor::f_scaled_dot_product_attention(
                    &part(&q)?.f_unsqueeze(0)?,
                    &keys.f_unsqueeze(0)?,
                    &values.f_unsqueeze(0)?,
                    Some(&mask),
                    0.0,
                    false,
                    None,
                    c.num_heads != c.num_kv_heads,
                )?;
                outs.push(
                    out.f_squeeze_dim(0)?
                        .f_transpose(0, 1)?
                        .f_reshape([n, c.num_heads * c.head_dim])?,
                );
                cached.layers.push(own);
                start += n;
            }
            x = self.finish_layer(layer, &x, &Tensor::f_cat(&outs, 0)?)?;
        }
        let last: Vec<i64> = lengths
            .iter()
            .scan(0, |end, &n| {
                *end += n;
                Some(*end - 1)
            })
            .collect();
        Ok(Prefill {
            hidden: x.f_index_select(0, &self.indices(&last)?)?,
            cached,
        })
    }

    /// One token for every row of the cache; gives hidden states `[rows, hidden]`. The new keys and
    /// values are written to the cache's next column.
    pub(crate) fn step(
        &self,
        tokens: &[u32],
        positions: &[i64],
        prefix: Option<&KeyValues>,
        cache: &mut RowCache,
    ) -> Result<Tensor, ModelError> {
        let c = &self.config;
        let rows = tokens.len() as i64;
        let (d, kv, group) = (c.head_dim, c.num_kv_heads, c.num_heads / c.num_kv_heads);
        let ids: Vec<i64> = tokens.iter().map(|&id| i64::from(id)).collect();
        let rope = self.rope_at(positions)?;
        let window = cache.open_column(self.kind)?;
        let scale = (d as f64).powf(-0.5);
        let mut x = Tensor::f_embedding(&self.embedding, &self.indices(&ids)?, -1, false, false)?;
        for (at, layer) in self.layers.iter().enumerate() {
            let (q, k, v) = self.project(layer, &x, &rope)?;
            let LayerKeyValues { keys, values } = cache.push(at, &k, &v, &window)?;
            let q = q.f_mul_scalar(scale)?;
            // The query heads that share a key head go through as one small matrix.
            let own = q
                .f_view([rows * kv, group, d])?
                .f_bmm(&keys.f_transpose(1, 2)?)?
                .f_view([rows, kv, group, window.len])?
                .f_add_(&window.mask)?;
            let out = match prefix.map(|p| &p.layers[at]) {
                None => own
                    .f_softmax(-1, None)?
                    .f_view([rows * kv, group, window.len])?
                    .f_bmm(&values)?
                    .f_view([rows, c.num_heads * d])?,
                Some(prefix) => {
                    // All rows meet the shared prefix in one product a head, so it is read once a
                    // step, not once a row.
                    let across = |t: &Tensor, last: i64| {
                        t.f_transpose(0, 1)?.f_reshape([kv, rows * group, last])
                    };
                    let before = prefix.keys.size()[1];
                    let q = across(&q.f_view([rows, kv, group, d])?, d)?;
                    let shared = q
                        .f_bmm(&prefix.keys.f_transpose(1, 2)?)?
                        .f_view([kv, rows, group, before])?
                        .f_transpose(0, 1)?;
                    let weights = Tensor::f_cat(&[&shared, &own], -1)?.f_softmax(-1, None)?;
                    let from_own = weights
                        .f_narrow(-1, before, window.len)?
                        .f_reshape([rows * kv, group, window.len])?
                        .f_bmm(&values)?
                        .f_view([rows, kv, group, d])?;
                    let from_prefix = across(&weights.f_narrow(-1, 0, before)?, before)?
                        .f_bmm(&prefix.values)?
                        .f_view([kv, rows, group, d])?
                        .f_transpose(0, 1)?;
                    from_own
                        .f_add(&from_prefix)?
                        .f_view([rows, c.num_heads * d])?
                }
            };
            x = self.finish_layer(layer, &x, &out)?;
        }
        Ok(x)
    }

    /// Rotated queries and keys, and values: `[tokens, heads, head_dim]` each.
    fn project(
        &self,
        layer: &DecoderLayer,
        x: &Tensor,
        rope: &RopeTables,
    ) -> Result<(Tensor, Tensor, Tensor), ModelError> {
        let c = &self.config;
        let normed = rms_norm(x, &layer.input_norm, c.rms_norm_eps);
        let heads = c.num_heads + 2 * c.num_kv_heads;
        let qkv = layer.qkv.apply(&normed)?.f_view([-1, heads, c.head_dim])?;
        let rotated = rotate(
            &qkv.f_narrow(1, 0, c.num_heads + c.num_kv_heads)?,
            &rope.cos,
            &rope.sin,
        );
        Ok((
            rotated.f_narrow(1, 0, c.num_heads)?,
            rotated.f_narrow(1, c.num_heads, c.num_kv_heads)?,
            qkv.f_narrow(1, c.num_heads + c.num_kv_heads, c.num_kv_heads)?,
        ))
    }

    fn finish_layer(
        &self,
        layer: &DecoderLayer,
        x: &Tensor,
        attended: &Tensor,
    ) -> Result<Tensor, ModelError> {
        let x = layer.output.apply(attended)?.f_add_(x)?;
        let normed = rms_norm(&x, &layer.post_norm, self.config.rms_norm_eps);
        let gate_up = layer.gate_up.apply(&normed)?;
        let size = self.config.intermediate_size;
        let gated = gate_up
            .f_narrow(-1, 0, size)?
            .f_silu()?
            .f_mul_(&gate_up.f_narrow(-1, size, size)?)?;
        Ok(layer.down.apply(&gated)?.f_add_(&x)?)
    }

    /// The rotary tables of these positions, `[positions, 1, head_dim / 2]`.
    fn rope_at(&self, positions: &[i64]) -> Result<RopeTables, ModelError> {
        let at = self.indices(positions)?;
        let pick = |table: &Tensor| table.f_index_select(0, &at)?.f_unsqueeze(1);
        Ok(RopeTables {
            cos: pick(&self.rope.cos)?,
            sin: pick(&self.rope.sin)?,
        })
    }
}

/// Puts the next `n` linear layers, which share an input, on top of each other.
fn fuse(
    next: &mut dyn FnMut() -> Result<Tensor, ModelError>,
    n: usize,
    bias: bool,
) -> Result<FusedLinear, ModelError> {
    let mut weights = Vec::new();
    let mut biases = Vec::new();
    for _ in 0..n {
        weights.push(next()?);
        if bias {
            biases.push(next()?);
        }
    }
    Ok(FusedLinear {
        weight: Tensor::f_cat(&weights, 0)?,
        bias: if bias {
            Some(Tensor::f_cat(&biases, 0)?)
        } else {
            None
        },
    })
}
