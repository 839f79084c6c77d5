use tch::Tensor;

use crate::TrainError;

/// The collectives between the ranks of a run. Every rank calls the same operations in the same order.
///
/// Operations begin at once and may run in the background; the tensors must not be touched until
/// [`Pending::wait`]. An operation under way keeps its tensors alive by itself.
pub trait Collective {
    /// This process's number, from 0.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn world_size(&self) -> usize;

    /// Gathers every rank's `shard` `[n]`, in the order of ranks, into `full` `[n * world_size]`.
    ///
    /// # Errors
    /// When a peer is gone or the wait times out.
    fn all_gather_into(&self, full: &Tensor, shard: &Tensor) -> Result<Pending, TrainError>;

    /// Sums every rank's `full` `[n * world_size]`; this rank's part goes into `shard` `[n]`.
    ///
    /// # Errors
    /// As [`Collective::all_gather_into`].
    fn reduce_scatter(&self, shard: &Tensor, full: &Tensor) -> Result<Pending, TrainError>;

    /// Sums every rank's tensor, in place.
    ///
    /// # Errors
    /// As [`Collective::all_gather_into`].
    fn all_reduce(&self, tensor: &Tensor) -> Result<Pending, TrainError>;

    /// Copies the tensor of rank `from` to every rank, in place.
    ///
    /// # Errors
    /// As [`Collective::all_gather_into`].
    fn broadcast(&self, tensor: &Tensor, from: usize) -> Result<Pending, TrainError>;

    /// Waits until every rank has called it.
    ///
    /// # Errors
    /// As [`Collective::all_gather_into`].
    fn barrier(&self) -> Result<(), TrainError>;

    /// Says at once whether the group has failed, as far as this process knows. Whoever waits for
    /// another rank in some other way than by these operations calls it now and then.
    ///
    /// # Errors
    /// When a peer is known to be gone or to have given up.
    fn check(&self) -> Result<(), TrainError> {
        Ok(())
    }
}

/// A pending collective.
#[must_use = "the tensors are not ready before `wait`"]
pub struct Pending(Option<Box<dyn FnOnce() -> Result<(), TrainError> + Send>>);

impl Pending {
    /// One that is already done.
    pub fn done() -> Self {
        Self(None)
    }

    /// One that `wait` finishes.
    pub fn new(wait: impl FnOnce() -> Result<(), TrainError> + Send + 'static) -> Self {
        Self(Some(Box::new(wait)))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// As the operation's.
    pub fn wait(self) -> Result<(), TrainError> {
        self.0.map_or(Ok(()), |wait| wait())
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Pending(under way)"
        } else {
            "Pending(done)"
        })
    }
}

/// The collective of a single process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleProcess;

impl Collective for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn world_size(&self) -> usize {
        1
    }

    fn all_gather_into(&self, full: &Tensor, shard: &Tensor) -> Result<Pending, TrainError> {
        full.shallow_clone().f_copy_(shard)?;
        Ok(Pending::done())
    }

    fn reduce_scatter(&self, shard: &Tensor, full: &Tensor) -> Result<Pending, TrainError> {
        shard.shallow_clone().f_copy_(full)?;
        Ok(Pending::done())
    }

    fn all_reduce(&self, _: &Tensor) -> Result<Pending, TrainError> {
        Ok(Pending::done())
    }

    fn broadcast(&self, _: &Tensor, _: usize) -> Result<Pending, TrainError> {
        Ok(Pending::done())
    }

    fn barrier(&self) -> Result<(), TrainError> {
        Ok(())
    }
}
