use std::fmt::Write as _;

use sky_types::Verdict;

use super::{
    html::{count, css, missing, percent},
    run_data::RunData,
    stage_replies::StageReplies,
};

/// Most bars of a length histogram.
const BINS: u32 = 32;

/// Counts of verdicts and a histogram of reply lengths, for each stage.
pub(super) fn section(data: &RunData) -> String {
    let mut html = String::from("<section id=\"verdicts\"><h2>Verdicts and lengths</h2>\n");
    if data.replies.is_empty() {
        html.push_str(&missing("Nothing has been checked yet.", "eval-before"));
    } else {
        html.push_str("<div class=\"pair\"><div>\n<h3>What the checkers said</h3>\n");
        html.push_str(&counts(&data.replies));
        html.push_str("</div><div>\n<h3>How long the replies were</h3>\n");
        html.push_str(&lengths(&data.replies));
        html.push_str("</div></div>\n");
    }
    html.push_str("</section>\n");
    html
}

fn counts(stages: &[StageReplies]) -> String {
    let mut html = String::new();
    for stage in stages {
        let total = stage.counts.total().max(1) as f64;
        let _ = write!(
            html,
            "<div class=\"mix\"><p><b>{}</b> <span>{} right</span></p><div class=\"stack\">",
            stage.label,
            percent(stage.counts.of(Verdict::Correct) as f64 / total),
        );
        for (verdict, number) in stage.counts.iter() {
            let _ = write!(
                html,
                "<i class=\"v-{verdict}\" style=\"width:{}\" title=\"{} {}\"></i>",
                css(number as f64 / total),
                count(number),
                name(verdict)
            );
        }
        html.push_str("</div></div>\n");
    }
    html.push_str("<div class=\"scroll\"><table class=\"counts\"><thead><tr><th>Verdict</th>");
    for stage in stages {
        let _ = write!(html, "<th>{}</th>", stage.label);
    }
    html.push_str("</tr></thead><tbody>\n");
    for verdict in Verdict::ALL {
        if stages.iter().all(|stage| stage.counts.of(verdict) == 0) {
            continue;
        }
        let _ = write!(
            html,
            "<tr><th><i class=\"key v-{verdict}\"></i>{}</th>",
            name(verdict)
        );
        for stage in stages {
            let _ = write!(html, "<td>{}</td>", count(stage.counts.of(verdict)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

fn lengths(stages: &[StageReplies]) -> String {
    let longest = stages
        .iter()
        .map(|stage| stage.lengths.max())
        .max()
        .unwrap_or(0);
    let width = longest / BINS + 1;
    let number_of_bins = longest / width + 1;
    let mut html = String::new();
    for stage in stages {
        let bins = stage.lengths.bins(width, number_of_bins as usize);
        let highest = bins.iter().copied().max().unwrap_or(0).max(1) as f64;
        let _ = write!(
            html,
            "<div class=\"histogram {}\"><p><b>{}</b> <span>median {}, mean {:.0} tokens{}</span></p><div class=\"bins\">",
            stage.key,
            stage.label,
            count(stage.lengths.median().into()),
            stage.lengths.mean(),
            match stage.lengths.cut {
                0 => String::new(),
                cut => format!(", {} cut off at the limit", count(cut)),
            }
        );
        for (bin, number) in (0_u64..).zip(bins) {
            let from = bin * u64::from(width);
            let _ = write!(
                html,
                "<i style=\"height:{}\" title=\"{} to {} tokens: {}\"></i>",
                css(number as f64 / highest),
                count(from),
                count(from + u64::from(width) - 1),
                count(number)
            );
        }
        html.push_str("</div></div>\n");
    }
    let _ = writeln!(
        html,
        "<div class=\"x\"><span>0</span><span>tokens</span><span>{}</span></div>",
        count(u64::from(width) * u64::from(number_of_bins))
    );
    html
}

fn name(verdict: Verdict) -> String {
    verdict.as_str().replace('_', " ")
}
