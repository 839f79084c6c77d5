use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::TrainError;

/// This process's rank and the run's world size, as launchers set them in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributedEnv {
    /// This process's number, from 0.
    pub rank: usize,
    /// Number of processes.
    pub world_size: usize,
    /// This process's number among those of its host: which GPU it takes.
    pub local_rank: usize,
    /// Number of processes on its host, where the launcher says.
    pub local_world_size: Option<usize>,
    /// Cores that are this process's own, where the launcher says.
    pub cores: Option<usize>,
    /// Where rank 0 is to be met.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// Whether the launcher itself serves the store there, as torchrun does.
    pub external_store: bool,
}

/// The variables in which a launcher gives rank, world size, local rank and local world size.
struct Dialect {
    launcher: &'static str,
    names: [&'static str; 3],
    local_world_size: &'static [&'static str],
}

const SLURM: &str = "Slurm";
const TORCHRUN: Dialect = Dialect {
    launcher: "torchrun",
    names: ["RANK", "WORLD_SIZE", "LOCAL_RANK"],
    local_world_size: &["LOCAL_WORLD_SIZE"],
};
/// Others set these too for steps of one task, which are no group.
const OTHERS: [Dialect; 2] = [
    // Before Slurm: in a job of Slurm's all its processes have the variables of the one task that
    // started it.
    Dialect {
        launcher: "mpirun",
        names: [
            "OMPI_COMM_WORLD_RANK",
            "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_LOCAL_RANK",
        ],
        local_world_size: &["OMPI_COMM_WORLD_LOCAL_SIZE"],
    },
    Dialect {
        launcher: SLURM,
        names: ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"],
        // The first is only there when it was asked for.
        local_world_size: &["SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE"],
    },
];
/// Most processes of a run: a mistyped number must not start a wait for millions.
pub(crate) const MAX_WORLD: usize = 65_536;

impl DistributedEnv {
    /// One of `world_size` that all run on this host and meet at a port of its own (as
    /// [`free_port`] finds one).
    pub fn on_one_host(rank: usize, world_size: usize, port: u16) -> Self {
        Self {
            rank,
            world_size,
            local_rank: rank,
            local_world_size: Some(world_size),
            cores: None,
            host: "127.0.0.1".into(),
            port,
            external_store: false,
        }
    }

    /// Reads this process's environment: torchrun's names, else mpirun's, else Slurm's, each with
    /// `MASTER_ADDR` and `MASTER_PORT`. None when nothing is set, or there is one process alone.
    ///
    /// # Errors
    /// When a part is missing or wrong; the message says which and what to do.
    pub fn from_env() -> Result<Option<Self>, TrainError> {
        Self::from(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, TrainError> {
        let set = |dialect: &Dialect| dialect.names.iter().any(|name| get(name).is_some());
        let master = get("MASTER_ADDR").is_some() || get("MASTER_PORT").is_some();
        let dialect = if set(&TORCHRUN) {
            &TORCHRUN
        } else {
            let alone = |dialect: &Dialect| {
                get(dialect.names[1]).is_none_or(|world_size| world_size == "1")
            };
            match OTHERS.iter().find(|dialect| set(dialect)) {
                Some(found) if !alone(found) => found,
                None if master => &TORCHRUN,
                _ => return Ok(None),
            }
        };
        let ([rank, world_size, local_rank], local_world_size) =
            (dialect.names, dialect.local_world_size);
        let needed = [rank, world_size, local_rank, "MASTER_ADDR", "MASTER_PORT"];
        let missing: Vec<&str> = needed
            .into_iter()
            .filter(|name| get(name).is_none())
            .collect();
        if world_is_one(&get, &missing, world_size) {
            return Ok(None);
        }
        if !missing.is_empty() {
            let there: Vec<&str> = needed
                .into_iter()
                .filter(|name| get(name).is_some())
                .collect();
            return Err(TrainError::Launch(format!(
                "{} is set but {} is not: set {} for a run of several processes ({}), or none of them; on one host `sky-train launch -n N -- train ...` sets them all",
                there.join(", "),
                missing.join(", "),
                needed.join(", "),
                dialect.launcher,
            )));
        }
        let number = |name: &str, low: usize, high: usize| -> Result<usize, TrainError> {
            let text = get(name).unwrap_or_default();
            text.trim()
                .parse()
                .ok()
                .filter(|n| (low..=high).contains(n))
                .ok_or_else(|| {
                    TrainError::Launch(format!(
                        "{name} is `{text}`; a whole number from {low} to {high} is expected"
                    ))
                })
        };
        let world_size = number(world_size, 1, MAX_WORLD)?;
        if world_size == 1 {
            return Ok(None);
        }
        Ok(Some(Self {
            rank: number(rank, 0, world_size - 1)?,
            world_size,
            local_rank: number(local_rank, 0, world_size - 1)?,
            local_world_size: local_world_size
                .iter()
                .find_map(|name| alike_on_all_hosts(&get(name)?))
                .filter(|n| (1..=world_size).contains(n)),
            // Of a process that Slurm itself has started.
            cores: (dialect.launcher == SLURM)
                .then(|| get("SLURM_CPUS_PER_TASK")?.trim().parse().ok())
                .flatten(),
            host: get("MASTER_ADDR").unwrap_or_default(),
            port: number("MASTER_PORT", 1, usize::from(u16::MAX))? as u16,
            external_store: get("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True"),
        }))
    }

    /// Threads for one process when the settings say 0: its own cores, or its share of the host's.
    pub fn share_of_cores(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = cores / self.local_world_size.unwrap_or(1);
        self.cores.map_or(share, |own| own.min(cores)).max(1)
    }
}

/// A number of processes that every host has. Slurm writes `4(x2)` for four on each of two hosts,
/// and a list where they differ: then it is not known.
fn alike_on_all_hosts(text: &str) -> Option<usize> {
    let (number, hosts) = text.trim().split_once("(x").unwrap_or((text.trim(), "1)"));
    hosts.strip_suffix(')')?.parse::<usize>().ok()?;
    number.parse().ok()
}

/// A port of this host that ranks can meet at, when there is one.
///
/// It is outside the range that systems take outgoing connections' ports from (RFC 6335 and Linux
/// both begin above it): a free port asked for from the system may be taken by a connection before
/// it is listened at.
pub fn free_port() -> Option<u16> {
    const PORTS: u32 = 12_000;
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Processes that look at the same time begin at different places, each with several ports to
    // itself.
    let first = std::process::id().wrapping_mul(16);
    (0..PORTS).find_map(|_| {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (first.wrapping_add(call) % PORTS) as u16;
        TcpListener::bind(("0.0.0.0", port)).ok().map(|_| port)
    })
}

/// A run of one rank, named with its rank: no group, whether or not a master is named.
fn world_is_one(get: &impl Fn(&str) -> Option<String>, missing: &[&str], world_size: &str) -> bool {
    get(world_size).as_deref() == Some("1")
        && missing.iter().all(|name| name.starts_with("MASTER_"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<DistributedEnv>, TrainError> {
        DistributedEnv::from(|name| {
            text.split_whitespace()
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                .map(str::to_owned)
        })
    }

    const MASTER: &str = "MASTER_ADDR=10.0.0.1 MASTER_PORT=29500";

    #[test]
    fn each_launcher_s_names_are_understood() {
        let expected = DistributedEnv {
            rank: 5,
            world_size: 8,
            local_rank: 1,
            local_world_size: Some(4),
            cores: None,
            host: "10.0.0.1".into(),
            port: 29500,
            external_store: false,
        };
        for text in [
            "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4",
            "SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_NTASKS_PER_NODE=4",
            "OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=4",
            "SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_TASKS_PER_NODE=4(x2)",
            "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_LOCALID=0 OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=4",
            "SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_LOCALID=0 RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4",
        ] {
            let found = read(&format!("{text} {MASTER}")).unwrap().unwrap();
            assert_eq!(found, expected, "{text}");
        }
        let text = "SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_NTASKS_PER_NODE=4 SLURM_CPUS_PER_TASK=1";
        let found = read(&format!("{text} {MASTER}")).unwrap().unwrap();
        assert_eq!((found.cores, found.share_of_cores()), (Some(1), 1));
        for unequal in ["4(x1),3,1", "5,3", "(x2)", "4(x", "4(x2"] {
            let text = format!(
                "SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_TASKS_PER_NODE={unequal} {MASTER}"
            );
            assert_eq!(
                read(&text).unwrap().unwrap().local_world_size,
                None,
                "{unequal}"
            );
        }
        let elastic = "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 TORCHELASTIC_USE_AGENT_STORE=True";
        let found = read(&format!("{elastic} {MASTER}")).unwrap().unwrap();
        assert_eq!((found.external_store, found.local_world_size), (true, None));
    }

    #[test]
    fn nothing_set_or_a_world_of_one_is_no_group() {
        for text in [
            "",
            "HOME=/x",
            "RANK=0 WORLD_SIZE=1 LOCAL_RANK=0",
            "SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0",
            "SLURM_PROCID=0 SLURM_LOCALID=0",
            "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1 SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_LOCALID=0",
            "SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 MASTER_ADDR=a MASTER_PORT=1",
        ] {
            assert_eq!(read(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn partial_and_wrong_sets_are_refused_by_name() {
        for (text, named) in [
            (
                "RANK=1",
                "WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not",
            ),
            (MASTER, "RANK, WORLD_SIZE, LOCAL_RANK is not"),
            (
                "RANK=1 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1",
                "LOCAL_RANK is not",
            ),
            (
                "SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=0",
                "MASTER_ADDR, MASTER_PORT is not",
            ),
            (
                "RANK=2 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=1",
                "RANK is `2`",
            ),
            (
                "RANK=-1 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=1",
                "RANK is `-1`",
            ),
            (
                "RANK=0 WORLD_SIZE=0 LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=1",
                "WORLD_SIZE is `0`",
            ),
            (
                "RANK=0 WORLD_SIZE=2 LOCAL_RANK=2 MASTER_ADDR=a MASTER_PORT=1",
                "LOCAL_RANK is `2`",
            ),
            (
                "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=99999",
                "MASTER_PORT is `99999`",
            ),
            (
                "RANK=0 WORLD_SIZE=two LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=9",
                "WORLD_SIZE is `two`",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
