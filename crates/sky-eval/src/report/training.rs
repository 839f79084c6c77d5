use std::fmt::Write as _;

use super::{
    curves::{Curves, Measured},
    html::{axis, count, missing, script_json},
    run_data::RunData,
};

/// Charts of loss and learning rate over the steps.
pub(super) fn section(data: &RunData) -> String {
    let mut html = String::from("<section id=\"training\"><h2>Training</h2>\n");
    match data
        .curves
        .as_ref()
        .filter(|curves| !curves.points.is_empty())
    {
        None => html.push_str(&missing("No training curve yet.", "train")),
        Some(curves) => html.push_str(&charts(curves)),
    }
    html.push_str("</section>\n");
    html
}

fn charts(curves: &Curves) -> String {
    let steps: Vec<u64> = curves.points.iter().map(|p| p.step).collect();
    let loss: Vec<f64> = curves.points.iter().map(|p| p.loss).collect();
    let lr: Vec<f64> = curves.points.iter().map(|p| p.lr).collect();
    let smooth = curves.smooth();
    let (first, last) = (
        smooth.first().copied().unwrap_or(0.0),
        smooth.last().copied().unwrap_or(0.0),
    );
    let mut html = format!(
        "<p class=\"lede\">{} optimizer steps; the loss went from {} to {} nats a token.{}</p>\n<div class=\"charts\">\n",
        count(curves.steps),
        axis(first),
        axis(last),
        if curves.stride > 1 {
            format!(" Each point is the mean of {} steps.", curves.stride)
        } else {
            String::new()
        }
    );
    html.push_str(&chart(
        "Loss",
        "nats a token",
        &steps,
        &[("raw", &loss), ("smooth", &smooth)],
        &curves.validation,
    ));
    html.push_str(&chart(
        "Learning rate",
        "",
        &steps,
        &[("smooth lr", &lr)],
        &[],
    ));
    html.push_str("</div>\n");
    if let (Some(first), Some(last)) = (curves.validation.first(), curves.validation.last()) {
        let _ = writeln!(
            html,
            "<p class=\"note\">Dashed: the loss on the validation rows, {} at step {}, {} at step {}.</p>",
            axis(first.loss),
            count(first.step),
            axis(last.loss),
            count(last.step)
        );
    }
    html
}

/// A chart of lines over steps, from zero up. The page's script adds a reading at the pointer.
fn chart(
    title: &str,
    unit: &str,
    steps: &[u64],
    lines: &[(&str, &[f64])],
    validation: &[Measured],
) -> String {
    let highest = lines
        .iter()
        .flat_map(|(_, values)| values.iter().copied())
        .chain(validation.iter().map(|measured| measured.loss))
        .fold(0.0, f64::max);
    let top = round_up(highest);
    let (first, last) = (
        steps.first().copied().unwrap_or(0),
        steps.last().copied().unwrap_or(0),
    );
    let span = (last - first).max(1) as f64;
    let x = |step: u64| (step - first) as f64 / span * 600.0;
    let y = |value: f64| 200.0 - value / top * 200.0;
    let mut html = format!(
        "<figure class=\"chart\" data-chart=\"{}\"><figcaption><b>{title}</b> <span>{unit}</span><output></output></figcaption>\n\
         <div class=\"plot\"><div class=\"y\"><span>{}</span><span>{}</span><span>0</span></div>\n\
         <svg viewBox=\"0 0 600 200\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{title} over {} steps\">\
         <path class=\"grid\" d=\"M0 0H600M0 100H600M0 200H600\"/>",
        title.to_lowercase().replace(' ', "-"),
        axis(top),
        axis(top / 2.0),
        count(last),
    );
    for (class, values) in lines {
        let mut path = String::new();
        for (number, (&step, &value)) in steps.iter().zip(*values).enumerate() {
            let letter = if number == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.2}", x(step), y(value));
        }
        if *class != "raw" {
            let _ = write!(
                html,
                "<path class=\"area {class}\" d=\"{path}L600 200L0 200Z\"/>"
            );
        }
        let _ = write!(html, "<path class=\"line {class}\" d=\"{path}\"/>");
    }
    if !validation.is_empty() {
        let mut path = String::new();
        for (number, measured) in validation.iter().enumerate() {
            let letter = if number == 0 { 'M' } else { 'L' };
            let step = measured.step.clamp(first, last);
            let _ = write!(path, "{letter}{:.1} {:.2}", x(step), y(measured.loss));
        }
        let _ = write!(html, "<path class=\"line validation\" d=\"{path}\"/>");
    }
    let shown = lines.last().map_or(&[][..], |(_, values)| values);
    let rounded: Vec<String> = lines
        .first()
        .map_or(shown, |(_, values)| values)
        .iter()
        .map(|v| axis(*v))
        .collect();
    let data = script_json(&(steps, rounded)).unwrap_or_default();
    let _ = write!(
        html,
        "</svg><i class=\"cursor\"></i></div>\n<div class=\"x\"><span>{}</span><span>step</span><span>{}</span></div>\
         <script type=\"application/json\">{data}</script></figure>\n",
        count(first),
        count(last)
    );
    html
}

/// Rounds up to a round number for the end of an axis, such as 1.5, 2.5 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    if !(value > 0.0 && value.is_finite()) {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|&top| top >= value)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [
            (0.93, 1.0),
            (1.21, 1.5),
            (5e-5, 5e-5),
            (0.0, 1.0),
            (f64::NAN, 1.0),
        ] {
            assert!((round_up(value) / top - 1.0).abs() < 1e-9, "{value}");
        }
    }
}
