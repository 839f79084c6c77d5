//! Rewriting replies into a thought and a solution, by rules or with a model.

mod by_rules;
mod model;
mod rewritten;
mod rules;
mod sections;

pub use by_rules::{IsRight, rewrite_by_rules, rewrite_right_by_rules};
pub use model::{Rewriting, rewrite_with_model};
pub use rewritten::{RewriteCounts, Rewritten};
pub use rules::split;
pub use sections::{MARKERS, Sections};
