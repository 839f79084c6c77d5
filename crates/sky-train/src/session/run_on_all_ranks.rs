//! Work on all ranks: how it begins, how it ends, and how one rank's failure reaches
//! the others.

use std::cell::Cell;

use super::join::Session;
use crate::TrainError;

/// An error of a program's own code, or one of this crate's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Session {
    /// Runs `work` on every rank. No rank succeeds before rank 0 does. A rank that fails tells the
    /// others, whose waits then end with that rank's error.
    ///
    /// # Errors
    /// As `work`, or when another rank fails.
    pub fn together<T>(&self, work: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
        let Some(gloo) = self.control() else {
            return work();
        };
        let over = self.next_keys().of("over");
        let done = work().and_then(|value| {
            if self.is_leader() {
                gloo.set(&over, "done")?;
            } else {
                gloo.wait(&over)?;
            }
            Ok(value)
        });
        self.end(done, |error| {
            let known = error
                .downcast_ref::<TrainError>()
                .is_some_and(TrainError::is_collective);
            (!known).then(|| error.to_string())
        })
    }

    /// Runs `lead` on rank 0. The other ranks run `follow` once `lead` has called the function that
    /// it is given; they do nothing when it never does, because there is nothing to do. No rank
    /// succeeds before `lead` does.
    ///
    /// `failure` gives what the other ranks learn of an error: nothing when they know of it
    /// already.
    ///
    /// # Errors
    /// As `lead` or `follow`, or when another rank fails.
    pub fn lead_and_follow<E: From<TrainError>>(
        &self,
        lead: impl FnOnce(&dyn Fn() -> Result<(), TrainError>) -> Result<(), E>,
        follow: impl FnOnce() -> Result<(), E>,
        failure: impl Fn(&E) -> Option<String>,
    ) -> Result<(), E> {
        let Some(gloo) = self.control() else {
            return lead(&|| Ok(()));
        };
        let keys = self.next_keys();
        let (begin, over) = (keys.of("begin"), keys.of("over"));
        let done = if self.is_leader() {
            let begun = Cell::new(false);
            let done = lead(&|| {
                begun.set(true);
                gloo.set(&begin, "begin")
            });
            done.and_then(|()| {
                let key = if begun.get() { &over } else { &begin };
                Ok(gloo.set(key, "done")?)
            })
        } else {
            match gloo.wait(&begin) {
                Ok(word) if word == "begin" => {
                    follow().and_then(|()| Ok(gloo.wait(&over).map(drop)?))
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        self.end(done, failure)
    }

    /// Ends the work of all ranks: the exit barrier, or a word to the others about the error.
    fn end<T, E: From<TrainError>>(
        &self,
        done: Result<T, E>,
        failure: impl Fn(&E) -> Option<String>,
    ) -> Result<T, E> {
        let done = done.and_then(|value| match self.exit_barrier() {
            // All is done and written: a rank that is lost now changes nothing.
            Err(_) if self.is_leader() => Ok(value),
            left => Ok(left.map(|()| value)?),
        });
        if let (Some(gloo), Err(error)) = (self.control(), &done)
            && let Some(reason) = failure(error)
        {
            gloo.give_up(&reason);
        }
        done
    }

    /// Waits on rank 0 until all other ranks are here: rank 0 serves the store that they need until
    /// then. [`Session::together`] and [`Session::lead_and_follow`] call it; a program that ends in
    /// another way does so itself.
    ///
    /// # Errors
    /// When a rank is gone.
    pub fn exit_barrier(&self) -> Result<(), TrainError> {
        let (Some(env), Some(gloo)) = (self.env(), self.control()) else {
            return Ok(());
        };
        let keys = self.next_keys();
        let left = |rank: usize| keys.of(&format!("left/{rank}"));
        if env.rank > 0 {
            return gloo.set(&left(env.rank), "");
        }
        (1..env.world_size).try_for_each(|rank| gloo.wait(&left(rank)).map(drop))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;
    use crate::{DistributedEnv, session::SessionConfig};

    #[test]
    fn one_rank_s_failure_ends_the_others_and_no_rank_succeeds_before_the_leader() {
        let config = SessionConfig {
            timeout: Duration::from_secs(60),
            threads: 1,
            cuda: false,
        };
        let port = crate::free_port().unwrap();
        let work = |rank: usize| {
            let session =
                Session::join(Some(DistributedEnv::on_one_host(rank, 2, port)), &config).unwrap();
            let first = session.together(|| Ok(session.rank()));
            assert_eq!(first.unwrap(), rank);
            let second = session.together(|| {
                if rank == 0 {
                    return Err::<(), BoxError>("the disk is full".into());
                }
                Ok(())
            });
            second.unwrap_err().to_string()
        };
        let said: Vec<String> = thread::scope(|scope| {
            let ranks: Vec<_> = (0..2).map(|rank| scope.spawn(move || work(rank))).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        });
        assert_eq!(said[0], "the disk is full");
        assert!(
            said[1].contains("rank 0 failed: the disk is full"),
            "{}",
            said[1]
        );
    }
}
