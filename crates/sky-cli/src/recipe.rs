use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Every section a recipe may have, each read by the program that owns it.
pub const SECTIONS: [&str; 12] = [
    "teacher", "student", "prompt", "problems", "sample", "rewrite", "verify", "select", "train",
    "eval", "report", "hardware",
];

/// Keys beside the sections.
const KEYS: [&str; 4] = ["v", "seed", "name", "description"];

/// The one recipe format this build reads.
const VERSION: i64 = 1;

/// What is wrong with a recipe, in one line: file, line, key, cause, and the nearest valid name.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {message}", path.display())]
pub struct RecipeError {
    path: PathBuf,
    line: usize,
    message: String,
}

/// A recipe as written. Each program asks for the sections it owns; see `docs/formats.md` for all of them.
#[derive(Clone, Debug)]
pub struct Recipe {
    path: PathBuf,
    text: String,
    /// The recipe's name; the file's, unless it says otherwise. Names the run folder.
    pub name: String,
    /// One sentence about the run.
    pub description: String,
    /// The seed everything random starts from.
    pub seed: u64,
}

impl Recipe {
    /// Reads a recipe and checks the names of its sections.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has an unknown section or version.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let text = fs::read_to_string(path).map_err(|error| RecipeError {
            path: path.into(),
            line: 0,
            message: format!("cannot read the recipe: {error}; recipes lie in `recipes/`"),
        })?;
        Self::parse(path, &text)
    }

    /// [`Recipe::load`] from text; `path` is the name that errors give.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn parse(path: impl Into<PathBuf>, text: &str) -> Result<Self, RecipeError> {
        let path = path.into();
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut recipe = Self {
            path,
            text: text.to_owned(),
            name: stem,
            description: String::new(),
            seed: 0,
        };
        let table = recipe.table()?;
        let mut version = None;
        let mut version_at = 0;
        for (key, value) in &table {
            let name = key.get_ref().as_ref();
            let at = key.span().start;
            let wrong = |what: &str| recipe.error(at, name, what);
            match (name, value.get_ref()) {
                ("v", DeValue::Integer(number)) => {
                    version = i64::from_str_radix(number.as_str(), number.radix()).ok();
                    version_at = at;
                }
                ("seed", DeValue::Integer(_)) => {}
                ("name" | "description", DeValue::String(_)) => {}
                (name, DeValue::Table(_)) if SECTIONS.contains(&name) => {}
                (name, DeValue::Table(_)) => {
                    return Err(wrong(&format!(
                        "unknown section{}",
                        nearest(name, SECTIONS.iter().copied())
                    )));
                }
                (name, _) if KEYS.contains(&name) => return Err(wrong("has the wrong type")),
                (name, _) if SECTIONS.contains(&name) => {
                    return Err(wrong("is a section: write it as [section]"));
                }
                (name, _) => {
                    let names = KEYS.iter().chain(&SECTIONS).copied();
                    return Err(wrong(&format!("unknown key{}", nearest(name, names))));
                }
            }
        }
        if version != Some(VERSION) {
            let found = version.map_or("no version".to_owned(), |v| format!("version {v}"));
            return Err(recipe.error(
                version_at,
                "v",
                &format!("{found}; this build reads recipes that say `v = {VERSION}`"),
            ));
        }
        let text_of = |key: &str| {
            table
                .get(key)
                .and_then(|v| v.get_ref().as_str().map(ToOwned::to_owned))
        };
        let seed = recipe.key::<u64>(&table, "seed")?.unwrap_or(0);
        let (name, description) = (text_of("name"), text_of("description"));
        drop(table);
        recipe.seed = seed;
        recipe.description = description.unwrap_or_default();
        recipe.name = name.unwrap_or(recipe.name);
        Ok(recipe)
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the recipe has this section.
    pub fn has(&self, section: &str) -> bool {
        self.table().is_ok_and(|table| table.contains_key(section))
    }

    /// One section as the type of the component that it configures; a missing section is an empty one.
    ///
    /// # Errors
    /// When a key is unknown, missing, or of the wrong type or range: file, line, key and the nearest valid name.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, RecipeError> {
        let table = self.table()?;
        match self.key(&table, name)? {
            Some(section) => Ok(section),
            None => T::deserialize(toml::Table::new().into_deserializer()).map_err(|error| {
                self.error(
                    0,
                    name,
                    &format!("the section is missing ({})", error.message()),
                )
            }),
        }
    }

    /// A complaint about the value of `section.key`, for what only its owner can check.
    pub fn complain(&self, section: &str, key: &str, reason: &str) -> RecipeError {
        let place = self.table().ok().and_then(|table| {
            let section = table.get(section)?;
            let key = section
                .get_ref()
                .as_table()?
                .keys()
                .find(|found| found.get_ref().as_ref() == key);
            Some(key.map_or(section.span().start, |key| key.span().start))
        });
        self.error(place.unwrap_or(0), &format!("{section}.{key}"), reason)
    }

    fn key<T: DeserializeOwned>(
        &self,
        table: &DeTable<'_>,
        name: &str,
    ) -> Result<Option<T>, RecipeError> {
        let Some(value) = table.get(name) else {
            return Ok(None);
        };
        let start = value.span().start;
        let parsed = T::deserialize(value.clone().into_deserializer());
        parsed.map(Some).map_err(|error| {
            let at = error.span().map_or(start, |span| span.start);
            let key = self.key_at(at);
            let key = if key.is_empty() || key == name {
                name.to_owned()
            } else {
                format!("{name}.{key}")
            };
            self.error(at, &key, &with_suggestion(error.message()))
        })
    }

    /// The key written on the line that holds this byte.
    fn key_at(&self, at: usize) -> String {
        let start = self.text.get(..at).map_or(0, |before| {
            before.rfind('\n').map_or(0, |newline| newline + 1)
        });
        let line = self
            .text
            .get(start..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or("");
        line.split_once('=')
            .map_or("", |(key, _)| key)
            .trim()
            .trim_matches('"')
            .to_owned()
    }

    fn table(&self) -> Result<DeTable<'_>, RecipeError> {
        DeTable::parse(&self.text)
            .map(Spanned::into_inner)
            .map_err(|error| {
                let at = error.span().map_or(0, |span| span.start);
                self.error(at, "not TOML", error.message())
            })
    }

    fn error(&self, at: usize, key: &str, message: &str) -> RecipeError {
        let line = 1 + self
            .text
            .bytes()
            .take(at)
            .filter(|&byte| byte == b'\n')
            .count();
        RecipeError {
            path: self.path.clone(),
            line,
            message: format!("{key}: {}", message.replace('\n', " ")),
        }
    }
}

/// Adds the nearest valid name to serde's "unknown field" message.
fn with_suggestion(message: &str) -> String {
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

fn nearest<'a>(name: &str, valid: impl Iterator<Item = &'a str>) -> String {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        n: u32,
        temperature: f64,
    }

    fn error(text: &str) -> String {
        match Recipe::parse("r.toml", text) {
            Ok(recipe) => recipe.section::<Sample>("sample").unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_mistake_names_file_line_key_and_the_nearest_name() {
        let head = "v = 1\n# a comment\n[sample]\n";
        assert_eq!(
            error(&format!("{head}n = 4\ntemprature = 0.8\n")),
            "r.toml:5: sample.temprature: unknown key `temprature`; did you mean `temperature`?"
        );
        let negative = error(&format!("{head}n = -4\n"));
        assert!(
            negative.starts_with("r.toml:4: sample.n: ") && negative.contains("-4"),
            "{negative}"
        );
        let kind = error(&format!("{head}n = \"four\"\n"));
        assert!(
            kind.starts_with("r.toml:4: sample.n: invalid type"),
            "{kind}"
        );
        assert!(
            error("v = 1\nseeds = 3\n")
                .contains("r.toml:2: seeds: unknown key; did you mean `seed`?")
        );
        assert!(
            error("v = 1\n[sampel]\n")
                .contains("r.toml:2: sampel: unknown section; did you mean `sample`?")
        );
        assert!(error("# first\nv = 2\n").starts_with("r.toml:2: v: version 2"));
        assert!(error("[sample]\n").contains("no version"));
        assert!(error("v = 1\nseed = -1\n").starts_with("r.toml:2: seed: "));
        assert!(error("v = 1\n[sample\n").starts_with("r.toml:2: not TOML"));
        assert!(
            Recipe::load(Path::new("nowhere.toml"))
                .unwrap_err()
                .to_string()
                .contains("nowhere.toml")
        );
    }

    #[test]
    fn a_complaint_points_at_the_key() {
        let recipe =
            Recipe::parse("r.toml", "v = 1\n[sample]\nn = 4\ntemperature = 9.0\n").unwrap();
        assert_eq!(recipe.section::<Sample>("sample").unwrap().n, 4);
        assert!(recipe.section::<Sample>("train").is_ok());
        let complaint = recipe
            .complain("sample", "temperature", "must be at most 2")
            .to_string();
        assert_eq!(complaint, "r.toml:4: sample.temperature: must be at most 2");
    }
}
