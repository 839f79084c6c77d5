use std::fmt::Write as _;

use sky_types::Verdict;

use super::{
    html::{Esc, count, counted, css},
    run_data::{Funnel, Left, RunData, has_answer},
};

/// The share of problems and samples that each step of the pipeline keeps.
pub(super) fn section(data: &RunData) -> String {
    let scale = Scale::of(&data.funnel);
    let mut html = String::from(
        "<section id=\"funnel\"><h2>Where every problem went</h2>\n<p class=\"lede\">From the problems drawn to the \
         conversations trained on. Thick bars count samples, thin ones the problems with at least one sample left.</p>\n\
         <ol class=\"funnel\">\n",
    );
    for step in steps(data) {
        html.push_str(&step.html(scale));
    }
    html.push_str("</ol></section>\n");
    html
}

/// One row of the funnel.
struct Step {
    name: &'static str,
    what: &'static str,
    samples: Option<u64>,
    problems: Option<u64>,
    /// Samples lost since the step before.
    dropped: u64,
    /// Why they were lost.
    why: String,
}

/// The counts that a bar of full width stands for.
#[derive(Clone, Copy)]
struct Scale {
    samples: f64,
    problems: f64,
}

impl Scale {
    fn of(funnel: &Funnel) -> Self {
        let samples = funnel.sampled.map(|left| left.samples);
        let problems = funnel.problems.or(funnel.sampled.map(|left| left.problems));
        Self {
            samples: samples.unwrap_or(1).max(1) as f64,
            problems: problems.unwrap_or(1).max(1) as f64,
        }
    }
}

fn steps(data: &RunData) -> [Step; 6] {
    let funnel = &data.funnel;
    let lost = |from: Option<Left>, to: Option<Left>| match (from, to) {
        (Some(from), Some(to)) => from.samples.saturating_sub(to.samples),
        _ => 0,
    };
    [
        Step {
            name: "Problems",
            what: "drawn for training",
            samples: None,
            problems: funnel.problems,
            dropped: 0,
            why: String::new(),
        },
        Step::of("Sampled", "the teacher answered", funnel.sampled),
        Step::of("Parsed", "an answer or a program was found", funnel.parsed)
            .losing(lost(funnel.sampled, funnel.parsed), reasons(data, false)),
        Step::of("Correct", "the checker agreed", funnel.correct)
            .losing(lost(funnel.parsed, funnel.correct), reasons(data, true)),
        Step::of("Selected", "kept as training data", funnel.selected).losing(
            lost(funnel.correct, funnel.selected),
            list(data.dropped.iter().map(|(why, n)| (*n, why.as_str()))),
        ),
        Step {
            name: "Trained on",
            what: "conversations seen by the optimizer",
            samples: funnel.trained,
            problems: None,
            dropped: match (funnel.selected, funnel.trained) {
                (Some(left), Some(trained)) => left.samples.saturating_sub(trained),
                _ => 0,
            },
            why: "longer than the training cutoff, or with nothing to learn".into(),
        },
    ]
}

impl Step {
    fn of(name: &'static str, what: &'static str, left: Option<Left>) -> Self {
        Self {
            name,
            what,
            samples: left.map(|left| left.samples),
            problems: left.map(|left| left.problems),
            dropped: 0,
            why: String::new(),
        }
    }

    fn losing(self, dropped: u64, why: String) -> Self {
        Self {
            dropped,
            why,
            ..self
        }
    }

    fn html(&self, scale: Scale) -> String {
        let Self { name, what, .. } = self;
        if self.samples.is_none() && self.problems.is_none() {
            return format!(
                "<li class=\"absent\"><div class=\"step\"><b>{name}</b><span>{what}</span></div>\
                 <div class=\"bars\"></div><div class=\"num\">not run</div></li>\n"
            );
        }
        let mut html = String::from("<li>");
        if self.dropped > 0 {
            let _ = write!(
                html,
                "<p class=\"drop\"><b>\u{2212}{}</b> {}</p>",
                count(self.dropped),
                Esc(&self.why)
            );
        }
        let _ = write!(
            html,
            "<div class=\"step\"><b>{name}</b><span>{what}</span></div><div class=\"bars\">"
        );
        if let Some(samples) = self.samples {
            let width = css(samples as f64 / scale.samples);
            let _ = write!(html, "<i class=\"samples\" style=\"width:{width}\"></i>");
        }
        if let Some(problems) = self.problems {
            let width = css(problems as f64 / scale.problems);
            let _ = write!(html, "<i class=\"problems\" style=\"width:{width}\"></i>");
        }
        html.push_str("</div><div class=\"num\">");
        if let Some(samples) = self.samples {
            let noun = if *name == "Trained on" {
                "row"
            } else {
                "sample"
            };
            let _ = write!(html, "<b>{}</b>", counted(samples, noun));
        }
        if let Some(problems) = self.problems {
            let _ = write!(html, "<span>{}</span>", counted(problems, "problem"));
        }
        html.push_str("</div></li>\n");
        html
    }
}

/// The verdicts behind a drop: wrong answers when `answered`, missing answers otherwise.
fn reasons(data: &RunData, answered: bool) -> String {
    let Some(stage) = data.replies.iter().find(|stage| stage.key == "samples") else {
        return String::new();
    };
    let parts = stage
        .counts
        .iter()
        .filter(|(verdict, _)| *verdict != Verdict::Correct && has_answer(*verdict) == answered);
    let named: Vec<(u64, String)> = parts
        .map(|(verdict, number)| (number, verdict.as_str().replace('_', " ")))
        .collect();
    list(named.iter().map(|(number, name)| (*number, name.as_str())))
}

/// `57 unparsed, 15 truncated`. A single reason has no number: it would repeat the drop's.
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
