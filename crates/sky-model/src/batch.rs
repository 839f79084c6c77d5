use sky_types::{FinishReason, GenerateError, Reply, Sink};
use tch::{Device, Kind, Tensor};

use sky_text::Tokenizer;

use crate::{
    ModelError,
    cache::{KeyValues, RowCache},
    decoder::{Decoder, Prefill},
    prompts::{Prepared, common_prefix},
    sampler::{Sampler, likeliest},
};

/// Prompt tokens computed at once; bounds the memory of activations.
const PREFILL_TOKENS: usize = 4096;

/// What every batch of a generator uses.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) decoder: Decoder,
    pub(crate) tokenizer: Tokenizer,
    /// Tokens that end a reply.
    pub(crate) stops: Vec<u32>,
    /// Longest prompt and reply together, in tokens.
    pub(crate) context: usize,
}

/// A reply in progress.
#[derive(Debug)]
struct Row {
    /// Which of the group's requests.
    item: usize,
    sampler: Sampler,
    said: Vec<u32>,
}

/// Tokens to compute once, and the requests that they belong to.
struct DistinctPrompt<'a> {
    tokens: &'a [u32],
    /// Which of the group's requests.
    items: Vec<usize>,
}

/// The replies of one group, advanced together. Everything here is a function of the group's
/// requests alone: which rows share a batch, when rows are refilled and when the batch shrinks
/// never depend on time.
pub(crate) struct Batch<'a> {
    engine: &'a Engine,
    group: &'a [Prepared],
    prefix: Option<KeyValues>,
    cache: RowCache,
    rows: Vec<Option<Row>>,
    next: usize,
    /// Memory of the last step's logits, used again.
    buffer: Vec<f32>,
}

impl<'a> Batch<'a> {
    pub(crate) fn run(
        engine: &'a Engine,
        group: &'a [Prepared],
        max_batch: usize,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        let mut batch = Self::new(engine, group, max_batch).map_err(backend)?;
        while batch.admit(sink)? {
            batch.shrink().map_err(backend)?;
            batch.step(sink)?;
        }
        Ok(())
    }

    fn new(
        engine: &'a Engine,
        group: &'a [Prepared],
        max_batch: usize,
    ) -> Result<Self, ModelError> {
        let shared = match group {
            // One request has nobody to share with.
            [] | [_] => 0,
            _ => common_prefix(group),
        };
        let decoder = &engine.decoder;
        let prefix = match group.first() {
            Some(first) if shared > 0 => {
                let prefix = &first.prompt[..shared];
                decoder.prefill(&[prefix], None)?.cached.pop()
            }
            _ => None,
        };
        let longest = group
            .iter()
            .map(|p| p.prompt.len() - shared)
            .max()
            .unwrap_or(0);
        let size = max_batch.min(group.len());
        let cache = RowCache::new(
            decoder.config(),
            size,
            longest as i64,
            decoder.kind(),
            decoder.device(),
        )?;
        let rows = (0..size).map(|_| None).collect();
        Ok(Self {
            engine,
            group,
            prefix,
            cache,
            rows,
            next: 0,
            buffer: Vec::new(),
        })
    }

    fn live(&self) -> usize {
        self.rows.iter().flatten().count()
    }

    fn shared(&self) -> usize {
        self.prefix.as_ref().map_or(0, |p| p.tokens as usize)
    }

    /// Fills free rows with waiting requests, an eighth of the batch at a time, so that prompts go
    /// through in company. Says whether anything is left to do.
    fn admit(&mut self, sink: &mut Sink<'_>) -> Result<bool, GenerateError> {
        loop {
            let waiting = self.group.len() - self.next;
            let free = self.rows.len() - self.live();
            let few = (self.rows.len() / 8).max(1).min(waiting);
            if waiting == 0 || free < few {
                return Ok(self.live() > 0);
            }
            self.admit_some(free.min(waiting), sink)?;
        }
    }

    fn admit_some(&mut self, count: usize, sink: &mut Sink<'_>) -> Result<(), GenerateError> {
        let group = self.group;
        let shared = self.shared();
        // Equal prompts that follow one another are computed once.
        let mut distinct: Vec<DistinctPrompt<'_>> = Vec::new();
        for (item, prepared) in group.iter().enumerate().skip(self.next).take(count) {
            let tokens = &prepared.prompt[shared..];
            match distinct.last_mut() {
                Some(last) if last.tokens == tokens => last.items.push(item),
                _ => distinct.push(DistinctPrompt {
                    tokens,
                    items: vec![item],
                }),
            }
        }
        self.next += count;
        let mut rest = distinct.as_slice();
        while !rest.is_empty() {
            let mut tokens = 0;
            let fitting = rest.iter().take_while(|prompt| {
                tokens += prompt.tokens.len();
                tokens <= PREFILL_TOKENS
            });
            let (now, later) = rest.split_at(fitting.count().max(1));
            rest = later;
            self.prefill(now, sink)?;
        }
        Ok(())
    }

    fn prefill(
        &mut self,
        prompts: &[DistinctPrompt<'_>],
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        let sequences: Vec<&[u32]> = prompts.iter().map(|prompt| prompt.tokens).collect();
        let decoder = &self.engine.decoder;
        let Prefill { hidden, cached } = decoder
            .prefill(&sequences, self.prefix.as_ref())
            .map_err(backend)?;
        // One row of `hidden` a prompt, drawn from as often as the prompt is asked.
        let (mut slots, mut hidden_rows) = (Vec::new(), Vec::new());
        for (at, (prompt, cached)) in prompts.iter().zip(&cached).enumerate() {
            for &item in &prompt.items {
                let request = &self.group[item].request;
                let sampler = Sampler::new(&request.params, request.seed);
                // As many requests are admitted as rows are free.
                let Some(slot) = self.rows.iter().position(Option::is_none) else {
                    continue;
                };
                self.rows[slot] = Some(Row {
                    item,
                    sampler,
                    said: Vec::new(),
                });
                self.cache.fill(slot, cached).map_err(backend)?;
                slots.push(slot);
                hidden_rows.push(at as i64);
            }
        }
        let logits = decoder.logits(&hidden).map_err(backend)?;
        self.draw(&slots, &hidden_rows, &logits, sink)
    }

    /// When nobody waits, rows that are done are taken out of the batch, a quarter of it at a time.
    fn shrink(&mut self) -> Result<(), ModelError> {
        let live = self.live();
        if self.next < self.group.len() || live * 4 > self.rows.len() * 3 {
            return Ok(());
        }
        let kept: Vec<usize> = (0..self.rows.len())
            .filter(|&i| self.rows[i].is_some())
            .collect();
        self.cache.keep(&kept)?;
        self.rows.retain(Option::is_some);
        Ok(())
    }

    /// One token for every row.
    fn step(&mut self, sink: &mut Sink<'_>) -> Result<(), GenerateError> {
        let (mut tokens, mut positions, mut live) = (Vec::new(), Vec::new(), Vec::new());
        for (slot, row) in self.rows.iter().enumerate() {
            // A free row goes along with any token; nobody looks at it.
            let (token, position) = row.as_ref().map_or((0, 0), |row| {
                live.push(slot);
                let before = self.group[row.item].prompt.len() + row.said.len();
                (row.said.last().copied().unwrap_or(0), before - 1)
            });
            tokens.push(token);
            positions.push(position as i64);
        }
        let decoder = &self.engine.decoder;
        let hidden = decoder
            .step(&tokens, &positions, self.prefix.as_ref(), &mut self.cache)
            .map_err(backend)?;
        let slots: Vec<i64> = live.iter().map(|&slot| slot as i64).collect();
        let logits = decoder
            .indices(&slots)
            .and_then(|slots| Ok(hidden.f_index_select(0, &slots)?))
            .and_then(|hidden| decoder.logits(&hidden))
            .map_err(backend)?;
        let rows: Vec<i64> = (0..slots.len() as i64).collect();
        self.draw(&live, &rows, &logits, sink)
    }

    /// Draws a token for each slot from its row of logits.
    fn draw(
        &mut self,
        slots: &[usize],
        rows: &[i64],
        logits: &Tensor,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        let tokens = self.choose(slots, rows, logits).map_err(backend)?;
        for (&slot, token) in slots.iter().zip(tokens) {
            self.advance(slot, token, sink)?;
        }
        Ok(())
    }

    fn choose(
        &mut self,
        slots: &[usize],
        rows: &[i64],
        logits: &Tensor,
    ) -> Result<Vec<u32>, ModelError> {
        let temperatures: Vec<Option<f64>> = slots
            .iter()
            .map(|&slot| {
                self.rows[slot]
                    .as_ref()
                    .and_then(|row| row.sampler.temperature())
            })
            .collect();
        let (greedy, drawn): (Vec<usize>, Vec<usize>) =
            (0..slots.len()).partition(|&i| temperatures[i].is_none());
        let vocab = self.engine.decoder.config().vocab_size as usize;
        let mut tokens = vec![0; slots.len()];
        if !greedy.is_empty() {
            read(logits, &mut self.buffer)?;
            for &i in &greedy {
                tokens[i] = likeliest(&self.buffer[rows[i] as usize * vocab..][..vocab]);
            }
        }
        if !drawn.is_empty() {
            // The softmax runs over all rows at once in libtorch's vectorised kernel; only the draw
            // is done here.
            let picked: Vec<i64> = drawn.iter().map(|&i| rows[i]).collect();
            let scale: Vec<f32> = drawn
                .iter()
                .filter_map(|&i| temperatures[i])
                .map(|t| t as f32)
                .collect();
            let scaled = logits
                .f_index_select(0, &self.engine.decoder.indices(&picked)?)?
                .f_div_(
                    &Tensor::f_from_slice(&scale)?
                        .f_to_device(logits.device())?
                        .f_unsqueeze(1)?,
                )?;
            read(&scaled.f_softmax(-1, Kind::Float)?, &mut self.buffer)?;
            for (&i, probabilities) in drawn.iter().zip(self.buffer.chunks_exact(vocab)) {
                if let Some(row) = &mut self.rows[slots[i]] {
                    tokens[i] = row.sampler.draw(probabilities);
                }
            }
        }
        Ok(tokens)
    }

    /// Adds a token to a row, and hands the reply over when it was the last.
    fn advance(
        &mut self,
        slot: usize,
        token: u32,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        let Some(row) = &mut self.rows[slot] else {
            return Ok(());
        };
        let Prepared { request, prompt } = &self.group[row.item];
        let limit = (request.params.max_tokens as usize).min(self.engine.context - prompt.len());
        let mut ended = false;
        if limit > 0 {
            row.said.push(token);
            ended = self.engine.stops.contains(&token);
        }
        if !ended && row.said.len() < limit {
            return Ok(());
        }
        let words = if ended {
            &row.said[..row.said.len() - 1]
        } else {
            &row.said[..]
        };
        let reply = Reply {
            key: request.key,
            text: self
                .engine
                .tokenizer
                .decode(words)
                .map_err(|e| GenerateError::Backend(Box::new(e)))?,
            finish_reason: if ended {
                FinishReason::Stop
            } else {
                FinishReason::Length
            },
            prompt_tokens: prompt.len() as u32,
            failure: None,
            completion_tokens: row.said.len() as u32,
        };
        self.rows[slot] = None;
        self.cache.free(slot);
        sink(reply).map_err(GenerateError::Sink)
    }
}

/// The values of an f32 tensor, row after row, into memory used before.
fn read(values: &Tensor, buffer: &mut Vec<f32>) -> Result<(), ModelError> {
    let numel = values.numel();
    buffer.resize(numel, 0.0);
    // Copying out of a tensor works in host memory alone.
    let values = values.f_to_device(Device::Cpu)?;
    Ok(values.f_copy_data(buffer, numel)?)
}

fn backend(error: ModelError) -> GenerateError {
    GenerateError::Backend(Box::new(error))
}
