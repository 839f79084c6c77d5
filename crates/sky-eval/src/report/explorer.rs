use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use sky_files::FileError;
use sky_types::{Answer, Domain, FinishReason, Problem, Verdict};
use sky_verify::ProblemIndex;

use super::{
    ReportConfig, RunFiles,
    html::{count, counted, missing, script_json},
    run_data::RunData,
    stage_replies::{StageReplies, shorten},
};
use crate::{EvalError, Result};

/// One sample for the page's script. Names are short because there are thousands of rows.
#[derive(Serialize)]
struct Row<'a> {
    /// Key of its stage.
    g: &'a str,
    /// Row of its problem in the table of problems.
    p: usize,
    /// Sample index.
    i: u32,
    v: Verdict,
    /// Detail of the verdict.
    d: &'a str,
    /// Text of the reply.
    t: &'a str,
    /// Number of tokens.
    n: u32,
    f: FinishReason,
    /// Whether it was chosen for training.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    c: bool,
}

#[derive(Serialize)]
struct ProblemRow<'a> {
    id: &'a str,
    source: &'a str,
    domain: Domain,
    prompt: String,
    answer: String,
}

/// The section that the page's script fills from the data of [`write_data`].
pub(super) fn section(data: &RunData) -> String {
    let mut html = String::from(
        "<section id=\"samples\"><h2>Every reply, with its verdict</h2>\n\
         <p class=\"lede\">What was asked, what the model said, what the checker said of it. \
         The address keeps the filter, so a view can be shared.</p>\n",
    );
    if data.replies.is_empty() {
        html.push_str(&missing("There is no sample to show yet.", "eval-before"));
        html.push_str("</section>\n");
        return html;
    }
    let drawn: Vec<String> = data
        .replies
        .iter()
        .filter(|stage| (stage.picked.len() as u64) < stage.counts.total())
        .map(|stage| {
            format!(
                "{} of {} ({})",
                count(stage.picked.len() as u64),
                counted(stage.counts.total(), "reply").replace("replys", "replies"),
                stage.label.to_lowercase()
            )
        })
        .collect();
    if !drawn.is_empty() {
        html.push_str(&format!(
            "<p class=\"note\">Shown, drawn at random with the run's seed: {}. All are in the run folder.</p>\n",
            drawn.join("; ")
        ));
    }
    html.push_str(
        "<div id=\"explorer\"><noscript><p class=\"missing\">The explorer needs JavaScript; the replies are in the run \
         folder's <code>samples.jsonl</code> files.</p></noscript></div>\n</section>\n",
    );
    html
}

/// Writes the explorer's data, row by row, into elements that no browser executes.
pub(super) fn write_data(
    out: &mut BufWriter<File>,
    data: &RunData,
    config: &ReportConfig,
    files: &RunFiles,
) -> Result<()> {
    let path = files.report.as_path();
    let fail = |source| FileError::io(path, "write", source);
    let json_error = |error: serde_json::Error| fail(error.into());
    let mut places: HashMap<(bool, &str), usize> = HashMap::new();
    let mut problems: Vec<(bool, &str)> = Vec::new();
    out.write_all(b"<script type=\"application/json\" id=\"rows\">[")
        .map_err(fail)?;
    let mut first = true;
    for stage in &data.replies {
        for row in &stage.picked {
            let key = (is_eval(stage), row.sample.problem_id.as_str());
            let place = *places.entry(key).or_insert_with(|| {
                problems.push(key);
                problems.len() - 1
            });
            let chosen = || {
                data.chosen
                    .contains(&(row.sample.problem_id.clone(), row.sample.index))
            };
            let json = script_json(&Row {
                g: stage.key,
                p: place,
                i: row.sample.index,
                v: row.verdict.verdict,
                d: &row.verdict.detail,
                t: &row.sample.text,
                n: row.sample.completion_tokens,
                f: row.sample.finish_reason,
                c: !is_eval(stage) && chosen(),
            })
            .map_err(json_error)?;
            out.write_all(if first { b"\n" } else { b",\n" })
                .and_then(|()| out.write_all(json.as_bytes()))
                .map_err(fail)?;
            first = false;
        }
    }
    out.write_all(b"\n]</script>\n<script type=\"application/json\" id=\"problems-table\">[")
        .map_err(fail)?;
    let open = |path| {
        data.has_problems
            .then(|| ProblemIndex::open(path))
            .transpose()
    };
    let mut train = open(&files.train_problems)?;
    let mut heldout = open(&files.heldout_problems)?;
    for (number, (eval, id)) in problems.into_iter().enumerate() {
        let index = if eval { &mut heldout } else { &mut train };
        let problem = find(index.as_mut(), id, path)?;
        let json = script_json(&ProblemRow {
            id,
            source: &problem.source,
            domain: problem.domain,
            prompt: shorten(problem.prompt.clone(), config.max_text_bytes),
            answer: shorten(answer(&problem.answer), config.max_text_bytes),
        })
        .map_err(json_error)?;
        out.write_all(if number == 0 { b"\n" } else { b",\n" })
            .and_then(|()| out.write_all(json.as_bytes()))
            .map_err(fail)?;
    }
    out.write_all(b"\n]</script>\n").map_err(fail)?;
    Ok(())
}

fn is_eval(stage: &StageReplies) -> bool {
    stage.key != "samples"
}

fn find(index: Option<&mut ProblemIndex>, id: &str, report: &Path) -> Result<Arc<Problem>> {
    match index {
        Some(index) => Ok(index.get(id)?),
        None => Err(EvalError::mismatch(
            report,
            "there are samples but the stage `problems` is not complete: run it again",
        )),
    }
}

/// The expected answer in one line.
fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Math(value) | Answer::Choice(value) => value.clone(),
        Answer::Tests(tests) => counted(tests.inputs.len() as u64, "test"),
        Answer::Program(program) => match &program.entry_point {
            Some(name) => format!("the tests of {name}"),
            None => "its tests".into(),
        },
    }
}
