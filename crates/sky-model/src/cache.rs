use tch::{Device, Kind, Tensor};

use crate::{Config, ModelError};

/// Keys and values of some tokens, one pair a layer, each `[kv_heads, tokens, head_dim]`.
#[derive(Debug)]
pub(crate) struct KeyValues {
    pub(crate) tokens: i64,
    pub(crate) layers: Vec<LayerKeyValues>,
}

/// One layer's keys and values, both of the same shape.
#[derive(Debug)]
pub(crate) struct LayerKeyValues {
    pub(crate) keys: Tensor,
    pub(crate) values: Tensor,
}

/// Keys and values of the rows of a batch, beyond what they share.
///
/// All rows write to the same column at the same step, so that a step writes one strip and moves
/// nothing. A row that comes in later has its prompt laid right before the current column; what
/// lies further left is masked for it.
#[derive(Debug)]
pub(crate) struct RowCache {
    kv_heads: i64,
    head_dim: i64,
    device: Device,
    /// One pair a layer, `[rows * kv_heads, capacity, head_dim]`.
    layers: Vec<LayerKeyValues>,
    capacity: i64,
    /// The next column to write.
    end: i64,
    /// For each row its first column; `None` for a row that is free.
    starts: Vec<Option<i64>>,
    /// Columns that must stay free left of `end` for the longest prompt still to come.
    reserve: i64,
}

/// The columns that one step looks at, the one it writes included.
#[derive(Debug)]
pub(crate) struct Window {
    start: i64,
    pub(crate) len: i64,
    /// 0 where a row may look, minus infinity elsewhere; `[rows, 1, 1, len]`.
    pub(crate) mask: Tensor,
}

/// Room for this many steps beyond what is there now, when the cache has to grow.
const GROWTH: i64 = 128;

impl RowCache {
    /// Free rows, with room for prompts of up to `reserve` tokens.
    pub(crate) fn new(
        config: &Config,
        rows: usize,
        reserve: i64,
        kind: Kind,
        device: Device,
    ) -> Result<Self, ModelError> {
        let (kv_heads, head_dim) = (config.num_kv_heads, config.head_dim);
        let capacity = reserve + GROWTH;
        let empty =
            || Tensor::f_zeros([rows as i64 * kv_heads, capacity, head_dim], (kind, device));
        let layers = (0..config.num_layers)
            .map(|_| {
                Ok(LayerKeyValues {
                    keys: empty()?,
                    values: empty()?,
                })
            })
            .collect::<Result<_, ModelError>>()?;
        Ok(Self {
            kv_heads,
            head_dim,
            device,
            layers,
            capacity,
            end: reserve,
            starts: vec![None; rows],
            reserve,
        })
    }

    /// Lays a prompt's keys and values into a free row.
    pub(crate) fn fill(&mut self, row: usize, prompt: &KeyValues) -> Result<(), ModelError> {
        let start = self.end - prompt.tokens;
        for (all, own) in self.layers.iter().zip(&prompt.layers) {
            for (cache, own) in [(&all.keys, &own.keys), (&all.values, &own.values)] {
                cache
                    .f_narrow(0, row as i64 * self.kv_heads, self.kv_heads)?
                    .f_narrow(1, start, prompt.tokens)?
                    .f_copy_(own)?;
            }
        }
        self.starts[row] = Some(start);
        Ok(())
    }

    /// Frees a row.
    pub(crate) fn free(&mut self, row: usize) {
        self.starts[row] = None;
    }

    /// Keeps these rows only, in this order.
    pub(crate) fn keep(&mut self, rows: &[usize]) -> Result<(), ModelError> {
        let picked: Vec<i64> = rows
            .iter()
            .flat_map(|&row| (0..self.kv_heads).map(move |head| (row as i64, head)))
            .map(|(row, head)| row * self.kv_heads + head)
            .collect();
        self.starts = rows.iter().map(|&row| self.starts[row]).collect();
        self.relocate(Some(
            &Tensor::f_from_slice(&picked)?.f_to_device(self.device)?,
        ))
    }

    /// Makes the next column and says what the step looks at.
    pub(crate) fn open_column(&mut self, kind: Kind) -> Result<Window, ModelError> {
        if self.end == self.capacity {
            self.relocate(None)?;
        }
        let column = self.end;
        self.end += 1;
        let start = self
            .starts
            .iter()
            .flatten()
            .copied()
            .min()
            .unwrap_or(column);
        let len = self.end - start;
        let mask: Vec<f32> = self
            .starts
            .iter()
            .flat_map(|first| {
                let first = first.unwrap_or(column);
                (start..column + 1).map(move |c| if c < first { f32::NEG_INFINITY } else { 0.0 })
            })
            .collect();
        let mask = Tensor::f_from_slice(&mask)?
            .f_to_device(self.device)?
            .f_to_kind(kind)?
            .f_view([self.starts.len() as i64, 1, 1, len])?;
        Ok(Window { start, len, mask })
    }

    /// Writes a layer's new keys and values, `[rows, kv_heads, head_dim]`, and gives all those in
    /// the window, `[rows * kv_heads, window, head_dim]`.
    pub(crate) fn push(
        &mut self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
        window: &Window,
    ) -> Result<LayerKeyValues, ModelError> {
        let strip = [self.starts.len() as i64, self.kv_heads, 1, self.head_dim];
        let whole = [
            self.starts.len() as i64,
            self.kv_heads,
            self.capacity,
            self.head_dim,
        ];
        let all = &self.layers[layer];
        for (cache, new) in [(&all.keys, keys), (&all.values, values)] {
            cache
                .f_view(whole)?
                .f_narrow(2, self.end - 1, 1)?
                .f_copy_(&new.f_reshape(strip)?)?;
        }
        let view = |t: &Tensor| t.f_narrow(1, window.start, window.len);
        Ok(LayerKeyValues {
            keys: view(&all.keys)?,
            values: view(&all.values)?,
        })
    }

    /// Moves what is still looked at to the front of new memory, keeping only `picked` strips
    /// when given.
    fn relocate(&mut self, picked: Option<&Tensor>) -> Result<(), ModelError> {
        let oldest = self
            .starts
            .iter()
            .flatten()
            .copied()
            .min()
            .unwrap_or(self.end);
        let base = oldest.min(self.end - self.reserve).max(0);
        let used = self.end - base;
        let capacity = used + GROWTH.max(used / 2);
        let strips = self.starts.len() as i64 * self.kv_heads;
        for layer in &mut self.layers {
            for cache in [&mut layer.keys, &mut layer.values] {
                let old = cache.f_narrow(1, base, used)?;
                let old = match picked {
                    Some(picked) => old.f_index_select(0, picked)?,
                    None => old,
                };
                let new = Tensor::f_zeros(
                    [strips, capacity, self.head_dim],
                    (cache.kind(), self.device),
                )?;
                new.f_narrow(1, 0, used)?.f_copy_(&old)?;
                *cache = new;
            }
        }
        for start in self.starts.iter_mut().flatten() {
            *start -= base;
        }
        self.end = used;
        self.capacity = capacity;
        Ok(())
    }
}
