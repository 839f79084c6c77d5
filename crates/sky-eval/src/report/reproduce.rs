use std::fmt::Write as _;

use super::{
    html::{Esc, count},
    run_data::RunData,
};

/// Seed, versions, settings and hashes: what a repeated run needs, and what to compare it by.
pub(super) fn section(data: &RunData) -> String {
    let info = &data.info;
    let mut html = format!(
        "<section id=\"reproduce\"><h2>Reproduce it</h2>\n<p class=\"lede\">The same recipe and seed give the same problems, \
         samples, verdicts and training data, byte for byte.</p>\n\
         <pre class=\"command\"><code>{}</code></pre>\n<dl class=\"facts\">\n\
         <div><dt>Recipe</dt><dd>{}</dd></div><div><dt>Seed</dt><dd>{}</dd></div><div><dt>Sky</dt><dd>{}</dd></div>\n",
        Esc(&info.command),
        Esc(&info.recipe),
        info.seed,
        Esc(env!("CARGO_PKG_VERSION")),
    );
    for (label, eval) in [("Model before", &data.before), ("Model after", &data.after)] {
        if let Some(eval) = eval {
            let _ = writeln!(
                html,
                "<div><dt>{label}</dt><dd>{}</dd></div>",
                Esc(&eval.model)
            );
        }
    }
    html.push_str("</dl>\n");
    for (name, manifest) in &data.stages {
        let Some(manifest) = manifest else { continue };
        let settings = serde_json::to_string_pretty(&manifest.config)
            .unwrap_or_else(|error| error.to_string());
        let _ = write!(
            html,
            "<details><summary><b>{}</b> <span>Sky {}</span></summary>\n<div class=\"scroll\"><table class=\"hashes\">\
             <thead><tr><th>File</th><th>Bytes</th><th>SHA-256</th></tr></thead><tbody>\n",
            Esc(name),
            Esc(&manifest.sky)
        );
        for (kind, files) in [("in", &manifest.inputs), ("out", &manifest.outputs)] {
            for (file, hash) in files {
                let _ = writeln!(
                    html,
                    "<tr><th><small>{kind}</small> {}</th><td>{}</td><td><code>{}</code></td></tr>",
                    Esc(file),
                    count(hash.bytes),
                    Esc(&hash.sha256)
                );
            }
        }
        let _ = writeln!(
            html,
            "</tbody></table></div>\n<pre><code>{}</code></pre></details>",
            Esc(&settings)
        );
    }
    html.push_str("</section>\n");
    html
}
