use std::fmt::Write as _;

use super::html::{Esc, css};

/// A published score in percent and the letters of the sources that give it.
struct Figure {
    percent: f64,
    sources: &'static str,
}

const fn figure(percent: f64, sources: &'static str) -> Figure {
    Figure { percent, sources }
}

/// A benchmark with the published scores of each of [`MODELS`]. A model has two scores where
/// sources differ and none where we know no source that gives one.
struct Benchmark {
    name: &'static str,
    scores: [&'static [Figure]; MODELS.len()],
}

/// The model that the published run trained, before it.
const BASE: usize = 0;
/// The same after it.
const TRAINED: usize = 1;
/// The columns.
const MODELS: [&str; 7] = [
    "Qwen2.5-32B-Instruct",
    "Sky-T1-32B",
    "QwQ-32B-Preview",
    "o1-preview",
    "GPT-4o (0513)",
    "STILL-2",
    "Journey",
];

/// What the letters stand for.
const SOURCES: &str = "S: the summary this project was begun from. B: the Sky-T1 announcement. \
    R: the released SkyThought repository. D: the report on DeepSeek-R1, whose protocol is another \
    (64 samples at temperature 0.6). \u{2260}: sources disagree. A dash: no source at hand gives \
    a score; the reports on STILL-2 and on Journey measure other models by other protocols.";

/// The published scores of the 32B run and of the models it was compared with.
const PUBLISHED: [Benchmark; 11] = [
    Benchmark {
        name: "MATH500",
        scores: [
            &[figure(76.2, "S, B"), figure(81.4, "R")],
            &[figure(82.4, "S, B"), figure(86.4, "R")],
            &[figure(85.4, "S, B"), figure(92.2, "R"), figure(90.6, "D")],
            &[figure(81.4, "S, B, R")],
            &[figure(74.6, "D")],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "AIME24",
        scores: [
            &[figure(16.7, "S, B, R")],
            &[figure(43.3, "S, B, R")],
            &[figure(50.0, "S, B, R"), figure(44.0, "D")],
            &[figure(40.0, "S, B, R")],
            &[figure(9.3, "D")],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "MATH",
        scores: [
            &[figure(71.2, "S")],
            &[figure(78.9, "S")],
            &[figure(82.1, "S")],
            &[figure(78.2, "S")],
            &[],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "GSM8K",
        scores: [
            &[figure(92.1, "S")],
            &[figure(94.7, "S")],
            &[figure(95.2, "S")],
            &[figure(94.8, "S")],
            &[],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "OlympiadBench",
        scores: [
            &[figure(46.7, "R")],
            &[figure(59.8, "R")],
            &[figure(62.2, "R")],
            &[figure(59.2, "R")],
            &[],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "LCB easy",
        scores: [
            &[figure(84.6, "S, B, R")],
            &[figure(86.3, "S, B, R")],
            &[figure(90.7, "S, B, R")],
            &[figure(92.9, "S, B, R")],
            &[],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "LCB medium",
        scores: [
            &[figure(40.8, "S, B, R")],
            &[figure(56.8, "S, B, R")],
            &[figure(56.3, "S, B, R")],
            &[figure(54.9, "S, B, R")],
            &[],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "LCB hard",
        scores: [
            &[figure(9.8, "B, R"), figure(12.4, "S")],
            &[figure(17.9, "B, R"), figure(23.1, "S")],
            &[figure(17.1, "B, R"), figure(24.7, "S")],
            &[figure(16.3, "B, R"), figure(25.8, "S")],
            &[],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "HumanEval",
        scores: [
            &[figure(85.4, "S")],
            &[figure(89.6, "S")],
            &[figure(91.2, "S")],
            &[figure(90.8, "S")],
            &[],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "MBPP",
        scores: [
            &[figure(78.9, "S")],
            &[figure(82.3, "S")],
            &[figure(84.1, "S")],
            &[figure(83.7, "S")],
            &[],
            &[],
            &[],
        ],
    },
    Benchmark {
        name: "GPQA-Diamond",
        scores: [
            &[figure(45.5, "S, B, R")],
            &[figure(56.8, "S, B, R")],
            &[figure(52.5, "S, B, R"), figure(54.5, "D")],
            &[figure(75.2, "S, B, R")],
            &[figure(49.9, "D")],
            &[],
            &[],
        ],
    },
];

/// How the run's own scores relate to the published ones: `model` is the name of the model that
/// the run evaluated.
fn relation(model: Option<&str>) -> String {
    let same = |name: &str| {
        let name = name.to_lowercase().replace([' ', '_'], "-");
        ["qwen2.5-32b", "qwen-2.5-32b", "sky-t1-32b"]
            .iter()
            .any(|of| name.contains(of))
    };
    match model {
        Some(name) if same(name) => format!(
            "Qwen2.5-32B-Instruct before and after the recipe. This run's model is <b>{}</b>: a score \
             stands beside the published one where both are on the whole benchmark with the same prompt.",
            Esc(name)
        ),
        _ => "Qwen2.5-32B-Instruct before and after the same recipe at full size. This run's model and \
              problems are others: the shape to compare, not the numbers."
            .to_owned(),
    }
}

/// The card of the published scores, beside the run's own.
pub(super) fn card(model: Option<&str>) -> String {
    let mut html = format!(
        "<div class=\"card published\"><p class=\"tag\">Published, not this run</p>\n\
         <h3>Sky-T1-32B-Preview</h3>\n<p class=\"note\">{}</p>\n\
         <div class=\"tracks\" role=\"img\" aria-label=\"Published scores before and after fine-tuning\">\n",
        relation(model)
    );
    for Benchmark { name, scores } in &PUBLISHED {
        // Where sources differ, the track shows the first score; the table below shows all.
        let (Some(base), Some(sky)) = (scores[BASE].first(), scores[TRAINED].first()) else {
            continue;
        };
        let (from, to) = (base.percent / 100.0, sky.percent / 100.0);
        let _ = writeln!(
            html,
            "<div class=\"track-row\"><span class=\"name\">{name}</span><span class=\"track\">\
             <i class=\"link\" style=\"left:{};width:{}\"></i><i class=\"dot hollow\" style=\"left:{}\"></i>\
             <i class=\"dot\" style=\"left:{}\"></i></span><span class=\"num\">{:.1}<b>{:.1}</b></span></div>",
            css(from),
            css(to - from),
            css(from),
            css(to),
            base.percent,
            sky.percent,
        );
    }
    html.push_str(
        "</div>\n<details><summary>All published figures and who gives them</summary>\n\
         <div class=\"scroll\"><table><thead><tr><th>Benchmark</th>",
    );
    for model in MODELS {
        let _ = write!(html, "<th>{model}</th>");
    }
    html.push_str("</tr></thead><tbody>\n");
    for Benchmark { name, scores } in &PUBLISHED {
        let cells: String = scores.iter().map(|figures| cell(figures)).collect();
        let _ = writeln!(html, "<tr><th>{name}</th>{cells}</tr>");
    }
    let _ = write!(
        html,
        "</tbody></table></div>\n<p class=\"note\">Percent. LCB: LiveCodeBench. {SOURCES}</p></details></div>\n"
    );
    html
}

fn cell(figures: &[Figure]) -> String {
    if figures.is_empty() {
        return "<td>\u{2013}</td>".to_owned();
    }
    let shown: Vec<String> = figures
        .iter()
        .map(|Figure { percent, sources }| format!("{percent:.1}\u{a0}<sup>{sources}</sup>"))
        .collect();
    format!("<td>{}</td>", shown.join(" \u{2260} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_source_and_disagreement_is_marked() {
        for Benchmark { name, scores } in &PUBLISHED {
            for figures in scores {
                assert!(figures.iter().all(|f| !f.sources.is_empty()), "{name}");
                let cell = cell(figures);
                assert_eq!(cell.contains('\u{2260}'), figures.len() > 1, "{cell}");
            }
        }
        let html = card(None);
        for model in MODELS {
            assert!(html.contains(&format!("<th>{model}</th>")), "{model}");
        }
    }

    #[test]
    fn the_same_model_is_not_called_another() {
        for name in [
            "Qwen2.5-32B-Instruct",
            "Qwen/Qwen2.5-32B-Instruct, fine-tuned",
        ] {
            let html = card(Some(name));
            assert!(
                html.contains(name) && !html.contains("are others"),
                "{name}"
            );
        }
        for name in [Some("SmolLM2-135M"), Some("Qwen2.5-7B-Instruct"), None] {
            assert!(card(name).contains("are others"), "{name:?}");
        }
    }
}
