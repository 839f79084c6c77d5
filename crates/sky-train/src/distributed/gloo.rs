use std::{
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sky_torch::{Listen, ProcessGroup, TorchError, Work};
use tch::Tensor;

use crate::{
    Collective, DistributedEnv, Pending, TrainError,
    distributed::heartbeat::Heartbeat,
    distributed::rendezvous::{POLL, Rendezvous},
};

/// How often a wait looks at the other ranks' heartbeats.
const SLICE: Duration = Duration::from_millis(250);
/// How much later gloo itself gives up: it does not know whom it waits for.
const AFTER: Duration = Duration::from_secs(5);

/// The processes of a run on any number of hosts, over TCP (gloo). Rank 0 serves the store they
/// meet at.
///
/// What takes longer than the timeout is given up; finding out which rank caused it, which the
/// error then names where that can be found out, takes up to a minute more.
#[derive(Debug)]
pub struct Gloo {
    rank: usize,
    world_size: usize,
    timeout: Duration,
    // In the order they are to be dropped.
    group: ProcessGroup,
    heartbeat: Arc<Heartbeat>,
    _rendezvous: Rendezvous,
}

impl Gloo {
    /// Connects with the other ranks.
    ///
    /// # Errors
    /// When not all of them are there within `timeout`: the missing are named.
    pub fn connect(env: &DistributedEnv, timeout: Duration) -> Result<Self, TrainError> {
        let DistributedEnv {
            rank, world_size, ..
        } = *env;
        let rendezvous = Rendezvous::of(env, timeout)?;
        let store = &rendezvous.store;
        let group =
            ProcessGroup::gloo(store, rank, world_size, &listen(&env.host), timeout + AFTER)?;
        let heartbeat = Arc::new(Heartbeat::start(store, rank, world_size, timeout)?);
        Ok(Self {
            rank,
            world_size,
            timeout,
            group,
            heartbeat,
            _rendezvous: rendezvous,
        })
    }

    /// Sets a key for the other ranks.
    ///
    /// # Errors
    /// When rank 0 is gone.
    pub fn set(&self, key: &str, value: &str) -> Result<(), TrainError> {
        let store = self.heartbeat.store();
        let set = store.set(&format!("word/{key}"), value.as_bytes());
        set.map_err(|error| self.failed("set", &error))
    }

    /// Waits for a key and gives its value. It waits as long as the others live, which may be
    /// longer than any collective takes.
    ///
    /// # Errors
    /// When a rank is gone or has given up.
    pub fn wait(&self, key: &str) -> Result<String, TrainError> {
        const WHAT: &str = "wait";
        let key = format!("word/{key}");
        loop {
            match self.heartbeat.store().get(&key) {
                Ok(Some(value)) => return Ok(String::from_utf8_lossy(&value).into_owned()),
                Ok(None) => {}
                Err(error) => return Err(self.failed(WHAT, &error)),
            }
            self.check_peers(WHAT)?;
            thread::sleep(POLL);
        }
    }

    /// The exit barrier. Rank 0 serves the store, so it waits until all others have left.
    ///
    /// # Errors
    /// When a rank is gone.
    pub fn exit_barrier(&self) -> Result<(), TrainError> {
        if self.rank > 0 {
            return self.set(&format!("left/{}", self.rank), "");
        }
        for rank in 1..self.world_size {
            self.wait(&format!("left/{rank}"))?;
        }
        Ok(())
    }

    /// Tells the others that this rank gives up, so that they need not find out by waiting. The
    /// others know of an error that came from the group already.
    pub fn give_up(&self, reason: &str) {
        self.heartbeat
            .give_up(&format!("rank {} failed: {reason}", self.rank));
    }

    pub(crate) fn heartbeat(&self) -> &Arc<Heartbeat> {
        &self.heartbeat
    }

    fn failed(&self, what: &'static str, error: &TorchError) -> TrainError {
        TrainError::Collective {
            what,
            reason: self.heartbeat.explain(&error.to_string()),
        }
    }

    fn check_peers(&self, what: &'static str) -> Result<(), TrainError> {
        let known = self.heartbeat.check_peers();
        known.map_err(|reason| TrainError::Collective { what, reason })
    }

    fn pending(
        &self,
        what: &'static str,
        begun: Result<Work, TorchError>,
    ) -> Result<Pending, TrainError> {
        let mut work = begun.map_err(|error| self.failed(what, &error))?;
        self.heartbeat.begin();
        let heartbeat = Arc::clone(&self.heartbeat);
        let (began, timeout) = (Instant::now(), self.timeout);
        Ok(Pending::new(move || {
            let fail = |reason| Err(TrainError::Collective { what, reason });
            loop {
                match work.wait_for(SLICE.min(timeout)) {
                    Ok(true) => return Ok(()),
                    _ if began.elapsed() > timeout => return fail(heartbeat.timed_out(timeout)),
                    Ok(false) => {}
                    Err(error) => return fail(heartbeat.explain(&error.to_string())),
                }
                heartbeat.check_peers().or_else(fail)?;
            }
        }))
    }
}

impl Drop for Gloo {
    fn drop(&mut self) {
        if thread::panicking() {
            self.give_up("it panicked");
        }
        if self.heartbeat.has_given_up() {
            self.group.abandon();
        }
    }
}

impl Collective for Gloo {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.world_size
    }

    fn all_gather_into(&self, full: &Tensor, shard: &Tensor) -> Result<Pending, TrainError> {
        self.pending("all_gather_into", self.group.all_gather_into(full, shard))
    }

    fn reduce_scatter(&self, shard: &Tensor, full: &Tensor) -> Result<Pending, TrainError> {
        self.pending("reduce_scatter", self.group.reduce_scatter(shard, full))
    }

    fn all_reduce(&self, tensor: &Tensor) -> Result<Pending, TrainError> {
        self.pending("all_reduce", self.group.all_reduce(tensor))
    }

    fn broadcast(&self, tensor: &Tensor, from: usize) -> Result<Pending, TrainError> {
        self.pending("broadcast", self.group.broadcast(tensor, from))
    }

    fn barrier(&self) -> Result<(), TrainError> {
        let one = Tensor::f_ones([1], (tch::Kind::Float, tch::Device::Cpu))?;
        self.pending("barrier", self.group.all_reduce(&one))?.wait()
    }

    fn check(&self) -> Result<(), TrainError> {
        self.check_peers("check")
    }
}

/// Where to listen: at the interface of `GLOO_SOCKET_IFNAME`, at loopback when rank 0 is met there,
/// else at this machine's own address.
fn listen(master: &str) -> Listen {
    if let Ok(interface) = std::env::var("GLOO_SOCKET_IFNAME")
        && !interface.is_empty()
    {
        return Listen::Interface(interface);
    }
    let loopback = (master, 0)
        .to_socket_addrs()
        .is_ok_and(|addresses| addresses.map(|a| a.ip()).any(|ip: IpAddr| ip.is_loopback()));
    if loopback {
        Listen::Host(master.to_owned())
    } else {
        Listen::Default
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::free_port;

    /// Runs something on ranks that are threads of this process.
    pub(crate) fn on_ranks<T: Send>(
        timeout: Duration,
        world_size: usize,
        run: impl Fn(Gloo) -> T + Sync,
    ) -> Vec<T> {
        let port = free_port().unwrap();
        thread::scope(|scope| {
            let run = &run;
            let ranks: Vec<_> = (0..world_size)
                .map(|rank| {
                    let ranks = DistributedEnv::on_one_host(rank, world_size, port);
                    scope.spawn(move || run(Gloo::connect(&ranks, timeout).unwrap()))
                })
                .collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn a_rank_that_panics_is_named() {
        let errors = on_ranks(Duration::from_secs(60), 3, |gloo| {
            let rank = gloo.rank();
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let gloo = gloo;
                assert!(gloo.rank() != 2, "as libtorch's do");
                gloo.barrier().unwrap_err().to_string()
            }));
            assert_eq!(outcome.is_err(), rank == 2);
            outcome.unwrap_or_default()
        });
        for error in &errors[..2] {
            assert!(error.contains("rank 2 failed: it panicked"), "{errors:?}");
        }
    }

    #[test]
    fn a_rank_that_lives_and_does_not_come_is_named() {
        let timeout = Duration::from_secs(8);
        let found_out = Barrier::new(4);
        let errors = on_ranks(timeout, 4, |gloo| {
            let one = Tensor::ones([1], (tch::Kind::Float, tch::Device::Cpu));
            let mut outcome = gloo.all_reduce(&one).and_then(Pending::wait);
            // Rank 2 lives on, and its heartbeats with it.
            if gloo.rank() != 2 {
                outcome = outcome.and_then(|()| gloo.barrier());
            }
            found_out.wait();
            outcome.map_or_else(|error| error.to_string(), |()| String::new())
        });
        for rank in [0, 1, 3] {
            assert!(
                errors[rank].contains("not done after 8 s: rank 2 is alive and has not come to it"),
                "{errors:?}"
            );
        }
    }
}
