//! The licences of what our programs are made of, as their authors ask of whoever passes them on: crates, what lies inside
//! of crates, what we have copied, and the libraries of the web page.

mod page;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::binaries;
use crate::places::Places;
use crate::process;

/// Beginnings of the names under which crates keep them.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];
/// What lies inside of a crate, with a licence of its own: llama.cpp, and what it has taken from others.
const INSIDE: [(&str, &str); 4] = [
    ("llama-cpp-sys-2", "llama.cpp"),
    ("llama-cpp-sys-2", "llama.cpp/vendor/hash/rotate-bits"),
    ("llama-cpp-sys-2", "llama.cpp/vendor/hash/sha256"),
    ("llama-cpp-sys-2", "llama.cpp/vendor/hash/xxhash"),
];
/// NVIDIA's headers lie in our own tree; their licence is ours, so its text is beside this one.
const HEADERS: (&str, &str) =
    ("inference/native/tensorrt-rtx", "TensorRT-RTX headers by NVIDIA: Apache-2.0, see LICENSE");

/// One text with a part for each work that a program is made of, sorted, for the system that cargo calls `target`.
///
/// # Errors
/// When a licence of the web page's libraries is not accepted, or something cannot be read.
pub(super) fn text(places: &Places, program: &str, target: &str) -> Result<String> {
    let mut text = crates(places, program, target)?;
    if program == "starling-node" {
        let (folder, title) = HEADERS;
        let about = fs::read_to_string(places.root.join(folder).join("README.md"))?;
        text += &format!("\n{}\n{title}\n\n{about}", "=".repeat(100));
    } else {
        text += "\n";
        text += &page::text(&places.ui(), &fs::read_to_string(places.root.join("deny.toml"))?)?;
    }
    Ok(text)
}

fn crates(places: &Places, program: &str, target: &str) -> Result<String> {
    let mut cargo = binaries::cargo(places);
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]);
    let metadata = process::output(&mut cargo).context("`cargo metadata` failed")?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let wanted = reached(&metadata, program);
    let mut parts = vec![head(program)];
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut packages: Vec<&Value> = packages.iter().filter(|package| is_foreign(package, &wanted)).collect();
    packages.sort_by_key(|package| (str_of(package, "name").to_owned(), str_of(package, "version").to_owned()));
    for package in packages {
        parts.push(part(package)?);
    }
    Ok(parts.join("\n"))
}

fn head(program: &str) -> String {
    format!("{program} is made of the following works of others, each under its own licence.\n")
}

/// The ids of all packages that a program is made of, by what cargo has resolved.
fn reached(metadata: &Value, program: &str) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let root = packages.filter(|package| str_of(package, "name") == program).map(|package| str_of(package, "id"));
    let mut open: Vec<&str> = root.collect();
    let nodes: Vec<&Value> = metadata["resolve"]["nodes"].as_array().into_iter().flatten().collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id.to_owned()) {
            continue;
        }
        let deps = nodes.iter().filter(|node| str_of(node, "id") == id).filter_map(|node| node["deps"].as_array());
        // What only tests or builds need is not in the program.
        open.extend(deps.flatten().filter(|dep| is_normal(dep)).map(|dep| str_of(dep, "pkg")));
    }
    seen
}

fn is_normal(dep: &Value) -> bool {
    dep["dep_kinds"].as_array().is_none_or(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
}

fn is_foreign(package: &Value, wanted: &BTreeSet<String>) -> bool {
    !package["source"].is_null() && wanted.contains(str_of(package, "id"))
}

fn part(package: &Value) -> Result<String> {
    let (name, version) = (str_of(package, "name"), str_of(package, "version"));
    let licence = package["license"].as_str().unwrap_or("see below");
    let manifest = Path::new(str_of(package, "manifest_path"));
    let folder = manifest.parent().context("a manifest lies in a folder")?;
    let mut text = head_of(name, version, licence);
    let inside = INSIDE.iter().filter(|(crate_name, _)| *crate_name == name).map(|(_, inner)| folder.join(inner));
    for folder in std::iter::once(folder.to_path_buf()).chain(inside) {
        text += &files_in(&folder)?;
    }
    Ok(text)
}

/// What stands over the licences of one work.
fn head_of(name: &str, version: &str, licence: &str) -> String {
    format!("{}\n{name} {version}: {licence}\n", "=".repeat(100))
}

/// The texts that lie in a folder.
fn files_in(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for file in licences_in(folder)? {
        text += "\n";
        text += &String::from_utf8_lossy(&fs::read(&file)?).replace("\r\n", "\n");
    }
    Ok(text)
}

fn licences_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        NAMES.iter().any(|beginning| name.starts_with(beginning)) && path.is_file()
    };
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(named).collect();
    files.sort();
    Ok(files)
}

fn str_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_program_is_made_of_is_found_and_nothing_more() {
        let dep = |to: &str, kind: Value| json!({"pkg": to, "dep_kinds": [{"kind": kind, "target": null}]});
        let metadata = json!({
            "packages": [{"name": "starling-node", "id": "n"}, {"name": "a", "id": "a"}],
            "resolve": {"nodes": [
                {"id": "n", "deps": [dep("a", Value::Null), dep("t", json!("dev")), dep("b", json!("build"))]},
                {"id": "a", "deps": [dep("c", Value::Null), dep("n", Value::Null)]},
                {"id": "other", "deps": [dep("d", Value::Null)]},
            ]},
        });
        assert_eq!(Vec::from_iter(reached(&metadata, "starling-node")), ["a", "c", "n"]);
        assert!(reached(&metadata, "nothing").is_empty());
    }

    #[test]
    fn licences_are_found_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["license-mit", "LICENSE", "Cargo.toml", "COPYING.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("LICENSES")).unwrap();
        let names = licences_in(dir.path()).unwrap();
        let names: Vec<_> = names.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["COPYING.txt", "LICENSE", "license-mit"]);
    }
}
