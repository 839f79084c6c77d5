//! Licences, duplicate versions and sources of the dependencies, checked against `deny.toml`
//! without network.
//!
//! The file has cargo-deny's format; this reads the part of it that is used here, so that CI need
//! not compile cargo-deny.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{Exit, workspace::Workspace};

#[derive(Debug, Deserialize)]
struct Rules {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Debug, Deserialize)]
struct Skip {
    /// `NAME@VERSION`, where the version may be a prefix.
    #[serde(rename = "crate")]
    spec: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// What `cargo metadata` prints.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// Nothing for a package of this workspace.
    source: Option<String>,
}

/// Prints every breach; fails when there is one.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let rules: Rules = toml::from_str(&fs::read_to_string(workspace.root.join("deny.toml"))?)
        .context("deny.toml")?;
    let packages = packages(workspace, &rules.graph.targets)?;
    let breaches = breaches(&rules, &packages);
    breaches.iter().for_each(|breach| println!("{breach}"));
    if !breaches.is_empty() {
        return Err(Exit::failed(format!(
            "{} dependencies break deny.toml, see above",
            breaches.len()
        )));
    }
    println!("{} packages keep deny.toml", packages.len());
    Ok(())
}

/// The packages that these targets build.
fn packages(workspace: &Workspace, targets: &[String]) -> Result<Vec<Package>> {
    let mut cargo = workspace.cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked"]);
    for target in targets {
        cargo.args(["--filter-platform", target]);
    }
    let output = cargo.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cargo metadata failed, see above");
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let used: BTreeSet<String> = metadata
        .resolve
        .nodes
        .into_iter()
        .map(|node| node.id)
        .collect();
    Ok(metadata
        .packages
        .into_iter()
        .filter(|package| used.contains(&package.id))
        .collect())
}

fn breaches(rules: &Rules, packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let Package {
            name,
            version,
            license,
            source,
            ..
        } = package;
        let expression = license.as_deref().unwrap_or_default();
        match allows(expression, &rules.licenses.allow) {
            Ok(true) => {}
            Ok(false) => found.push(format!(
                "{name} {version}: licence {expression:?} is not allowed"
            )),
            Err(error) => found.push(format!("{name} {version}: licence {expression:?}: {error}")),
        }
        if let Some(source) = source
            && !rules
                .sources
                .allow_registry
                .iter()
                .any(|registry| source.strip_prefix("registry+") == Some(registry))
        {
            found.push(format!("{name} {version}: source {source} is not allowed"));
        }
        if !rules
            .bans
            .skip
            .iter()
            .any(|skip| skip.covers(name, version))
        {
            versions.entry(name).or_default().push(version);
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        found.push(format!("{name}: several versions: {}", versions.join(", ")));
    }
    found
}

impl Skip {
    fn covers(&self, name: &str, version: &str) -> bool {
        let Some((skipped, prefix)) = self.spec.split_once('@') else {
            return self.spec == name;
        };
        skipped == name
            && version
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Whether an SPDX expression can be met by allowed licences alone.
fn allows(expression: &str, allowed: &BTreeSet<String>) -> Result<bool> {
    // Older packages write `MIT/Apache-2.0`.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let allows = any(&mut rest, allowed)?;
    ensure!(
        rest.is_empty(),
        "cannot read it from {:?} on",
        rest.join(" ")
    );
    Ok(allows)
}

/// Alternatives joined by `OR`.
fn any(words: &mut &[&str], allowed: &BTreeSet<String>) -> Result<bool> {
    let mut value = all(words, allowed)?;
    while take(words, "OR") {
        value |= all(words, allowed)?;
    }
    Ok(value)
}

/// Demands joined by `AND`, which binds tighter.
fn all(words: &mut &[&str], allowed: &BTreeSet<String>) -> Result<bool> {
    let mut value = one(words, allowed)?;
    while take(words, "AND") {
        value &= one(words, allowed)?;
    }
    Ok(value)
}

/// A licence, with its exception, or an expression in parentheses.
fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> Result<bool> {
    if take(words, "(") {
        let value = any(words, allowed)?;
        ensure!(take(words, ")"), "a parenthesis is not closed");
        return Ok(value);
    }
    match **words {
        [licence, "WITH", exception, ref rest @ ..] => {
            *words = rest;
            Ok(allowed.contains(&format!("{licence} WITH {exception}")))
        }
        [licence, ref rest @ ..] if !matches!(licence, "AND" | "OR" | "WITH" | ")") => {
            *words = rest;
            Ok(allowed.contains(licence))
        }
        _ => bail!("a licence is missing"),
    }
}

fn take(words: &mut &[&str], word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_has_them() {
        let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
            .map(str::to_owned)
            .into();
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT/Apache-2.0", true),
            ("Apache-2.0 AND ISC", false),
            ("GPL-3.0-only OR MIT AND ISC", true),
            ("(GPL-3.0-only OR MIT) AND Apache-2.0", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", true),
        ] {
            assert_eq!(
                allows(expression, &allowed).unwrap(),
                expected,
                "{expression}"
            );
        }
        for wrong in ["", "MIT OR", "(MIT", "MIT ISC", "AND"] {
            assert!(allows(wrong, &allowed).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_breach_is_named() {
        let rules: Rules = toml::from_str(
            "[graph]\ntargets = []\n[licenses]\nallow = ['MIT']\n[bans]\nskip = [{ crate = 'old@1.2' }]\n\
             [sources]\nallow-registry = ['https://registry.example/index']\n",
        )
        .unwrap();
        let package = |name: &str, version: &str, license: &str, source: &str| Package {
            id: String::new(),
            name: name.into(),
            version: version.into(),
            license: Some(license.into()),
            source: Some(source.into()),
        };
        let known = "registry+https://registry.example/index";
        let packages = [
            package("old", "1.2.3", "MIT", known),
            package("old", "2.0.0", "MIT", known),
            package("twice", "1.20.0", "MIT", known),
            package("twice", "1.2.0", "MIT", known),
            package("closed", "1.0.0", "Proprietary", known),
            package(
                "forked",
                "1.0.0",
                "MIT",
                "git+https://elsewhere.example/forked",
            ),
        ];
        assert_eq!(
            breaches(&rules, &packages),
            [
                "closed 1.0.0: licence \"Proprietary\" is not allowed",
                "forked 1.0.0: source git+https://elsewhere.example/forked is not allowed",
                "twice: several versions: 1.20.0, 1.2.0",
            ]
        );
    }
}
