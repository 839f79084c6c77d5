use std::fmt::Write as _;

use sky_files::duration;

use super::{
    ReportConfig,
    html::{Esc, count, css, dollars},
    run_data::RunData,
};

/// Time and cost of each stage, on a time line.
pub(super) fn section(data: &RunData, config: &ReportConfig) -> String {
    let price = config.dollars_per_hour;
    let total: f64 = data
        .stages
        .iter()
        .filter_map(|(_, manifest)| manifest.as_ref())
        .map(|manifest| manifest.seconds)
        .sum();
    let cost = |seconds: f64| dollars(seconds / 3600.0 * price);
    let mut html = String::from(
        "<section id=\"stages\"><h2>Time and cost</h2>\n<div class=\"scroll\"><table class=\"stages\">\
         <thead><tr><th>Stage</th><th class=\"line\">Time line</th><th>Time</th><th>In</th><th>Out</th>",
    );
    html.push_str(if price > 0.0 { "<th>Cost</th>" } else { "" });
    html.push_str("</tr></thead><tbody>\n");
    let (mut begin, mut resumed) = (0.0, false);
    for (name, manifest) in &data.stages {
        let Some(manifest) = manifest else {
            let _ = writeln!(
                html,
                "<tr class=\"absent\"><th>{}</th><td class=\"line\"></td><td colspan=\"3\">has not run</td>{}</tr>",
                Esc(name),
                if price > 0.0 { "<td></td>" } else { "" }
            );
            continue;
        };
        let seconds = manifest.seconds.max(0.0);
        resumed |= manifest.resumed;
        let _ = writeln!(
            html,
            "<tr><th>{}{}</th><td class=\"line\"><span><i style=\"left:{};width:{}\"></i></span></td><td>{}</td>\
             <td>{}</td><td>{}</td>{}</tr>",
            Esc(name),
            if manifest.resumed { "*" } else { "" },
            css(begin / total.max(1e-9)),
            css(seconds / total.max(1e-9)),
            duration(seconds),
            count(manifest.counts.count_in),
            count(manifest.counts.count_out),
            if price > 0.0 {
                format!("<td>{}</td>", cost(seconds))
            } else {
                String::new()
            },
        );
        begin += seconds;
    }
    let _ = writeln!(
        html,
        "</tbody><tfoot><tr><th>Together</th><td class=\"line\"></td><td>{}</td><td></td><td></td>{}</tr></tfoot></table></div>",
        duration(total),
        if price > 0.0 {
            format!("<td>{}</td>", cost(total))
        } else {
            String::new()
        },
    );
    html.push_str("<p class=\"note\">");
    if price > 0.0 {
        let _ = write!(html, "Cost at ${price} an hour. ");
    } else {
        html.push_str("Not priced: the recipe's <code>[report] dollars_per_hour</code> is 0. ");
    }
    if resumed {
        html.push_str("* Continued after an interruption; the time before it is counted in. ");
    }
    html.push_str(
        "The published run took 19 hours on 8 H100, about $456 at $3 a GPU hour (the summary this project was begun from).</p></section>\n",
    );
    html
}
