//! What a run will need and cost, from formulas alone (`docs/plan.md`).

mod bytes;
mod cpu;
mod estimate;
mod hardware;
mod shape;

pub use cpu::{CpuBytes, CpuPlan, CpuPlanInput};
pub use estimate::{GpuBytes, HostBytes, Offload, Plan, PlanInput, Setting, SettingPlan};
pub use hardware::{Cpu, Gpu, Hardware, HardwareConfig, Host, parse_bytes};
pub use shape::{Collectives, ModelShape};
