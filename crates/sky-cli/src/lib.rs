//! What every Sky program shares: the recipe, the run folder, stages with manifests, progress bars,
//! exit codes.
//!
//! A program's `main` is one line, `sky_cli::main(run)`. A pipeline stage parses its own section of
//! the recipe, names its inputs and settings, and hands its work to [`StageArgs::run`], which skips
//! it when it is done and writes the manifest when it ends.
//!
//! ```
//! use sky_types::{Section, SettingError};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Sample { n: u32 }
//!
//! impl Section for Sample {
//!     const NAME: &'static str = "sample";
//!     fn check(&self) -> Result<(), SettingError> {
//!         if self.n == 0 { Err(SettingError::new("n", "must be above 0")) } else { Ok(()) }
//!     }
//! }
//!
//! let recipe = sky_cli::Recipe::parse("demo.toml", "v = 1\n[sample]\nn = 4\n")?;
//! assert_eq!(recipe.section::<Sample>()?.n, 4);
//! let recipe = sky_cli::Recipe::parse("demo.toml", "v = 1\n[sample]\nn = 0\n")?;
//! let error = recipe.section::<Sample>().err().map(|error| error.to_string());
//! assert_eq!(error.as_deref(), Some("demo.toml:3: sample.n: must be above 0"));
//! let error = sky_cli::Recipe::parse("demo.toml", "v = 1\n[sampel]\nn = 4\n").unwrap_err().to_string();
//! assert!(error.starts_with("demo.toml:2: sampel: unknown section") && error.contains("`sample`"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod exit;
mod home;
mod key_path;
mod log;
mod model;
mod nearest;
mod out;
mod progress;
mod receipts;
mod recipe;
mod stage;
mod stop;

pub use exit::{UserError, main, parse, run_failed};
pub use home::sky_home;
pub use model::{ModelConfig, api_key, check_endpoint, model_files};
pub use nearest::nearest;
pub use out::write_out;
pub use progress::{Progress, VerdictProgress};
pub use receipts::{check_against_receipt, guest_identity};
pub use recipe::{Recipe, RecipeError, SECTIONS};
pub use sky_files::layout;
pub use stage::{StageArgs, StageDef, StageEstimate, parse_seed};
pub use stop::StopSignal;
