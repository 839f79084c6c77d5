//! The documentation pages of files and recipe keys, as the tests of several programs read them.
#![allow(dead_code)]

use std::{fmt::Debug, fs, path::Path};

use serde_json::Value;
use sky_cli::Recipe;

/// The page with the fields of every file.
pub(crate) const FORMATS: &str = "formats.md";
/// The page with every recipe key and its default.
pub(crate) const RECIPE_KEYS: &str = "reference/recipe-keys.md";

/// The fenced blocks of a page of `docs/` that have this label.
pub(crate) fn blocks(page: &str, label: &str) -> Vec<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = fs::read_to_string(docs.join(page)).unwrap();
    let opening = format!("```{label}\n");
    let blocks: Vec<String> = text
        .split(&opening)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    assert!(!blocks.is_empty(), "no {label} block");
    blocks
}

/// A section's block gives every key, and the values are the defaults.
pub(crate) fn defaults<T>(section: &str)
where
    T: Default + PartialEq + Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let body = &blocks(RECIPE_KEYS, &format!("toml {section}"))[0];
    let recipe = Recipe::parse("docs.toml", &format!("v = 1\n[{section}]\n{body}")).unwrap();
    assert_eq!(recipe.parse_section::<T>(section).unwrap(), T::default());
    has_keys(&serde_json::to_value(T::default()).unwrap(), "", body);
    // A key that is left out while unset shows in the message about an unknown one.
    let wrong = Recipe::parse("docs.toml", &format!("v = 1\n[{section}]\nzzzzzzzz = 1\n")).unwrap();
    let names = wrong.parse_section::<T>(section).unwrap_err().to_string();
    let (_, names) = names.split_once("valid names: ").unwrap();
    for name in names.split(", ") {
        let (key, table) = (format!("{name} = "), format!("{name}."));
        assert!(
            body.contains(&key) || body.contains(&table),
            "{section}.{name}"
        );
    }
}

fn has_keys(value: &Value, above: &str, body: &str) {
    for (key, value) in value.as_object().unwrap() {
        let path = format!("{above}{key}");
        match value {
            Value::Object(inner) if !inner.is_empty() => has_keys(value, &format!("{path}."), body),
            _ => assert!(
                body.contains(&format!("{path} = ")),
                "{path} is not in the page"
            ),
        }
    }
}
