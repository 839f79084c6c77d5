//! `docs/reference/recipe-keys.md` gives every key of these sections with its default.
#![allow(clippy::unwrap_used)]

#[path = "../../../crates/sky-cli/tests/page/mod.rs"]
mod page;

use page::defaults;
use sky_plan::{HardwareConfig, TrainConfig};

#[test]
fn the_page_names_every_key_with_its_default() {
    defaults::<TrainConfig>("train");
    defaults::<HardwareConfig>("hardware");
}
