//! `docs/reference/recipe-keys.md` gives every key of these sections with its default.
#![allow(clippy::unwrap_used)]

#[path = "../../../crates/sky-cli/tests/page/mod.rs"]
mod page;

use page::defaults;
use sky_eval::{EvalConfig, report::ReportConfig};
use sky_sample::{RewriteConfig, SampleConfig};
use sky_verify::VerifyConfig;

#[test]
fn the_page_names_every_key_with_its_default() {
    defaults::<SampleConfig>("sample");
    defaults::<RewriteConfig>("rewrite");
    defaults::<VerifyConfig>("verify");
    defaults::<EvalConfig>("eval");
    defaults::<ReportConfig>("report");
}
