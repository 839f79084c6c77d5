use std::{
    hash::{BuildHasher, RandomState},
    thread,
    time::{Duration, Instant},
};

use sky_torch::{Store, TorchError};

use crate::{DistributedEnv, TrainError};

/// How often a key that is not there yet is asked for.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// The rendezvous of a run's ranks: its store is prefixed with their common name.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    /// The prefixed store: no other run's ranks write to it.
    pub(crate) store: Store,
    /// Kept alive: rank 0's serves the others.
    _root_store: Store,
}

impl Rendezvous {
    /// Connects with the other ranks.
    ///
    /// A launcher's store may outlive the ranks that met there and keep their keys, and the
    /// launchers of several hosts need not agree on how often they have restarted (torchrun counts
    /// on each host). So each process draws a random name. Rank 0 answers each name that it reads
    /// with its own; that name is the prefix under which the ranks meet.
    ///
    /// # Errors
    /// When not all of them are there within `timeout`: the missing are named.
    pub(crate) fn of(env: &DistributedEnv, timeout: Duration) -> Result<Self, TrainError> {
        let DistributedEnv {
            rank, world_size, ..
        } = *env;
        let began = Instant::now();
        let root = connect_root(env, timeout)?;
        let mine = format!("{:016x}", RandomState::new().hash_one(rank));
        let rendezvous = if rank == 0 {
            mine
        } else {
            root.set(&hello(rank), mine.as_bytes())
                .map_err(|error| lost(&error))?;
            loop {
                if let Some(name) = read(&root, &welcome(rank, &mine))? {
                    break name;
                }
                if began.elapsed() > timeout {
                    return Err(fail(format!(
                        "rank 0 has not answered after {:.0} s",
                        timeout.as_secs_f64()
                    )));
                }
                thread::sleep(POLL);
            }
        };
        let store = root
            .with_prefix(&format!("{rendezvous}/"))
            .map_err(|error| lost(&error))?;
        let joined = |rank: usize| format!("joined/{rank}");
        let set = store.set(&joined(rank), world_size.to_string().as_bytes());
        set.map_err(|error| lost(&error))?;
        let mut answered = vec![None; world_size];
        for peer in 0..world_size {
            let theirs = loop {
                if rank == 0 {
                    for (rank, answered) in answered.iter_mut().enumerate().skip(1) {
                        answer(&root, rank, answered, &rendezvous)?;
                    }
                }
                if let Some(world_size) = read(&store, &joined(peer))? {
                    break world_size;
                }
                if began.elapsed() > timeout {
                    let absent = (peer..world_size).filter(|rank| {
                        let there = store.get(&joined(*rank));
                        matches!(there, Ok(None))
                    });
                    let absent: Vec<String> = absent.map(|rank| rank.to_string()).collect();
                    return Err(fail(format!(
                        "of {world_size} ranks, {} had not joined after {:.0} s",
                        absent.join(", "),
                        timeout.as_secs_f64()
                    )));
                }
                thread::sleep(POLL);
            };
            if theirs != world_size.to_string() {
                return Err(fail(format!(
                    "rank {peer} says there are {theirs} ranks, rank {rank} says {world_size}"
                )));
            }
        }
        Ok(Self {
            store,
            _root_store: root,
        })
    }
}

/// Connects to the store that all runs at this address share.
fn connect_root(env: &DistributedEnv, timeout: Duration) -> Result<Store, TrainError> {
    let serves = env.rank == 0 && !env.external_store;
    let root = Store::connect(&env.host, env.port, serves, "sky-train/", timeout);
    root.map_err(|error| {
        fail(if env.rank == 0 {
            format!("port {} cannot be served: {error}", env.port)
        } else {
            format!(
                "rank 0 is not to be found at {}:{} after {:.0} s: {error}",
                env.host,
                env.port,
                timeout.as_secs_f64()
            )
        })
    })
}

/// Answers a rank with the rendezvous's name, once for each name it had: an earlier one may be that
/// of a process which is gone.
fn answer(
    root: &Store,
    rank: usize,
    answered: &mut Option<String>,
    rendezvous: &str,
) -> Result<(), TrainError> {
    let name = read(root, &hello(rank))?;
    if name.is_none() || name == *answered {
        return Ok(());
    }
    if let Some(name) = &name {
        let set = root.set(&welcome(rank, name), rendezvous.as_bytes());
        set.map_err(|error| lost(&error))?;
    }
    *answered = name;
    Ok(())
}

fn hello(rank: usize) -> String {
    format!("hello/{rank}")
}

fn welcome(rank: usize, name: &str) -> String {
    format!("welcome/{rank}/{name}")
}

fn read(store: &Store, key: &str) -> Result<Option<String>, TrainError> {
    let value = store.get(key).map_err(|error| lost(&error))?;
    Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

fn fail(reason: String) -> TrainError {
    TrainError::Collective {
        what: "rendezvous",
        reason,
    }
}

fn lost(error: &TorchError) -> TrainError {
    fail(format!("rank 0's store: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::free_port;

    #[test]
    fn in_a_store_that_lives_on_nobody_meets_those_of_before() {
        const TIMEOUT: Duration = Duration::from_secs(30);
        let port = free_port().unwrap();
        // A launcher's, which serves it itself.
        let launcher = Store::connect("127.0.0.1", port, true, "sky-train/", TIMEOUT).unwrap();
        // Of a group that did not come together, or whose ranks are gone.
        for (key, value) in [
            ("hello/1", "gone"),
            ("welcome/1/gone", "rendezvous of before"),
            ("rendezvous of before/joined/0", "5"),
            ("rendezvous of before/joined/1", "5"),
        ] {
            launcher.set(key, value.as_bytes()).unwrap();
        }
        let meet = |world_size: usize| {
            thread::scope(|scope| {
                let ranks: Vec<_> = (0..world_size)
                    .map(|rank| {
                        let ranks = DistributedEnv {
                            external_store: true,
                            ..DistributedEnv::on_one_host(rank, world_size, port)
                        };
                        scope.spawn(move || {
                            let rendezvous = Rendezvous::of(&ranks, TIMEOUT).unwrap();
                            let said = rendezvous.store.get("said").unwrap();
                            rendezvous.store.set("said", b"word").unwrap();
                            said
                        })
                    })
                    .collect();
                let said = ranks.into_iter().map(|rank| rank.join().unwrap());
                said.collect::<Vec<_>>()
            })
        };
        // Of another number of ranks, as where a host has gone.
        for world_size in [3, 2] {
            assert!(meet(world_size).contains(&None), "{world_size}");
        }
    }
}
