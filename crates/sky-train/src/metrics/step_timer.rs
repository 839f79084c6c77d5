use std::time::{Duration, Instant};

use sky_text::PackedRow;
use tch::Device;

use crate::{StepMemory, StepMetrics, StepTime};
use sky_plan::{ModelShape, TrainConfig};

/// Times each step and measures its memory.
pub(crate) struct StepTimer {
    /// None of a model whose layers are not known.
    shape: Option<ModelShape>,
    /// Ranks of the run, each with a processor of its own.
    world_size: usize,
    /// When this process began its first step.
    began: Option<Instant>,
    /// Seconds of training that were over by then.
    before: f64,
    /// Steps that this process has done.
    steps: u64,
}

/// The timing of one step.
pub(crate) struct StepTiming<'a> {
    pub(crate) seconds: f64,
    pub(crate) optimizer: Duration,
    /// The batch, of all ranks.
    pub(crate) packed: &'a [PackedRow],
    pub(crate) memory: StepMemory,
    /// Steps that are left.
    pub(crate) left: u64,
}

impl StepTimer {
    /// `shape`: none of a model whose layers are not known.
    pub(crate) fn new(shape: Option<ModelShape>, world_size: usize) -> Self {
        Self {
            shape,
            world_size,
            began: None,
            before: 0.0,
            steps: 0,
        }
    }

    /// Continues the elapsed time from where these steps ended.
    pub(crate) fn resume_from(&mut self, history: &[StepMetrics]) {
        self.before = history.last().map_or(0.0, |last| last.time.elapsed);
    }

    /// A step begins.
    pub(crate) fn begin(&mut self) {
        self.began.get_or_insert_with(Instant::now);
    }

    /// The step is over.
    pub(crate) fn end(&mut self, config: &TrainConfig, step: &StepTiming<'_>) -> StepTime {
        self.steps += 1;
        let here = self
            .began
            .map_or(0.0, |began| began.elapsed().as_secs_f64());
        let elapsed = self.before + here;
        let tokens: usize = step.packed.iter().map(PackedRow::len).sum();
        StepTime {
            seconds: step.seconds,
            optimizer_seconds: step.optimizer.as_secs_f64(),
            tokens_per_second: tokens as f64 / step.seconds,
            mfu: self
                .shape
                .as_ref()
                .zip(config.peak_flops)
                .map(|(shape, peak)| {
                    flops(shape, config, step.packed)
                        / (step.seconds * peak * self.world_size as f64)
                }),
            elapsed,
            remaining: here / self.steps as f64 * step.left as f64,
            dollars: config.dollars_per_hour.map(|rate| rate * elapsed / 3600.0),
            memory: step.memory,
        }
    }
}

/// What the mathematics of a batch needs; recomputation does not count.
fn flops(shape: &ModelShape, config: &TrainConfig, packed: &[PackedRow]) -> f64 {
    packed
        .iter()
        .flat_map(|row| &row.lengths)
        .map(|&length| {
            let length = length as f64;
            length * shape.step_flops(length, config, 0)
        })
        .sum()
}

/// Adds to the bytes that a process keeps the peaks that the system reports and, where there is
/// one, the GPU.
pub(crate) fn with_peaks(kept: StepMemory, device: Device) -> StepMemory {
    StepMemory {
        peak: sky_files::peak_memory(),
        gpu: match device {
            Device::Cuda(gpu) => sky_torch::gpu_memory(gpu)
                .ok()
                .map(|memory| memory.total.saturating_sub(memory.free)),
            _ => None,
        },
        ..kept
    }
}
