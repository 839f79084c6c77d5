//! The pipeline's stages in order, with the program that runs each. Their folders are those of
//! `sky_cli::layout`.

/// One stage of a run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) arguments: &'static [&'static str],
}

const fn stage(
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
) -> Stage {
    Stage {
        name,
        program,
        arguments,
    }
}

impl Stage {
    /// Its folder in the run folder.
    pub(crate) fn folder(&self) -> &'static str {
        sky_cli::layout::folder(self.name).unwrap_or(self.name)
    }
}

pub(crate) const STAGES: [Stage; 9] = [
    stage("problems", "sky-data", &["problems"]),
    stage("eval-before", "sky-eval", &["run", "--which", "before"]),
    stage("sample", "sky-sample", &["sample"]),
    stage("rewrite", "sky-sample", &["rewrite"]),
    stage("verify", "sky-verify", &["verify"]),
    stage("select", "sky-data", &["select"]),
    stage("train", "sky-train", &["train"]),
    stage("eval-after", "sky-eval", &["run", "--which", "after"]),
    stage("report", "sky-eval", &["report"]),
];

/// The programs, each once.
pub(crate) const PROGRAMS: [&str; 5] = [
    "sky-data",
    "sky-sample",
    "sky-verify",
    "sky-train",
    "sky-eval",
];

/// A stage's place in the order.
///
/// # Errors
/// A line that names the nearest stage, or all of them.
pub(crate) fn position(name: &str) -> Result<usize, String> {
    STAGES
        .iter()
        .position(|stage| stage.name == name)
        .ok_or_else(|| {
            format!(
                "unknown stage `{name}`{}",
                sky_cli::nearest(name, STAGES.iter().map(|stage| stage.name))
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_stage_gets_the_nearest_one() {
        assert_eq!(position("train"), Ok(6));
        assert_eq!(
            position("trian"),
            Err("unknown stage `trian`; did you mean `train`?".into())
        );
        assert!(position("zzz").is_err_and(|line| line.contains("problems, eval-before, sample")));
        assert!(STAGES.iter().all(|stage| PROGRAMS.contains(&stage.program)));
        let names = sky_cli::layout::STAGES.map(|(name, _)| name);
        assert_eq!(STAGES.map(|stage| stage.name), names);
    }
}
