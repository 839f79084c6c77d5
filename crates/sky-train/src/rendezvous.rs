use std::{
    hash::{BuildHasher, RandomState},
    thread,
    time::{Duration, Instant},
};

use sky_torch::{Store, TorchError};

use crate::{Ranks, TrainError};

/// How often a key that is not there yet is asked for.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Where the ranks of a run have met.
#[derive(Debug)]
pub(crate) struct Meeting {
    /// Theirs alone.
    pub(crate) room: Store,
    /// Rank 0's serves the others.
    _hall: Store,
}

impl Meeting {
    /// Meets the other ranks.
    ///
    /// A launcher's store may outlive the ranks that met there and keep what they said, and the launchers of several hosts
    /// need not agree how often they have started anew (torchrun counts on each host what it saw there). So each process has
    /// a name by chance; rank 0 answers each name it hears with its own, and under that they meet.
    ///
    /// # Errors
    /// When not all of them are there within `timeout`: the missing are named.
    pub(crate) fn of(ranks: &Ranks, timeout: Duration) -> Result<Self, TrainError> {
        let Ranks { rank, world, .. } = *ranks;
        let began = Instant::now();
        let hall = hall(ranks, timeout)?;
        let missing = |missing: &[String]| {
            fail(format!(
                "of {world} ranks, {} had not joined after {:.0} s",
                missing.join(", "),
                timeout.as_secs_f64()
            ))
        };
        let mine = format!("{:016x}", RandomState::new().hash_one(rank));
        let meeting = if rank == 0 {
            mine
        } else {
            hall.set(&hello(rank), mine.as_bytes())
                .map_err(|error| lost(&error))?;
            loop {
                if let Some(name) = read(&hall, &welcome(rank, &mine))? {
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
        let room = hall
            .room(&format!("{meeting}/"))
            .map_err(|error| lost(&error))?;
        let joined = |rank: usize| format!("joined/{rank}");
        let told = room.set(&joined(rank), world.to_string().as_bytes());
        told.map_err(|error| lost(&error))?;
        let mut answered = vec![None; world];
        for peer in 0..world {
            let theirs = loop {
                if rank == 0 {
                    for (rank, answered) in answered.iter_mut().enumerate().skip(1) {
                        answer(&hall, rank, answered, &meeting)?;
                    }
                }
                if let Some(world) = read(&room, &joined(peer))? {
                    break world;
                }
                if began.elapsed() > timeout {
                    let absent = (peer..world).filter(|rank| {
                        let there = room.get(&joined(*rank));
                        matches!(there, Ok(None))
                    });
                    let absent: Vec<String> = absent.map(|rank| rank.to_string()).collect();
                    return Err(missing(&absent));
                }
                thread::sleep(POLL);
            };
            if theirs != world.to_string() {
                return Err(fail(format!(
                    "rank {peer} says there are {theirs} ranks, rank {rank} says {world}"
                )));
            }
        }
        Ok(Self { room, _hall: hall })
    }
}

/// The store where the ranks come in.
fn hall(ranks: &Ranks, timeout: Duration) -> Result<Store, TrainError> {
    let serves = ranks.rank == 0 && !ranks.served;
    let hall = Store::connect(&ranks.host, ranks.port, serves, "sky-train/", timeout);
    hall.map_err(|error| {
        fail(if ranks.rank == 0 {
            format!("port {} cannot be served: {error}", ranks.port)
        } else {
            format!(
                "rank 0 is not to be found at {}:{} after {:.0} s: {error}",
                ranks.host,
                ranks.port,
                timeout.as_secs_f64()
            )
        })
    })
}

/// Tells a rank where to meet, once for each name it had: an earlier one may be that of a process which is gone.
fn answer(
    hall: &Store,
    rank: usize,
    answered: &mut Option<String>,
    meeting: &str,
) -> Result<(), TrainError> {
    let name = read(hall, &hello(rank))?;
    if name.is_none() || name == *answered {
        return Ok(());
    }
    if let Some(name) = &name {
        let told = hall.set(&welcome(rank, name), meeting.as_bytes());
        told.map_err(|error| lost(&error))?;
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
            ("welcome/1/gone", "room of before"),
            ("room of before/joined/0", "5"),
            ("room of before/joined/1", "5"),
        ] {
            launcher.set(key, value.as_bytes()).unwrap();
        }
        let meet = |world: usize| {
            thread::scope(|scope| {
                let ranks: Vec<_> = (0..world)
                    .map(|rank| {
                        let ranks = Ranks {
                            served: true,
                            ..Ranks::on_one_host(rank, world, port)
                        };
                        scope.spawn(move || {
                            let meeting = Meeting::of(&ranks, TIMEOUT).unwrap();
                            let said = meeting.room.get("said").unwrap();
                            meeting.room.set("said", b"word").unwrap();
                            said
                        })
                    })
                    .collect();
                let said = ranks.into_iter().map(|rank| rank.join().unwrap());
                said.collect::<Vec<_>>()
            })
        };
        // Of another number of ranks, as where a host has gone.
        for world in [3, 2] {
            assert!(meet(world).contains(&None), "{world}");
        }
    }
}
