use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use sky_torch::{Store, TorchError};

/// Every rank's heartbeat: each counts up a key in the store, and looks at the keys of the others.
///
/// A broken connection says that something is wrong but not with whom: whoever notices it breaks
/// off too, and its neighbours see only that. So a rank that gives up leaves a note first; one that
/// neither sends heartbeats nor has left a note is the one that died. A rank may also send
/// heartbeats and never come to an operation that the others wait in: each heartbeat says how many
/// operations it has begun.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    shared: Arc<Shared>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    rank: usize,
    interval: Duration,
    /// Operations that this rank has begun.
    begun: AtomicU64,
    store: Store,
    table: Mutex<Table>,
    failed: AtomicBool,
}

#[derive(Debug)]
struct Table {
    peers: Vec<Peer>,
    /// Whether the store cannot be reached any more.
    lost: bool,
}

#[derive(Clone, Debug)]
struct Peer {
    heartbeat: Vec<u8>,
    /// How many of this rank's own rounds have gone by since it changed: a host that stands still
    /// for a while, with all its ranks, makes no one silent.
    silent: u32,
    note: Option<String>,
}

/// Rounds without a heartbeat after which a rank is taken for the cause of a failure.
const SILENT: u32 = 5;
/// Rounds without a heartbeat after which a rank is taken for dead though nothing has failed.
const DEAD: u32 = 20;
/// The last heartbeat of a rank that has nothing more to do.
const LEFT: &[u8] = b"left";
/// Intervals that rank 0's store may take to answer.
const ANSWER: u32 = 10;
/// Intervals for the truth to come out once something has failed.
const MOST_ROUNDS: u32 = 12;
const _: () = assert!(ANSWER < MOST_ROUNDS && SILENT < MOST_ROUNDS);

impl Heartbeat {
    /// Starts sending heartbeats; `timeout` is the group's.
    pub(crate) fn start(
        store: &Store,
        rank: usize,
        world_size: usize,
        timeout: Duration,
    ) -> Result<Self, TorchError> {
        let peer = Peer {
            heartbeat: Vec::new(),
            silent: 0,
            note: None,
        };
        let interval = (timeout / 40).clamp(Duration::from_millis(100), Duration::from_secs(2));
        let shared = Arc::new(Shared {
            rank,
            begun: AtomicU64::new(0),
            interval,
            store: store.reconnect(interval * ANSWER)?,
            table: Mutex::new(Table {
                peers: vec![peer; world_size],
                lost: false,
            }),
            failed: AtomicBool::new(false),
        });
        let (stop, stopped) = mpsc::channel();
        let sender = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("heartbeat".into())
            .spawn(move || sender.send_heartbeats(&stopped))
            .map_err(|error| TorchError::Op {
                what: "heartbeat",
                reason: error.to_string(),
            })?;
        Ok(Self {
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Counts an operation that begins: every rank begins the same ones in the same order.
    pub(crate) fn begin(&self) {
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// The message for an operation that has not ended within the timeout.
    pub(crate) fn timed_out(&self, timeout: Duration) -> String {
        let seconds = timeout.as_secs_f64();
        let stragglers = match self.shared.stragglers().as_slice() {
            [] => String::new(),
            [rank] => format!(": rank {rank} is alive and has not come to it"),
            ranks => format!(
                ": ranks {} are alive and have not come to it",
                ranks.join(", ")
            ),
        };
        self.explain(&format!("not done after {seconds:.0} s{stragglers}"))
    }

    /// The reason why the group has failed, where it is known: a rank that has died or given up.
    pub(crate) fn verdict(&self) -> Option<String> {
        self.shared.verdict(DEAD)
    }

    /// Gives up where the group has failed; the error is the reason.
    pub(crate) fn check_peers(&self) -> Result<(), String> {
        let Some(reason) = self.verdict() else {
            return Ok(());
        };
        self.give_up(&reason);
        Err(reason)
    }

    /// A connection that finds out soon when rank 0 hangs.
    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Tells the others that this rank gives up, and why.
    pub(crate) fn give_up(&self, reason: &str) {
        self.shared.failed.store(true, Ordering::Relaxed);
        // When the store is gone too, everyone will notice.
        if !self.shared.table().lost {
            let key = note_key(self.shared.rank);
            let _ = self.shared.store.set(&key, reason.as_bytes());
        }
        if self.shared.rank == 0 {
            self.linger();
        }
    }

    /// Whether this rank has given up.
    pub(crate) fn has_given_up(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// The message for a failure of `reason`: who caused it, as far as that can be found out in a
    /// few intervals. The others get the reason.
    pub(crate) fn explain(&self, reason: &str) -> String {
        let shared = &self.shared;
        let deadline = Instant::now() + shared.interval * MOST_ROUNDS;
        let found = loop {
            match shared.verdict(SILENT) {
                Some(found) => break found,
                None if Instant::now() > deadline => break reason.to_owned(),
                None => thread::sleep(shared.interval / 4),
            }
        };
        self.give_up(&found);
        found
    }

    /// Rank 0 holds the store: it leaves when everyone else has found out, or died.
    fn linger(&self) {
        let deadline = Instant::now() + self.shared.interval * MOST_ROUNDS * 2;
        while Instant::now() < deadline {
            let known = {
                let table = self.shared.table();
                table.lost
                    || (1..table.peers.len()).all(|rank| {
                        let peer = &table.peers[rank];
                        peer.note.is_some() || peer.heartbeat == LEFT || peer.silent >= SILENT
                    })
            };
            if known {
                return;
            }
            thread::sleep(self.shared.interval / 2);
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Its panic, if there ever were one, has been printed already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_heartbeats(&self, stopped: &mpsc::Receiver<()>) {
        let world_size = self.table().peers.len();
        for count in 0_u64.. {
            if self.round(world_size, count).is_err() {
                self.table().lost = true;
                return;
            }
            match stopped.recv_timeout(self.interval) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                    // Nobody is to wonder at the silence. Rank 0's store may be gone already.
                    let _ = self.store.set(&format!("heartbeat/{}", self.rank), LEFT);
                    return;
                }
            }
        }
    }

    fn round(&self, world_size: usize, count: u64) -> Result<(), TorchError> {
        let sign = format!("{count} {}", self.begun.load(Ordering::Relaxed));
        self.store
            .set(&format!("heartbeat/{}", self.rank), sign.as_bytes())?;
        for rank in (0..world_size).filter(|rank| *rank != self.rank) {
            let heartbeat = self.store.get(&format!("heartbeat/{rank}"))?;
            let note = self.store.get(&note_key(rank))?;
            let mut table = self.table();
            let peer = &mut table.peers[rank];
            peer.silent += 1;
            if let Some(heartbeat) = heartbeat.filter(|heartbeat| *heartbeat != peer.heartbeat) {
                peer.heartbeat = heartbeat;
                peer.silent = 0;
            }
            peer.note = note.map(|note| String::from_utf8_lossy(&note).into_owned());
        }
        Ok(())
    }

    /// The ranks that have begun the fewest operations, where that is fewer than this one: all
    /// others wait for them.
    fn stragglers(&self) -> Vec<String> {
        let table = self.table();
        let mine = self.begun.load(Ordering::Relaxed);
        let others = || table.others(self.rank);
        let fewest = others().map(|(_, peer)| peer.begun()).min();
        let fewest = fewest.filter(|fewest| *fewest < mine);
        others()
            .filter(|(_, peer)| Some(peer.begun()) == fewest)
            .map(|(rank, _)| rank.to_string())
            .collect()
    }

    /// Who is gone, when someone has been silent for that many rounds.
    fn verdict(&self, rounds: u32) -> Option<String> {
        let table = self.table();
        if let Some(note) = table.peers.iter().find_map(|peer| peer.note.clone()) {
            return Some(note);
        }
        if table.lost {
            return Some("rank 0 is gone (it cannot be reached any more)".into());
        }
        let (rank, peer) = table
            .others(self.rank)
            .find(|(_, peer)| peer.silent >= rounds)?;
        let seconds = (self.interval * peer.silent).as_secs_f64();
        Some(format!(
            "rank {rank} is gone (no sign of life for {seconds:.1} s)"
        ))
    }
}

impl Table {
    /// Everyone else who has not left.
    fn others(&self, rank: usize) -> impl Iterator<Item = (usize, &Peer)> {
        let all = self.peers.iter().enumerate();
        all.filter(move |(other, peer)| *other != rank && peer.heartbeat != LEFT)
    }
}

impl Peer {
    /// How many operations it had begun at its last heartbeat; 0 before the first.
    fn begun(&self) -> u64 {
        let heartbeat = std::str::from_utf8(&self.heartbeat).unwrap_or_default();
        let begun = heartbeat.split_once(' ').map(|(_, begun)| begun.parse());
        begun.and_then(Result::ok).unwrap_or(0)
    }
}

fn note_key(rank: usize) -> String {
    format!("failed/{rank}")
}
