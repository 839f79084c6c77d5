use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use sky_types::{Section, SettingError};

use super::Family;

/// The recipe's `[problems]`: which problems to sample, and which to hold out for evaluation.
///
/// The defaults generate one-step problems with small numbers. A model of 135M parameters with
/// three worked examples gets 20 to 80 % of them right. Sky-T1's own problems come from `files`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProblemsConfig {
    /// Number of generated problems to sample.
    pub train: usize,
    /// Number of generated problems held out for evaluation.
    pub heldout: usize,
    /// Largest operand of a generated problem, 3 to 1,000,000. It sets the difficulty.
    pub max_operand: u32,
    /// Families to draw from, each named once.
    pub families: Vec<Family>,
    /// Relative frequency of each family; 1 for a family that is not named.
    pub weights: BTreeMap<Family, u32>,
    /// What training and held-out problems may not share.
    pub disjoint: Disjoint,
    /// Number of HumanEval problems to sample, drawn with the seed; at most 164. They get into the
    /// training data, so this needs `train_on_evaluation_sets`.
    pub human_eval: usize,
    /// Says that problems of an evaluation set may be trained on. A score of the trained model on
    /// that set then says nothing.
    pub train_on_evaluation_sets: bool,
    /// Files of problems, as `sky-data convert` writes them.
    pub files: Vec<ProblemFile>,
}

impl Default for ProblemsConfig {
    fn default() -> Self {
        Self {
            train: 128,
            heldout: 192,
            max_operand: 9,
            families: Family::ONE_STEP.to_vec(),
            weights: BTreeMap::new(),
            disjoint: Disjoint::default(),
            human_eval: 0,
            train_on_evaluation_sets: false,
            files: Vec::new(),
        }
    }
}

/// What generated training and held-out problems may not share. A hash that is the same for every
/// seed decides the side of a problem, so that no seed's training set meets any seed's held-out
/// set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disjoint {
    /// Numbers and operation: with `3 + 5` in training, neither `5 + 3` nor a story about it is
    /// held out.
    #[default]
    Facts,
    /// The wording, compared without case, spacing and punctuation.
    Prompts,
}

/// One file of problems.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProblemFile {
    /// The file, plain or `.gz`. A relative path is looked up under `SKY_HOME`, then in the current
    /// folder; `sky-data problems` looks beside the recipe before that.
    pub path: PathBuf,
    /// Only problems of this `source`.
    pub source: Option<String>,
    /// Only this many rows from the start, of those with that source; all when unset.
    pub first: Option<usize>,
    /// Lowest and highest `meta.difficulty`, both included; problems without one are left out.
    pub difficulty: Option<[f64; 2]>,
    /// Only problems whose `meta.difficulty` or `meta.level` is this word, in any case: `MEDIUM`.
    pub level: Option<String>,
    /// Only problems whose reference solution gives its answer in a box (`meta.boxed`).
    pub boxed: bool,
    /// Draw this many of the remaining problems with the seed; all when unset.
    pub take: Option<usize>,
    /// Hold the problems out for evaluation instead of sampling them.
    pub heldout: bool,
    /// Accept fewer problems than `take`, or none at all. Without it that is an error.
    pub allow_short: bool,
    /// How to get the file; printed while it is missing.
    pub get: String,
}

impl Section for ProblemsConfig {
    const NAME: &'static str = "problems";

    fn check(&self) -> Result<(), SettingError> {
        let wrong = |key, reason: &str| Err(SettingError::new(key, reason));
        if !(3..=1_000_000).contains(&self.max_operand) {
            return wrong("max_operand", "must lie between 3 and 1000000");
        }
        let generated = self.train.saturating_add(self.heldout);
        if generated > 10_000_000 {
            return wrong("train", "with heldout, at most 10000000 are generated");
        }
        if generated > 0 && self.families.is_empty() {
            return wrong("families", "name at least one family");
        }
        let mut families = self.families.clone();
        families.sort_unstable();
        families.dedup();
        if families.len() != self.families.len() {
            return wrong("families", "a family is named twice; use weights");
        }
        if let Some(family) = self.weights.keys().find(|f| !self.families.contains(f)) {
            return wrong(
                "weights",
                &format!("{} is not among the families", family.as_str()),
            );
        }
        if generated > 0 && self.families.iter().all(|f| self.weight(*f) == 0) {
            return wrong("weights", "at least one must be above 0");
        }
        if self.human_eval > 164 {
            return wrong("human_eval", "HumanEval has 164 problems");
        }
        if self.human_eval > 0 && !self.train_on_evaluation_sets {
            return wrong(
                "human_eval",
                "HumanEval is an evaluation set, and these problems get into the training data; \
                 remove the key, or say `train_on_evaluation_sets = true`",
            );
        }
        if generated + self.human_eval == 0 && self.files.is_empty() {
            return wrong(
                "train",
                "the recipe names no problems: set train, human_eval or files",
            );
        }
        for file in &self.files {
            if file.path.as_os_str().is_empty() {
                return wrong("files", "an entry has no path");
            }
            if file.take == Some(0) || file.first == Some(0) {
                return wrong("files", "take and first must be above 0");
            }
            if file
                .difficulty
                .is_some_and(|[low, high]| low.is_nan() || high.is_nan() || low > high)
            {
                return wrong(
                    "files",
                    "difficulty is [lowest, highest], the lower one first",
                );
            }
        }
        Ok(())
    }
}

impl ProblemsConfig {
    /// How many problems there will be to sample; none where a file without `take` gives as many as
    /// it has.
    pub fn expected_train(&self) -> Option<u64> {
        let files = self.expected_of_files(false)?;
        Some((self.train + self.human_eval) as u64 + files)
    }

    /// How many problems will be held out, as [`ProblemsConfig::expected_train`].
    pub fn expected_heldout(&self) -> Option<u64> {
        Some(self.heldout as u64 + self.expected_of_files(true)?)
    }

    fn expected_of_files(&self, heldout: bool) -> Option<u64> {
        let files = self.files.iter().filter(|file| file.heldout == heldout);
        files.map(|file| file.take.map(|take| take as u64)).sum()
    }

    /// How often a family is drawn relative to the others.
    pub(super) fn weight(&self, family: Family) -> u32 {
        self.weights.get(&family).copied().unwrap_or(1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(config: &ProblemsConfig) -> &'static str {
        config.check().unwrap_err().key
    }

    #[test]
    fn problems_are_counted_where_the_recipe_says_how_many() {
        let mut config = ProblemsConfig {
            train: 10,
            heldout: 4,
            human_eval: 2,
            ..ProblemsConfig::default()
        };
        let expected = |config: &ProblemsConfig| {
            let train = config.expected_train();
            (train, config.expected_heldout())
        };
        assert_eq!(expected(&config), (Some(12), Some(4)));
        let file = |take, heldout| ProblemFile {
            take,
            heldout,
            ..ProblemFile::default()
        };
        config.files = vec![file(Some(5), false), file(None, true)];
        assert_eq!(expected(&config), (Some(17), None));
    }

    #[test]
    fn each_impossible_setting_names_its_key() {
        let good = ProblemsConfig::default();
        good.check().unwrap();
        let with = |change: fn(&mut ProblemsConfig)| {
            let mut config = good.clone();
            change(&mut config);
            key(&config)
        };
        assert_eq!(with(|c| c.max_operand = 2), "max_operand");
        assert_eq!(with(|c| c.families.clear()), "families");
        assert_eq!(with(|c| c.families.push(Family::Sum)), "families");
        assert_eq!(
            with(|c| c.weights = [(Family::Average, 1)].into()),
            "weights"
        );
        assert_eq!(with(|c| c.human_eval = 165), "human_eval");
        assert_eq!(with(|c| c.human_eval = 4), "human_eval");
        let said = ProblemsConfig {
            human_eval: 4,
            train_on_evaluation_sets: true,
            ..ProblemsConfig::default()
        };
        said.check().unwrap();
        assert_eq!(
            with(|c| {
                c.train = 0;
                c.heldout = 0;
            }),
            "train"
        );
        assert_eq!(with(|c| c.files = vec![ProblemFile::default()]), "files");
    }
}
