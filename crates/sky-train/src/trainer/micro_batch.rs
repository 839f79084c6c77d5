use sky_model::{Config, PackedSequences};
use sky_text::PackedRow;
use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// One packed row on the device.
pub(crate) struct MicroBatch {
    pub(super) ids: Tensor,
    pub(super) targets: Tensor,
    pub(super) sequences: PackedSequences,
    /// Noise that is added to the embedded tokens, `[tokens, hidden]`.
    pub(super) noise: Option<Tensor>,
    /// Tokens of each document.
    pub(super) lengths: Vec<usize>,
    /// Each document's row of the data. Empty for a row that only keeps the ranks in step.
    pub(super) rows: Vec<usize>,
}

impl MicroBatch {
    pub(crate) fn new(
        config: &Config,
        row: &PackedRow,
        kind: Kind,
        device: Device,
    ) -> Result<Self, TrainError> {
        let ids: Vec<i64> = row.ids.iter().map(|&id| i64::from(id)).collect();
        let lengths: Vec<i64> = row.lengths.iter().map(|&n| n as i64).collect();
        Ok(Self {
            ids: Tensor::f_from_slice(&ids)?.f_to_device(device)?,
            targets: Tensor::f_from_slice(&row.next_tokens())?.f_to_device(device)?,
            sequences: PackedSequences::new(config, &lengths, kind, device),
            noise: None,
            lengths: row.lengths.clone(),
            rows: Vec::new(),
        })
    }

    /// With each document's row of the data.
    pub(crate) fn with_rows(mut self, rows: Vec<usize>) -> Self {
        self.rows = rows;
        self
    }

    pub(crate) fn with_noise(mut self, noise: Option<Tensor>) -> Self {
        self.noise = noise;
        self
    }
}
