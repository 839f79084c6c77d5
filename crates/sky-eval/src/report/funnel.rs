use std::fmt::Write as _;

use sky_types::Verdict;

use super::{
    html::{Esc, count, counted, css},
    run_data::{Left, RunData, has_answer},
};

/// Where every problem and every sample went.
pub(super) fn section(data: &RunData) -> String {
    let funnel = data.funnel;
    let most = funnel.sampled.map_or(1, |left| left.samples).max(1) as f64;
    let all = funnel
        .problems
        .or(funnel.sampled.map(|left| left.problems))
        .unwrap_or(1)
        .max(1) as f64;
    let lost = |from: Option<Left>, to: Option<Left>| match (from, to) {
        (Some(from), Some(to)) => from.samples.saturating_sub(to.samples),
        _ => 0,
    };
    let steps = [
        (
            "Problems",
            "drawn for training",
            None,
            funnel.problems,
            0,
            String::new(),
        ),
        step(
            "Sampled",
            "the teacher answered",
            funnel.sampled,
            0,
            String::new(),
        ),
        step(
            "Parsed",
            "an answer or a program was found",
            funnel.parsed,
            lost(funnel.sampled, funnel.parsed),
            reasons(data, false),
        ),
        step(
            "Correct",
            "the checker agreed",
            funnel.correct,
            lost(funnel.parsed, funnel.correct),
            reasons(data, true),
        ),
        step(
            "Selected",
            "kept as training data",
            funnel.selected,
            lost(funnel.correct, funnel.selected),
            list(data.dropped.iter().map(|(why, n)| (*n, why.as_str()))),
        ),
        (
            "Trained on",
            "conversations seen by the optimizer",
            funnel.trained,
            None,
            match (funnel.selected, funnel.trained) {
                (Some(left), Some(trained)) => left.samples.saturating_sub(trained),
                _ => 0,
            },
            "longer than the training cutoff, or with nothing to learn".into(),
        ),
    ];
    let mut html = String::from(
        "<section id=\"funnel\"><h2>Where every problem went</h2>\n<p class=\"lede\">From the problems drawn to the \
         conversations trained on. Thick bars count samples, thin ones the problems with at least one sample left.</p>\n\
         <ol class=\"funnel\">\n",
    );
    for (name, what, samples, problems, dropped, why) in steps {
        if samples.is_none() && problems.is_none() {
            let _ = writeln!(
                html,
                "<li class=\"absent\"><div class=\"step\"><b>{name}</b><span>{what}</span></div>\
                 <div class=\"bars\"></div><div class=\"num\">not run</div></li>"
            );
            continue;
        }
        html.push_str("<li>");
        if dropped > 0 {
            let _ = write!(
                html,
                "<p class=\"drop\"><b>\u{2212}{}</b> {}</p>",
                count(dropped),
                Esc(&why)
            );
        }
        let _ = write!(
            html,
            "<div class=\"step\"><b>{name}</b><span>{what}</span></div><div class=\"bars\">"
        );
        if let Some(samples) = samples {
            let _ = write!(
                html,
                "<i class=\"samples\" style=\"width:{}\"></i>",
                css(samples as f64 / most)
            );
        }
        if let Some(problems) = problems {
            let _ = write!(
                html,
                "<i class=\"problems\" style=\"width:{}\"></i>",
                css(problems as f64 / all)
            );
        }
        html.push_str("</div><div class=\"num\">");
        if let Some(samples) = samples {
            let noun = if name == "Trained on" {
                "row"
            } else {
                "sample"
            };
            let _ = write!(html, "<b>{}</b>", counted(samples, noun));
        }
        if let Some(problems) = problems {
            let _ = write!(html, "<span>{}</span>", counted(problems, "problem"));
        }
        html.push_str("</div></li>\n");
    }
    html.push_str("</ol></section>\n");
    html
}

type Step = (
    &'static str,
    &'static str,
    Option<u64>,
    Option<u64>,
    u64,
    String,
);

fn step(
    name: &'static str,
    what: &'static str,
    left: Option<Left>,
    dropped: u64,
    why: String,
) -> Step {
    let (samples, problems) = (
        left.map(|left| left.samples),
        left.map(|left| left.problems),
    );
    (name, what, samples, problems, dropped, why)
}

/// The verdicts behind a drop: those with an answer that is not right, or those without one.
fn reasons(data: &RunData, answered: bool) -> String {
    let Some(group) = data.groups.iter().find(|group| group.key == "samples") else {
        return String::new();
    };
    let parts = group
        .mix
        .iter()
        .filter(|(verdict, _)| *verdict != Verdict::Correct && has_answer(*verdict) == answered);
    let named: Vec<(u64, String)> = parts
        .map(|(verdict, number)| (number, verdict.as_str().replace('_', " ")))
        .collect();
    list(named.iter().map(|(number, name)| (*number, name.as_str())))
}

/// `57 unparsed, 15 truncated`; a single reason needs no number, it is the drop's own.
fn list<'a>(parts: impl Iterator<Item = (u64, &'a str)>) -> String {
    let parts: Vec<_> = parts.collect();
    if let [(_, only)] = parts.as_slice() {
        return (*only).to_owned();
    }
    let each: Vec<String> = parts
        .iter()
        .map(|(number, name)| format!("{} {name}", count(*number)))
        .collect();
    each.join(", ")
}
