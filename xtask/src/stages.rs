//! The pipeline's stages in order: which program does each, and where its manifest lies.

/// One stage of a run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) arguments: &'static [&'static str],
    /// Its folder in the run folder.
    pub(crate) folder: &'static str,
}

const fn stage(
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    folder: &'static str,
) -> Stage {
    Stage {
        name,
        program,
        arguments,
        folder,
    }
}

pub(crate) const STAGES: [Stage; 9] = [
    stage("problems", "sky-data", &["problems"], "problems"),
    stage(
        "eval-before",
        "sky-eval",
        &["run", "--which", "before"],
        "eval-before",
    ),
    stage("sample", "sky-sample", &["sample"], "samples"),
    stage("rewrite", "sky-sample", &["rewrite"], "rewritten"),
    stage("verify", "sky-verify", &["verify"], "verdicts"),
    stage("select", "sky-data", &["select"], "selected"),
    stage("train", "sky-train", &["train"], "train"),
    stage(
        "eval-after",
        "sky-eval",
        &["run", "--which", "after"],
        "eval-after",
    ),
    stage("report", "sky-eval", &["report"], "report"),
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
    }
}
