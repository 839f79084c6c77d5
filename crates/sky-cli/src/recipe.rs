use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::de::{DeserializeOwned, IntoDeserializer};
use sky_types::{Section, SettingError};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    key_path::path_at,
    nearest::{nearest, with_suggestion},
};

/// Every section that a recipe may have. Each is read by the program that owns it.
pub const SECTIONS: [&str; 12] = [
    "teacher", "student", "prompt", "problems", "sample", "rewrite", "verify", "select", "train",
    "eval", "report", "hardware",
];

/// Keys beside the sections.
const KEYS: [&str; 4] = ["v", "seed", "name", "description"];

/// The one recipe format this build reads.
const VERSION: i64 = 1;

/// An error in a recipe, in one line: file, line, key, cause, and the nearest valid name.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {message}", path.display(), line.map_or_else(String::new, |line| format!(":{line}")))]
pub struct RecipeError {
    path: PathBuf,
    /// None when the error is about the whole file.
    line: Option<usize>,
    message: String,
}

/// Largest recipe in bytes: far more than one needs, so that a wrong file is refused quickly.
const MAX_BYTES: u64 = 16 << 20;

/// A recipe as written. Each program asks for the sections that it owns.
/// `docs/reference/recipe-keys.md` lists all of them.
#[derive(Clone, Debug)]
pub struct Recipe {
    path: PathBuf,
    text: String,
    /// The recipe's name; by default the file's name without its extension. Names the run folder.
    pub name: String,
    /// One sentence about the run; empty by default.
    pub description: String,
    /// The seed of everything random in the run; 0 by default.
    pub seed: u64,
}

impl Recipe {
    /// Reads a recipe and checks the names of its sections.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or has an unknown section, key or version.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let wrong = |line, message: String| RecipeError {
            path: path.into(),
            line,
            message,
        };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| {
                let message = format!("cannot read the recipe: {error}; recipes lie in `recipes/`");
                wrong(None, message)
            })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(wrong(
                None,
                format!("is no recipe: larger than {MAX_BYTES} bytes"),
            ));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            wrong(Some(line), "is no recipe: not UTF-8 text".to_owned())
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

    /// The file that the recipe was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the recipe has this section.
    pub fn has(&self, section: &str) -> bool {
        self.table().is_ok_and(|table| table.contains_key(section))
    }

    /// Reads and checks one section. A missing section counts as an empty one.
    ///
    /// # Errors
    /// When a key is unknown, missing, or of the wrong type or range: file, line, key and the
    /// nearest valid name.
    pub fn section<T: Section>(&self) -> Result<T, RecipeError> {
        let section: T = self.parse_section(T::NAME)?;
        section
            .check()
            .map_err(|error| self.setting_error(T::NAME, &error))?;
        Ok(section)
    }

    /// Reads a section of another stage, for an estimate. None when it is missing or wrong: the
    /// other stage reports that.
    pub fn other_section<T: Section>(&self) -> Option<T> {
        if !self.has(T::NAME) {
            return None;
        }
        self.section().ok()
    }

    /// Reads one section without its checks, for a type that several sections share.
    ///
    /// # Errors
    /// When a key is unknown, missing, or of the wrong type: file, line, key and the nearest valid
    /// name.
    pub fn parse_section<T: DeserializeOwned>(&self, name: &str) -> Result<T, RecipeError> {
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

    /// Turns a component's [`SettingError`] into an error with file, line and key.
    pub fn setting_error(&self, section: &str, error: &SettingError) -> RecipeError {
        self.error_at(section, error.key, &error.reason)
    }

    /// An error about the value of `section.key`, for what only its owner can check. A key inside a
    /// table of the section has dots: `math.budget`.
    pub fn error_at(&self, section: &str, key: &str, reason: &str) -> RecipeError {
        let path = format!("{section}.{key}");
        let mut place = 0;
        if let Ok(table) = self.table() {
            let mut table = Some(&table);
            for part in path.split('.') {
                let Some((key, value)) = table.and_then(|table| table.get_key_value(part)) else {
                    break;
                };
                // A table that dotted keys or `[a.b]` imply has no position; the last known one is
                // used.
                place = key.span().start.max(place);
                table = value.get_ref().as_table();
            }
        }
        self.error(place, &path, reason)
    }

    fn key<T: DeserializeOwned>(
        &self,
        table: &DeTable<'_>,
        name: &str,
    ) -> Result<Option<T>, RecipeError> {
        let Some((key, value)) = table.get_key_value(name) else {
            return Ok(None);
        };
        let parsed = T::deserialize(value.clone().into_deserializer());
        parsed.map(Some).map_err(|error| {
            let at = error.span().map_or(key.span().start, |span| span.start);
            let path = path_at(table, at).unwrap_or_else(|| name.to_owned());
            self.error(at, &path, &with_suggestion(error.message()))
        })
    }

    fn table(&self) -> Result<DeTable<'_>, RecipeError> {
        DeTable::parse(&self.text)
            .map(Spanned::into_inner)
            .map_err(|error| {
                let span = error.span().unwrap_or_default();
                let key = match self.text.get(span.clone()) {
                    Some(key) if error.message() == "duplicate key" => key,
                    _ => "not TOML",
                };
                self.error(span.start, key, error.message())
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
            line: Some(line),
            message: format!("{key}: {}", message.replace('\n', " ")),
        }
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
            Ok(recipe) => recipe
                .parse_section::<Sample>("sample")
                .unwrap_err()
                .to_string(),
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
    fn an_error_points_at_the_key() {
        let recipe =
            Recipe::parse("r.toml", "v = 1\n[sample]\nn = 4\ntemperature = 9.0\n").unwrap();
        assert_eq!(recipe.parse_section::<Sample>("sample").unwrap().n, 4);
        assert!(recipe.parse_section::<Sample>("train").is_ok());
        let message = recipe
            .error_at("sample", "temperature", "must be at most 2")
            .to_string();
        assert_eq!(message, "r.toml:4: sample.temperature: must be at most 2");
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Deep {
        math: Math,
        rows: Vec<Row>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Math {
        units: bool,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        #[allow(dead_code)]
        user: String,
    }

    #[test]
    fn a_mistake_deep_inside_is_named_by_its_whole_path() {
        let said = |text: &str| {
            let recipe = Recipe::parse("r.toml", &format!("v = 1\n{text}")).unwrap();
            recipe
                .parse_section::<Deep>("verify")
                .unwrap_err()
                .to_string()
        };
        for (text, start) in [
            (
                "[verify.math]\nunit = true",
                "r.toml:3: verify.math.unit: unknown key",
            ),
            (
                "[verify]\nmath.unit = true",
                "r.toml:3: verify.math.unit: unknown key",
            ),
            (
                "[verify]\nmath = { unit = true }",
                "r.toml:3: verify.math.unit: unknown key",
            ),
            (
                "[verify.math]\nunits = 3",
                "r.toml:3: verify.math.units: invalid type",
            ),
            (
                "verify.math.units = 3",
                "r.toml:2: verify.math.units: invalid type",
            ),
            (
                "[verify]\nrows = [\n  { user = \"a\" },\n  { usr = \"b\" },\n]",
                "r.toml:5: verify.rows[1].usr: unknown key",
            ),
            (
                "[verify]\nrows = [{ user = 1 }]",
                "r.toml:3: verify.rows[0].user: invalid type",
            ),
            (
                "[verify]\nrows = [{}]",
                "r.toml:3: verify.rows[0]: missing field",
            ),
            (
                "[[verify.rows]]\nuser = \"=\"\nab = 1",
                "r.toml:4: verify.rows[0].ab: unknown",
            ),
            (
                "[verify]\nrows = \"a = b\"",
                "r.toml:3: verify.rows: invalid type",
            ),
            (
                "[verify]\n\"un it\" = 1",
                "r.toml:3: verify.un it: unknown key",
            ),
        ] {
            assert!(said(text).starts_with(start), "{text}: {}", said(text));
        }
        let twice = error("v = 1\n[sample]\nn = 1\nn = 2\n");
        assert!(twice.starts_with("r.toml:4: n: duplicate key"), "{twice}");

        let deep = Recipe::parse("r.toml", "v = 1\n[verify.math]\nunits = true\n").unwrap();
        let message = deep.error_at("verify", "math.units", "no").to_string();
        assert_eq!(message, "r.toml:3: verify.math.units: no");
    }

    #[test]
    fn a_file_that_is_no_recipe_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bin.toml");
        std::fs::write(&path, b"v = 1\n\xff\xfe").unwrap();
        let said = |path: &Path| Recipe::load(path).unwrap_err().to_string();
        assert!(said(&path).ends_with("bin.toml:2: is no recipe: not UTF-8 text"));
        let folder = said(dir.path());
        let name = dir.path().display().to_string();
        assert!(
            folder.starts_with(&format!("{name}: cannot read")),
            "{folder}"
        );
    }
}
