use std::{
    fs::File,
    io::{BufWriter, Write},
};

use sha2::{Digest, Sha256};
use sky_files::{FileError, duration};

use super::{
    ReportConfig, RunFiles, explorer, funnel,
    html::{Esc, percent},
    reproduce,
    run_data::RunData,
    scores, stages, training, verdicts,
};
use crate::Result;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the page section by section.
pub(super) fn write(
    out: &mut BufWriter<File>,
    data: &RunData,
    config: &ReportConfig,
    files: &RunFiles,
) -> Result<()> {
    let fail = |source| FileError::io(&files.report, "write", source);
    for part in [
        head(data),
        scores::section(data),
        funnel::section(data),
        training::section(data),
        verdicts::section(data),
        stages::section(data, config),
        explorer::section(data),
        reproduce::section(data),
    ] {
        out.write_all(part.as_bytes()).map_err(fail)?;
    }
    out.write_all(b"</main>\n").map_err(fail)?;
    explorer::write_data(out, data, config, files)?;
    write!(
        out,
        "<footer><p>Made by <b>sky-eval {}</b> from the run folder alone. This page loads nothing and sends nothing.</p></footer>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
    .map_err(fail)?;
    Ok(())
}

fn head(data: &RunData) -> String {
    let name = Esc(&data.info.recipe);
    let description = match data.info.description.as_str() {
        "" => "A run of the Sky pipeline",
        text => text,
    };
    // Only this page's script may run, and nothing may be loaded. If a model's text ever gets past
    // the escaping, the browser still neither runs nor sends anything.
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(SCRIPT.as_bytes()))
    );
    let done = data.stages.iter().filter(|(_, m)| m.is_some()).count();
    let total: f64 = data
        .stages
        .iter()
        .filter_map(|(_, manifest)| manifest.as_ref())
        .map(|manifest| manifest.seconds)
        .sum();
    let result = match (&data.before, &data.after) {
        (Some(before), Some(after)) => format!(
            ": {} to {}",
            percent(before.accuracy),
            percent(after.accuracy)
        ),
        _ => String::new(),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{name}{result} \u{b7} Sky</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><div class=\"bar\"><a class=\"mark\" href=\"#top\" id=\"top\">Sky</a><nav>\
         <a href=\"#scores\">Scores</a><a href=\"#funnel\">Funnel</a><a href=\"#training\">Training</a>\
         <a href=\"#verdicts\">Verdicts</a><a href=\"#stages\">Time</a><a href=\"#samples\">Samples</a>\
         <a href=\"#reproduce\">Reproduce</a></nav></div>\n\
         <h1>{name}</h1>\n<p class=\"lede\">{}</p>\n\
         <p class=\"meta\"><span>seed {}</span><span>{done} of {} stages</span><span>{}</span></p></header>\n<main>\n",
        Esc(&policy),
        Esc(description),
        data.info.seed,
        data.stages.len(),
        duration(total),
    )
}

/// Base64 of RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, place| {
            word << 8 | u32::from(chunk.get(place).copied().unwrap_or(0))
        });
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn nothing_in_our_files_ends_their_element() {
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</") && !STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
