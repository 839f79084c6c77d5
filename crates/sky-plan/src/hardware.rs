use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sky_types::{Section, SettingError};

use crate::PlanError;

/// One kind of GPU. Bytes, bytes a second, FLOP a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Its full name.
    pub name: String,
    /// Memory of one GPU, in bytes.
    pub memory: f64,
    /// Dense bf16 peak, in FLOP/s.
    pub bf16_flops: f64,
    /// Between a GPU and its own memory, in bytes/s.
    pub memory_bandwidth: f64,
    /// To the other GPUs of its host, one way, in bytes/s.
    pub link_bandwidth: f64,
    /// To host memory, one way, in bytes/s.
    pub host_bandwidth: f64,
    /// Share of the peak that a training step reaches.
    pub efficiency: f64,
    /// Rent of one.
    pub dollars_per_hour: f64,
    /// Where the numbers are from.
    pub source: String,
}

/// What the plan knows of hardware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// GPUs by the names recipes use.
    pub gpu: BTreeMap<String, Gpu>,
    /// The hosts that GPUs sit in.
    pub host: Host,
    /// Machines without a GPU.
    pub cpu: Cpu,
}

/// A GPU's host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Memory bandwidth, read and write together.
    pub memory_bandwidth: f64,
    /// To other hosts, all ports together, one way.
    #[serde(default = "network")]
    pub network_bandwidth: f64,
    /// Of a local disk, read and write together.
    pub disk_bandwidth: f64,
    /// Where the numbers are from.
    pub source: String,
}

/// A machine without a GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// What one core does over whole training steps.
    pub flops_per_core: f64,
    /// Where the number is from.
    pub source: String,
}

impl Hardware {
    /// The numbers that come with this build, `hardware.toml`.
    ///
    /// # Errors
    /// Never, unless the build itself is broken.
    pub fn builtin() -> Result<Self, PlanError> {
        Self::parse(include_str!("../hardware.toml"))
    }

    /// Numbers in the form of `hardware.toml`.
    ///
    /// # Errors
    /// When a key is missing or unknown, or a number is not positive.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        // With its line and column, as toml shows them.
        let hardware: Self = toml::from_str(text)
            .map_err(|error| PlanError::Hardware(error.to_string().trim().to_owned()))?;
        let (host, cpu) = (&hardware.host, &hardware.cpu);
        positive("host.memory_bandwidth", host.memory_bandwidth)?;
        positive("host.network_bandwidth", host.network_bandwidth)?;
        positive("host.disk_bandwidth", host.disk_bandwidth)?;
        positive("cpu.flops_per_core", cpu.flops_per_core)?;
        for (name, gpu) in &hardware.gpu {
            for (key, value) in [
                ("memory", gpu.memory),
                ("bf16_flops", gpu.bf16_flops),
                ("memory_bandwidth", gpu.memory_bandwidth),
                ("link_bandwidth", gpu.link_bandwidth),
                ("host_bandwidth", gpu.host_bandwidth),
                ("efficiency", gpu.efficiency),
                // An owned machine may cost nothing.
                ("dollars_per_hour", gpu.dollars_per_hour + f64::MIN_POSITIVE),
            ] {
                positive(&format!("gpu.{name}.{key}"), value)?;
            }
            if gpu.efficiency > 1.0 {
                return Err(PlanError::Hardware(format!(
                    "gpu.{name}.efficiency is {}, expected at most 1",
                    gpu.efficiency
                )));
            }
        }
        Ok(hardware)
    }

    /// A GPU by name.
    ///
    /// # Errors
    /// When there is none; the message lists the names.
    pub fn gpu(&self, name: &str) -> Result<&Gpu, PlanError> {
        self.gpu.get(name).ok_or_else(|| PlanError::UnknownGpu {
            name: name.to_owned(),
            known: self.gpu.keys().cloned().collect(),
        })
    }
}

/// Eight ports of 400 Gbit/s, where a file of before there were several hosts does not say.
fn network() -> f64 {
    400e9
}

fn positive(key: &str, value: f64) -> Result<(), PlanError> {
    if value > 0.0 && value <= 1e30 {
        return Ok(());
    }
    Err(PlanError::Hardware(format!(
        "{key} is {value}, expected a positive number"
    )))
}

/// Rows that a plan is made for at most: beyond any data, and no product with them overflows.
pub(crate) const MAX_ROWS: u64 = 1_000_000_000_000;

/// The recipe's section `[hardware]`: what the plan assumes where the command line does not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HardwareConfig {
    /// Number of GPUs, of all hosts together.
    pub gpus: u64,
    /// Number of hosts that they are in, as many in each.
    pub hosts: u64,
    /// Their kind, a name in `hardware.toml`.
    pub gpu: String,
    /// Each host's memory: `1800G`, `1.5T`.
    pub host_memory: String,
    /// Rent of one GPU, when it is not the one in `hardware.toml`.
    pub dollars_per_gpu_hour: Option<f64>,
    /// Training rows, while the data is not there to be counted.
    pub rows: Option<u64>,
    /// Mean tokens of a row, likewise.
    pub tokens_per_row: Option<f64>,
}

impl Default for HardwareConfig {
    /// The machine of the published run.
    fn default() -> Self {
        Self {
            gpus: 8,
            hosts: 1,
            gpu: "h100-80g".into(),
            host_memory: "1800G".into(),
            dollars_per_gpu_hour: None,
            rows: None,
            tokens_per_row: None,
        }
    }
}

impl Section for HardwareConfig {
    const NAME: &'static str = "hardware";

    fn check(&self) -> Result<(), SettingError> {
        let number = |value: Option<f64>, least: f64| {
            value.is_none_or(|value| value.is_finite() && value >= least && value <= 1e9)
        };
        if !(1..=1024).contains(&self.gpus) {
            return Err(SettingError::new(
                "gpus",
                format!("is {}; must be from 1 to 1024", self.gpus),
            ));
        }
        if self.hosts == 0 || !self.gpus.is_multiple_of(self.hosts) {
            let reason = format!(
                "is {}; {} GPUs must be as many in each",
                self.hosts, self.gpus
            );
            return Err(SettingError::new("hosts", reason));
        }
        match parse_bytes(&self.host_memory) {
            Ok(1..) => {}
            Ok(0) => return Err(SettingError::new("host_memory", "must be above 0")),
            Err(error) => return Err(SettingError::new("host_memory", error.to_string())),
        }
        if !number(self.dollars_per_gpu_hour, 0.0) {
            return Err(SettingError::new(
                "dollars_per_gpu_hour",
                "must be 0 or more",
            ));
        }
        if self
            .rows
            .is_some_and(|rows| !(1..=MAX_ROWS).contains(&rows))
        {
            return Err(SettingError::new(
                "rows",
                format!("must be from 1 to {MAX_ROWS}"),
            ));
        }
        if !number(self.tokens_per_row, 1.0) {
            return Err(SettingError::new("tokens_per_row", "must be at least 1"));
        }
        Ok(())
    }
}

/// Bytes of `80G`, `1.5T`, `512M` (decimal) or `80GiB` (binary).
///
/// # Errors
/// When the text is no such size.
pub fn parse_bytes(text: &str) -> Result<u64, PlanError> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "mib" => 1024.0_f64.powi(2),
        "gib" => 1024.0_f64.powi(3),
        "tib" => 1024.0_f64.powi(4),
        _ => f64::NAN,
    };
    let bytes = number.parse::<f64>().unwrap_or(f64::NAN) * scale;
    if bytes.is_finite() && (0.0..1e18).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(PlanError::Size(text.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_nonsense_is_refused() {
        assert_eq!(parse_bytes("1800G").unwrap(), 1_800_000_000_000);
        assert_eq!(parse_bytes("1.5T").unwrap(), 1_500_000_000_000);
        assert_eq!(parse_bytes("80 GiB").unwrap(), 80 << 30);
        for bad in ["", "G", "-5G", "80X", "1e9", "nan", "9999999999T"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_number_is_named_with_its_key() {
        let text = include_str!("../hardware.toml");
        for (key, bad, expected) in [
            ("dollars_per_hour", "nan", ".dollars_per_hour is NaN"),
            ("dollars_per_hour", "-1.0", ".dollars_per_hour is -1"),
            (
                "efficiency",
                "1.5",
                ".efficiency is 1.5, expected at most 1",
            ),
            ("link_bandwidth", "0.0", ".link_bandwidth is 0"),
            ("flops_per_core", "inf", "cpu.flops_per_core is inf"),
            ("disk_bandwidth", "-2.0", "host.disk_bandwidth is -2"),
        ] {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            let changed = text.replacen(line, &format!("{key} = {bad}"), 1);
            let error = Hardware::parse(&changed).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let torn = Hardware::parse(&text.replacen("efficiency =", "efficency =", 1));
        let torn = torn.unwrap_err().to_string();
        assert!(
            torn.contains("line ") && torn.contains("efficency"),
            "{torn}"
        );
    }

    #[test]
    fn the_builtin_numbers_read_and_an_unknown_gpu_lists_the_known() {
        let hardware = Hardware::builtin().unwrap();
        assert!(hardware.gpu("h100-80g").unwrap().bf16_flops > 9e14);
        let error = hardware.gpu("h100").unwrap_err().to_string();
        assert!(error.contains("h100-80g"), "{error}");
    }
}
