//! Ranks as threads of one process: sharding must not change what is learnt, and a checkpoint must
//! not care who wrote it.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    path::Path,
    sync::{Arc, Barrier, Mutex},
    thread,
};

use common::{LLAMA, QWEN2, bits, config, job, max_difference, model, trained_until};
use sky_model::Config;
use sky_plan::TrainConfig;
use sky_train::{Collective, Pending, SingleProcess, StepMetrics, TrainError};
use tch::Tensor;

/// One rank of a group of threads.
struct Threads {
    rank: usize,
    world_size: usize,
    shared: Arc<Shared>,
}

struct Shared {
    barrier: Barrier,
    slots: Mutex<Vec<Option<Tensor>>>,
}

impl Threads {
    fn group(world_size: usize) -> Vec<Self> {
        let shared = Arc::new(Shared {
            barrier: Barrier::new(world_size),
            slots: Mutex::new((0..world_size).map(|_| None).collect()),
        });
        (0..world_size)
            .map(|rank| Self {
                rank,
                world_size,
                shared: Arc::clone(&shared),
            })
            .collect()
    }

    /// Every rank's tensor, in order of rank; waits for all to have given theirs and all to have
    /// taken them.
    fn exchange(&self, tensor: &Tensor) -> Vec<Tensor> {
        self.shared.slots.lock().unwrap()[self.rank] = Some(tensor.detach().copy());
        self.shared.barrier.wait();
        let all = self
            .shared
            .slots
            .lock()
            .unwrap()
            .iter()
            .map(|slot| slot.as_ref().unwrap().copy())
            .collect();
        self.shared.barrier.wait();
        all
    }

    fn sum(all: &[Tensor]) -> Tensor {
        let mut sum = all[0].copy();
        for other in &all[1..] {
            sum += other;
        }
        sum
    }
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.world_size
    }

    fn all_gather_into(&self, full: &Tensor, shard: &Tensor) -> Result<Pending, TrainError> {
        let whole = Tensor::cat(&self.exchange(shard), 0);
        full.shallow_clone().f_copy_(&whole)?;
        Ok(Pending::done())
    }

    fn reduce_scatter(&self, shard: &Tensor, full: &Tensor) -> Result<Pending, TrainError> {
        let sum = Self::sum(&self.exchange(full));
        let length = shard.size()[0];
        let mine = sum.narrow(0, self.rank as i64 * length, length);
        shard.shallow_clone().f_copy_(&mine)?;
        Ok(Pending::done())
    }

    fn all_reduce(&self, tensor: &Tensor) -> Result<Pending, TrainError> {
        let sum = Self::sum(&self.exchange(tensor));
        tensor.shallow_clone().f_copy_(&sum)?;
        Ok(Pending::done())
    }

    fn broadcast(&self, tensor: &Tensor, from: usize) -> Result<Pending, TrainError> {
        let all = self.exchange(tensor);
        tensor.shallow_clone().f_copy_(&all[from])?;
        Ok(Pending::done())
    }

    fn barrier(&self) -> Result<(), TrainError> {
        self.shared.barrier.wait();
        Ok(())
    }
}

/// Runs `steps` steps on `world_size` ranks, from a checkpoint when there is one, and saves; gives
/// the metrics and the weights.
fn run(model: &Config, world_size: usize, until: u64, dir: &Path) -> (Vec<StepMetrics>, Vec<u32>) {
    let results: Vec<_> = thread::scope(|scope| {
        let ranks: Vec<_> = Threads::group(world_size)
            .into_iter()
            .map(|comm| {
                scope.spawn(move || {
                    // Noise is the same whichever rank a conversation comes to.
                    let config = TrainConfig {
                        neftune_alpha: 5.0,
                        z_loss: 1e-3,
                        ..config()
                    };
                    let job = job(model, &config, 4);
                    let trainer = trained_until(job, &comm, until, dir);
                    (trainer.history().to_vec(), bits(&trainer, model))
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    for (history, weights) in &results {
        assert_eq!(*weights, results[0].1, "all ranks gather the same weights");
        assert!(
            history
                .iter()
                .zip(&results[0].0)
                .all(|(a, b)| a.loss == b.loss)
        );
    }
    results.into_iter().next().unwrap()
}

#[test]
fn any_number_of_ranks_learns_the_same() {
    for text in [QWEN2, LLAMA] {
        let model = model(text);
        let alone = run(&model, 1, 5, tempfile::tempdir().unwrap().path());
        for world_size in [2, 3] {
            let shared = run(&model, world_size, 5, tempfile::tempdir().unwrap().path());
            for (a, b) in alone.0.iter().zip(&shared.0) {
                assert!(
                    (a.loss - b.loss).abs() < 1e-5 * a.loss,
                    "{} {}",
                    a.loss,
                    b.loss
                );
                assert_eq!((a.tokens, a.targets), (b.tokens, b.targets));
            }
            let difference = max_difference(&alone.1, &shared.1);
            assert!(difference < 2e-4, "{difference}");
        }
    }
}

#[test]
fn a_checkpoint_goes_on_with_any_number_of_ranks() {
    let model = model(QWEN2);
    let alone = run(&model, 1, 7, tempfile::tempdir().unwrap().path());
    let dir = tempfile::tempdir().unwrap();
    run(&model, 3, 2, dir.path());
    run(&model, 1, 4, dir.path());
    let last = run(&model, 2, 7, dir.path());
    assert_eq!(last.0.len(), 7);
    for (a, b) in alone.0.iter().zip(&last.0) {
        assert!(
            (a.loss - b.loss).abs() < 1e-5 * a.loss,
            "{} {}",
            a.loss,
            b.loss
        );
    }
    let difference = max_difference(&alone.1, &last.1);
    assert!(difference < 2e-4, "{difference}");
    assert_eq!(SingleProcess.world_size(), 1);
}
