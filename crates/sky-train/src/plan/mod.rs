//! What a run will need and cost, from formulas alone (`docs/plan.md`).

mod assumptions;
mod bytes;
mod choose;
mod cpu;
mod estimate;
mod hardware;
mod setting;
mod shape;

pub use choose::Plan;
pub use cpu::{CpuBytes, CpuPlan, CpuPlanInput};
pub use estimate::{GpuBytes, HostBytes, PlanInput, SettingPlan};
pub use hardware::{Cpu, Gpu, Hardware, HardwareConfig, Host, parse_bytes};
pub use setting::{Offload, Setting};
pub use shape::{Collectives, ModelShape};
