use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sky_text::{Packed, PackedRow, pack};
use sky_types::TokenSeq;

use crate::TrainError;
use sky_plan::{OverLong, TrainConfig};

/// The training data: token sequences fit to be trained on.
#[derive(Clone, Debug)]
pub struct Dataset {
    seqs: Vec<TokenSeq>,
    /// The number each sequence had among those given.
    rows: Vec<usize>,
    over_long: usize,
    no_target: usize,
    id: DataId,
}

/// The identity of a training set; checkpoints carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataId {
    /// Sequences that are trained on.
    pub rows: u64,
    /// Their tokens.
    pub tokens: u64,
    /// SHA-256 over their tokens and targets.
    pub sha256: String,
}

impl Dataset {
    /// Takes the sequences that can be trained on: of at most `config.cutoff` tokens and with at
    /// least one target.
    ///
    /// # Errors
    /// When nothing is left, a token is outside the vocabulary, or one is too long and
    /// `config.over_long` forbids that.
    pub fn new(
        all: Vec<TokenSeq>,
        vocab_size: i64,
        config: &TrainConfig,
    ) -> Result<Self, TrainError> {
        let mut data = Self {
            seqs: Vec::with_capacity(all.len()),
            rows: Vec::with_capacity(all.len()),
            over_long: 0,
            no_target: 0,
            id: DataId {
                rows: 0,
                tokens: 0,
                sha256: String::new(),
            },
        };
        let mut hasher = Sha256::new();
        for (row, seq) in all.into_iter().enumerate() {
            if seq.len() != seq.target.len() {
                return Err(TrainError::Data(format!(
                    "row {row}: {} tokens but {} targets",
                    seq.len(),
                    seq.target.len()
                )));
            }
            if let Some(id) = seq.ids.iter().find(|&&id| i64::from(id) >= vocab_size) {
                return Err(TrainError::Data(format!(
                    "row {row}: token {id} is outside the model's vocabulary of {vocab_size}; was it made with another tokenizer?"
                )));
            }
            if seq.len() > config.cutoff {
                if config.over_long == OverLong::Error {
                    return Err(TrainError::Data(format!(
                        "row {row} has {} tokens, train.cutoff is {}: raise it, or set train.over_long = \"drop\"",
                        seq.len(),
                        config.cutoff
                    )));
                }
                data.over_long += 1;
                continue;
            }
            if seq.num_targets() == 0 {
                data.no_target += 1;
                continue;
            }
            hasher.update((seq.len() as u64).to_le_bytes());
            for (id, &target) in seq.ids.iter().zip(&seq.target) {
                hasher.update(((u64::from(*id) << 1) | u64::from(target)).to_le_bytes());
            }
            data.id.rows += 1;
            data.id.tokens += seq.len() as u64;
            data.rows.push(row);
            data.seqs.push(seq);
        }
        if data.seqs.is_empty() {
            return Err(TrainError::Data(format!(
                "no row can be trained on ({} longer than train.cutoff, {} without a target)",
                data.over_long, data.no_target
            )));
        }
        data.id.sha256 = sky_files::hex(&hasher.finalize());
        Ok(data)
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.seqs.len()
    }

    /// Whether there are none; [`Dataset::new`] makes no such.
    pub fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    /// Sequences left out because they were longer than the cutoff.
    pub fn over_long(&self) -> usize {
        self.over_long
    }

    /// Sequences left out because no token of theirs is a target.
    pub fn no_target(&self) -> usize {
        self.no_target
    }

    /// Tokens of the longest sequence.
    pub fn longest(&self) -> usize {
        self.seqs.iter().map(TokenSeq::len).max().unwrap_or(0)
    }

    /// Tokens of all sequences.
    pub fn tokens(&self) -> u64 {
        self.id.tokens
    }

    /// What distinguishes this data from other data.
    pub fn id(&self) -> &DataId {
        &self.id
    }

    /// The rows of a batch, as numbered where the data came from.
    pub(crate) fn source_rows(&self, batch: &[usize]) -> Vec<usize> {
        batch.iter().map(|&index| self.rows[index]).collect()
    }

    /// The batch packed into micro-batches. A conversation longer than `micro_batch_tokens` makes
    /// them as long as itself.
    pub(crate) fn pack(&self, batch: &[usize], config: &TrainConfig) -> Vec<PackedRow> {
        let seqs: Vec<TokenSeq> = batch.iter().map(|&i| self.seqs[i].clone()).collect();
        let longest = seqs.iter().map(TokenSeq::len).max().unwrap_or(0);
        let Packed { rows, dropped } = pack(&seqs, config.pack_tokens(longest));
        debug_assert!(dropped.is_empty());
        rows
    }
}
