//! The licences of the libraries that the web page is built with, out of npm's lock file and what npm has installed.
//!
//! Taken is everything that is not marked as a tool alone: a few more than the bundler puts into the page, and none less.
//! Their licences are held against the list that the crates' are held against.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{files_in, head_of};

/// Types: of these nothing is left in a program.
const TYPES: &str = "@types/";

/// A library as the lock file has it.
struct Library<'a> {
    /// Where npm has installed it, from the folder of the page.
    path: &'a str,
    name: &'a str,
    version: &'a str,
    licence: &'a str,
}

/// One text with a part for each library, in the lock file's order of their paths. `ui` is the page's folder.
///
/// # Errors
/// Names a library whose licence `deny` (the text of deny.toml) does not accept, or that is not installed.
pub(super) fn text(ui: &Path, deny: &str) -> Result<String> {
    let lock: Value = serde_json::from_slice(&fs::read(ui.join("package-lock.json"))?)?;
    let accepted = accepted(deny)?;
    let mut parts = vec!["Its web page is built with these.\n".to_owned()];
    for library in libraries(&lock)? {
        let Library { path, name, version, licence } = library;
        ensure!(
            fits(licence, &accepted),
            "{name} {version} has the licence {licence:?}, which deny.toml does not accept"
        );
        let folder = ui.join(path);
        ensure!(folder.is_dir(), "{name} {version} is not installed: run `npm ci` in {}", ui.display());
        parts.push(head_of(name, version, licence) + &files_in(&folder)?);
    }
    Ok(parts.join("\n"))
}

/// What is for more than building and testing, sorted by path.
fn libraries(lock: &Value) -> Result<Vec<Library<'_>>> {
    let packages = lock["packages"].as_object().context("package-lock.json names no packages")?;
    let is_tool = |package: &Value| ["dev", "devOptional", "optional"].iter().any(|mark| package[mark] == true);
    let mut libraries = Vec::new();
    for (path, package) in packages.iter().filter(|(path, package)| !path.is_empty() && !is_tool(package)) {
        let name = path.rsplit("node_modules/").next().unwrap_or(path);
        let word = |key: &str| package[key].as_str().with_context(|| format!("{path} has no {key}"));
        if !name.starts_with(TYPES) {
            libraries.push(Library { path, name, version: word("version")?, licence: word("license")? });
        }
    }
    libraries.sort_by_key(|library| library.path);
    Ok(libraries)
}

/// The licences that are accepted for every crate.
fn accepted(deny: &str) -> Result<Vec<String>> {
    let table: toml::Table = deny.parse().context("deny.toml")?;
    let allow = table.get("licenses").and_then(|licenses| licenses.get("allow")?.as_array());
    let words = allow.context("deny.toml accepts no licence")?.iter().filter_map(|word| word.as_str());
    Ok(words.map(str::to_owned).collect())
}

/// Whether one of the choices that an SPDX expression gives is made of accepted licences alone. Brackets inside of
/// brackets fit nothing.
fn fits(licence: &str, accepted: &[String]) -> bool {
    let inner = licence.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(licence);
    let known = |word: &str| accepted.iter().any(|accepted| accepted == word.trim());
    inner.split(" OR ").any(|choice| choice.split(" AND ").all(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = "[licenses]\nallow = ['MIT', 'ISC']\n";

    /// A page with these libraries: path, licence, mark.
    fn page(libraries: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut packages = serde_json::Map::from_iter([(String::new(), serde_json::json!({"name": "page"}))]);
        for (path, licence, mark) in libraries {
            let mut package = serde_json::json!({"version": "1.0.0", "license": licence});
            package[*mark] = true.into();
            packages.insert((*path).to_owned(), package);
            fs::create_dir_all(dir.path().join(path)).unwrap();
            fs::write(dir.path().join(path).join("license"), format!("text of {path}\r\n")).unwrap();
        }
        let lock = serde_json::json!({"packages": packages});
        fs::write(dir.path().join("package-lock.json"), lock.to_string()).unwrap();
        dir
    }

    #[test]
    fn libraries_come_in_one_order_and_tools_not_at_all() {
        let dir = page(&[
            ("node_modules/z", "ISC", "x"),
            ("node_modules/@a/b/node_modules/z", "(MIT OR GPL-3.0)", "x"),
            ("node_modules/@types/z", "MIT", "x"),
            ("node_modules/builder", "MPL-2.0", "dev"),
            ("node_modules/peer", "MPL-2.0", "devOptional"),
            ("node_modules/other-system", "MPL-2.0", "optional"),
        ]);
        let text = text(dir.path(), DENY).unwrap();
        let (first, last) = (text.find("z 1.0.0: (MIT OR GPL-3.0)").unwrap(), text.find("z 1.0.0: ISC").unwrap());
        assert!(first < last && text.matches(" 1.0.0: ").count() == 2, "{text}");
        assert!(text.contains("\ntext of node_modules/z\n"), "{text}");
    }

    #[test]
    fn a_licence_that_nobody_accepted_is_named() {
        for licence in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "(MIT OR (ISC AND X))x", ""] {
            let dir = page(&[("node_modules/a", "MIT", "x"), ("node_modules/b", licence, "x")]);
            let error = text(dir.path(), DENY).unwrap_err().to_string();
            assert!(error.contains("b 1.0.0") && error.contains(licence), "{error}");
        }
        assert!(text(page(&[]).path(), "[bans]").is_err(), "no list accepts nothing");
    }

    #[test]
    fn what_is_not_installed_is_named() {
        let dir = page(&[("node_modules/a", "MIT", "x")]);
        fs::remove_dir_all(dir.path().join("node_modules/a")).unwrap();
        assert!(text(dir.path(), DENY).unwrap_err().to_string().contains("npm ci"));
    }

    /// The page that is: its lock file against the list that is.
    #[test]
    fn our_own_page_has_accepted_licences_alone() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let lock: Value = serde_json::from_slice(&fs::read(root.join("ui/package-lock.json")).unwrap()).unwrap();
        let accepted = accepted(&fs::read_to_string(root.join("deny.toml")).unwrap()).unwrap();
        let libraries = libraries(&lock).unwrap();
        assert!(["vue", "katex", "highlight.js"].iter().all(|name| libraries.iter().any(|one| one.name == *name)));
        let refused: Vec<&str> =
            libraries.iter().filter(|one| !fits(one.licence, &accepted)).map(|one| one.name).collect();
        assert_eq!(refused, [""; 0]);
    }
}
