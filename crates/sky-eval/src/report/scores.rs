use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    html::{Esc, count, counted, css, missing, percent},
    published,
    run_data::{Paired, RunData},
};
use crate::{EvalSummary, SourceScore};

/// Scores before and after training with their intervals, beside the published run.
pub(super) fn section(data: &RunData) -> String {
    let model = data.before.as_ref().or(data.after.as_ref());
    let model = model.map(|eval| eval.model.as_str());
    format!(
        "<section id=\"scores\"><h2>Scoreboard</h2>\n<div class=\"board\">{}{}</div></section>\n",
        ours(data),
        published::card(model)
    )
}

fn ours(data: &RunData) -> String {
    let mut html = String::from("<div class=\"card ours\"><p class=\"tag\">This run</p>\n");
    let (before, after) = (data.before.as_ref(), data.after.as_ref());
    html.push_str(&headline(before, after));
    html.push_str("<div class=\"tracks wide\">\n");
    for (eval, name, class) in [(before, "Before", "before"), (after, "After", "after")] {
        html.push_str(&interval_row(eval, name, class));
    }
    html.push_str(
        "<div class=\"track-row scale\" aria-hidden=\"true\"><span></span><span class=\"track\">\
         <b style=\"left:0\">0</b><b style=\"left:50%\">50</b><b style=\"left:100%\">100</b></span><span></span></div></div>\n",
    );
    html.push_str(&protocol(before, after));
    if let Some(paired) = &data.paired {
        html.push_str(&changes(paired));
    }
    html.push_str(&sources(before, after));
    html.push_str("</div>\n");
    html
}

fn headline(before: Option<&EvalSummary>, after: Option<&EvalSummary>) -> String {
    let number = |eval: Option<&EvalSummary>, class: &str| match eval {
        Some(eval) => format!(
            "<span class=\"big {class}\">{}</span>",
            percent(eval.accuracy)
        ),
        None => format!("<span class=\"big {class} none\" title=\"not measured\">\u{2013}</span>"),
    };
    let mut html = format!(
        "<p class=\"headline\">{}<span class=\"arrow\" aria-label=\"to\">\u{2192}</span>{}",
        number(before, "before"),
        number(after, "after")
    );
    if let (Some(before), Some(after)) = (before, after) {
        let gain = (after.accuracy - before.accuracy) * 100.0;
        let class = if gain < 0.0 { "loss" } else { "" };
        let _ = write!(
            html,
            "<span class=\"gain {class}\">{}{:.1} points</span>",
            if gain < 0.0 { "\u{2212}" } else { "+" },
            gain.abs()
        );
    }
    html.push_str("</p>\n");
    html
}

fn interval_row(eval: Option<&EvalSummary>, name: &str, class: &str) -> String {
    let Some(eval) = eval else {
        return format!(
            "<div class=\"track-row\"><span class=\"name\">{name}</span><span class=\"track\"></span>\
             <span class=\"num\">not measured</span></div>\n"
        );
    };
    format!(
        "<div class=\"track-row {class}\"><span class=\"name\">{name}</span><span class=\"track\">\
         <i class=\"whisker\" style=\"left:{};width:{}\"></i><i class=\"dot\" style=\"left:{}\"></i></span>\
         <span class=\"num\"><b>{:.1}</b> <small>{:.1}\u{2013}{:.1}</small></span></div>\n",
        css(eval.low),
        css(eval.high - eval.low),
        css(eval.accuracy),
        eval.accuracy * 100.0,
        eval.low * 100.0,
        eval.high * 100.0,
    )
}

fn protocol(before: Option<&EvalSummary>, after: Option<&EvalSummary>) -> String {
    let Some(eval) = after.or(before) else {
        return missing("No score yet.", "eval-before");
    };
    let drawn = if eval.config.temperature == 0.0 {
        "greedy".to_owned()
    } else {
        format!(
            "{} replies each at temperature {}",
            eval.config.n, eval.config.temperature
        )
    };
    let mut html = format!(
        "<p class=\"note\">{}, zero-shot, {drawn}, at most {} tokens. Bars are 95\u{202f}% Wilson intervals",
        counted(eval.n, "held-out problem"),
        count(eval.config.max_tokens.into())
    );
    if let (Some(before), Some(after)) = (before, after) {
        let apart = before.high < after.low || after.high < before.low;
        html.push_str(if apart {
            "; they do not overlap."
        } else {
            "; they overlap, so the difference may be chance."
        });
        if after.boxed_of > 0 {
            let _ = write!(
                html,
                " Answers in <code>\\boxed{{}}</code>: {} before, {} after.",
                boxed(before),
                boxed(after)
            );
        }
    } else {
        html.push('.');
    }
    html.push_str("</p>\n");
    let all_k = before.into_iter().chain(after);
    let lines: Vec<String> = all_k
        .filter(|eval| eval.pass_at_k.len() > 1)
        .map(|eval| {
            let each: Vec<String> = eval
                .pass_at_k
                .iter()
                .map(|(k, share)| format!("pass@{k} {}", percent(*share)))
                .collect();
            format!("{}: {}", Esc(&eval.model), each.join(", "))
        })
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(html, "<p class=\"note\">{}.</p>", lines.join("; "));
    }
    html
}

fn boxed(eval: &EvalSummary) -> String {
    percent(eval.boxed as f64 / eval.boxed_of.max(1) as f64)
}

/// How many problems were learned, forgotten, right or wrong both times.
fn changes(paired: &Paired) -> String {
    let parts = [
        ("kept", "right both times", paired.kept),
        ("learned", "learned", paired.learned),
        ("forgotten", "forgotten", paired.forgotten),
        ("missed", "wrong both times", paired.missed),
    ];
    let total: u64 = parts.iter().map(|(.., number)| number).sum();
    let mut html =
        String::from("<h4>The same problems, before and after</h4>\n<div class=\"stack\">");
    for (class, _, number) in parts.iter().filter(|(.., number)| *number > 0) {
        let _ = write!(
            html,
            "<i class=\"{class}\" style=\"width:{}\"></i>",
            css(*number as f64 / total.max(1) as f64)
        );
    }
    html.push_str("</div>\n<p class=\"legend\">");
    for (class, name, number) in parts {
        let _ = write!(
            html,
            "<span><i class=\"{class}\"></i><b>{}</b> {name}</span>",
            count(number)
        );
    }
    html.push_str("</p>\n");
    html
}

/// Scores of each source of problems, before and after training. What was not measured is said to
/// be so: no mark on the track, a dash for the number.
fn sources(before: Option<&EvalSummary>, after: Option<&EvalSummary>) -> String {
    let names: BTreeSet<&str> = before
        .into_iter()
        .chain(after)
        .flat_map(|eval| eval.sources.keys().map(String::as_str))
        .collect();
    if names.len() < 2 {
        return String::new();
    }
    let mut html = String::from("<h4>By kind of problem</h4>\n<div class=\"tracks thin\">\n");
    for name in names {
        html.push_str(&source_row(
            name,
            score_of(before, name),
            score_of(after, name),
        ));
    }
    html.push_str("</div>\n");
    if before.is_none() || after.is_none() {
        let missing = if before.is_none() { "before" } else { "after" };
        let _ = writeln!(
            html,
            "<p class=\"note\">A dash: not measured {missing} training.</p>"
        );
    }
    html
}

fn score_of<'a>(eval: Option<&'a EvalSummary>, source: &str) -> Option<&'a SourceScore> {
    eval?.sources.get(source).filter(|score| score.n > 0)
}

fn source_row(name: &str, before: Option<&SourceScore>, after: Option<&SourceScore>) -> String {
    let n = after.or(before).map_or(0, |score| score.n);
    let mut track = String::new();
    if let (Some(before), Some(after)) = (before, after) {
        let (from, to) = (before.accuracy, after.accuracy);
        let _ = write!(
            track,
            "<i class=\"link{}\" style=\"left:{};width:{}\"></i>",
            if to < from { " down" } else { "" },
            css(from.min(to)),
            css((to - from).abs()),
        );
    }
    for (score, class) in [(before, "dot hollow"), (after, "dot")] {
        if let Some(score) = score {
            let _ = write!(
                track,
                "<i class=\"{class}\" style=\"left:{}\"></i>",
                css(score.accuracy)
            );
        }
    }
    let number = |score: Option<&SourceScore>| match score {
        Some(score) => format!("{:.0}", score.accuracy * 100.0),
        None => "<span class=\"none\" title=\"not measured\">\u{2013}</span>".to_owned(),
    };
    format!(
        "<div class=\"track-row\"><span class=\"name\">{} <small>{}</small></span><span class=\"track\">{track}</span>\
         <span class=\"num\">{}<b>{}</b></span></div>\n",
        Esc(name),
        count(n),
        number(before),
        number(after),
    )
}
