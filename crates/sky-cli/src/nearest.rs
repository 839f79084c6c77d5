/// Adds the nearest valid name to serde's "unknown field" message.
pub(crate) fn with_suggestion(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return message.to_owned();
    }
    let unknown = quoted.next().unwrap_or_default();
    let kind = if message.starts_with("unknown field") {
        "unknown key"
    } else {
        "unknown value"
    };
    format!("{kind} `{unknown}`{}", nearest(unknown, quoted))
}

/// Gives "; did you mean `NAME`?" when a valid name is near to this wrong one, else the list of all
/// valid names.
pub fn nearest<'a>(name: &str, valid: impl Iterator<Item = &'a str>) -> String {
    let valid: Vec<&str> = valid.collect();
    let best = valid
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .min();
    match best {
        Some((_, candidate)) => format!("; did you mean `{candidate}`?"),
        None => format!("; valid names: {}", valid.join(", ")),
    }
}
