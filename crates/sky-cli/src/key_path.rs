use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The dotted path of the key or the value that holds this byte: `verify.math.budget`,
/// `sample.examples[1].user`.
pub(crate) fn path_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    // Tables last: the span of a header's table may reach into the next one.
    in_table(table, at, "", false).or_else(|| in_table(table, at, "", true))
}

fn in_table(table: &DeTable<'_>, at: usize, above: &str, wholes: bool) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let path = match above {
            "" => name.to_string(),
            above => format!("{above}.{name}"),
        };
        if key.span().contains(&at) {
            return Some(path);
        }
        in_value(value, at, path, wholes)
    })
}

fn in_value(value: &Spanned<DeValue<'_>>, at: usize, path: String, wholes: bool) -> Option<String> {
    let (inner, whole) = match value.get_ref() {
        DeValue::Table(table) => (in_table(table, at, &path, wholes), wholes),
        DeValue::Array(items) => {
            let item = |(i, item)| in_value(item, at, format!("{path}[{i}]"), wholes);
            (items.iter().enumerate().find_map(item), wholes)
        }
        _ => (None, true),
    };
    inner.or_else(|| (whole && value.span().contains(&at)).then_some(path))
}
