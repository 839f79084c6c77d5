use std::fmt::Write as _;

use super::html::css;

/// A published score in percent and the letters of its sources; none when all sources agree.
type Figure = (f64, &'static str);

/// A benchmark with the scores of the base model, Sky-T1, QwQ and o1-preview. A model has two
/// scores where sources differ.
type Benchmark = (&'static str, [&'static [Figure]; 4]);

/// The published scores of the 32B run. Sources: S is the summary that this project was begun from,
/// B the Sky-T1 announcement, R the released repository.
const PUBLISHED: [Benchmark; 10] = [
    (
        "MATH500",
        [
            &[(76.2, "S, B"), (81.4, "R")],
            &[(82.4, "S, B"), (86.4, "R")],
            &[(85.4, "S, B"), (92.2, "R")],
            &[(81.4, "")],
        ],
    ),
    (
        "AIME24",
        [&[(16.7, "")], &[(43.3, "")], &[(50.0, "")], &[(40.0, "")]],
    ),
    (
        "MATH",
        [&[(71.2, "")], &[(78.9, "")], &[(82.1, "")], &[(78.2, "")]],
    ),
    (
        "GSM8K",
        [&[(92.1, "")], &[(94.7, "")], &[(95.2, "")], &[(94.8, "")]],
    ),
    (
        "LCB easy",
        [&[(84.6, "")], &[(86.3, "")], &[(90.7, "")], &[(92.9, "")]],
    ),
    (
        "LCB medium",
        [&[(40.8, "")], &[(56.8, "")], &[(56.3, "")], &[(54.9, "")]],
    ),
    (
        "LCB hard",
        [
            &[(9.8, "B, R"), (12.4, "S")],
            &[(17.9, "B, R"), (23.1, "S")],
            &[(17.1, "B, R"), (24.7, "S")],
            &[(16.3, "B, R"), (25.8, "S")],
        ],
    ),
    (
        "HumanEval",
        [&[(85.4, "")], &[(89.6, "")], &[(91.2, "")], &[(90.8, "")]],
    ),
    (
        "MBPP",
        [&[(78.9, "")], &[(82.3, "")], &[(84.1, "")], &[(83.7, "")]],
    ),
    (
        "GPQA-Diamond",
        [&[(45.5, "")], &[(56.8, "")], &[(52.5, "")], &[(75.2, "")]],
    ),
];

/// The card of the published scores, beside the run's own.
pub(super) fn card() -> String {
    let mut html = String::from(
        "<div class=\"card published\"><p class=\"tag\">Published, not this run</p>\n\
         <h3>Sky-T1-32B-Preview</h3>\n\
         <p class=\"note\">Qwen2.5-32B-Instruct before and after the same recipe at full size. Another model on other \
         benchmarks: the shape to compare, not the numbers.</p>\n\
         <div class=\"tracks\" role=\"img\" aria-label=\"Published scores before and after fine-tuning\">\n",
    );
    for (name, [base, sky, ..]) in &PUBLISHED {
        // Where sources differ, the track shows the first score; the table below shows all.
        let (from, to) = (base[0].0 / 100.0, sky[0].0 / 100.0);
        let _ = writeln!(
            html,
            "<div class=\"track-row\"><span class=\"name\">{name}</span><span class=\"track\">\
             <i class=\"link\" style=\"left:{};width:{}\"></i><i class=\"dot hollow\" style=\"left:{}\"></i>\
             <i class=\"dot\" style=\"left:{}\"></i></span><span class=\"num\">{:.1}<b>{:.1}</b></span></div>",
            css(from),
            css(to - from),
            css(from),
            css(to),
            base[0].0,
            sky[0].0,
        );
    }
    html.push_str(
        "</div>\n<details><summary>All published figures and who gives them</summary>\n<div class=\"scroll\"><table>\
         <thead><tr><th>Benchmark</th><th>Qwen2.5-32B-Instruct</th><th>Sky-T1-32B</th><th>QwQ-32B-Preview</th>\
         <th>o1-preview</th></tr></thead><tbody>\n",
    );
    for (name, models) in &PUBLISHED {
        let cells: String = models.iter().map(|figures| cell(figures)).collect();
        let _ = writeln!(html, "<tr><th>{name}</th>{cells}</tr>");
    }
    html.push_str(
        "</tbody></table></div>\n<p class=\"note\">Percent. LCB: LiveCodeBench. S: the summary this project was begun from. B: the Sky-T1 announcement. R: the \
         released SkyThought repository. Without a letter, those who give the figure agree.</p></details></div>\n",
    );
    html
}

fn cell(figures: &[Figure]) -> String {
    let shown: Vec<String> = figures
        .iter()
        .map(|(score, letters)| match *letters {
            "" => format!("{score:.1}"),
            letters => format!("{score:.1}\u{a0}<sup>{letters}</sup>"),
        })
        .collect();
    format!("<td>{}</td>", shown.join(" / "))
}
