//! Builds the UI, and only when it changed: its stamps lie in the cache, not in the tree.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::node_js::NodeJs;
use crate::places::Places;
use crate::process;
use crate::say;
use crate::stop::Stop;

/// Installs the UI's packages, unless npm did so since the lock file last changed.
pub(crate) fn install(places: &Places, node: &NodeJs, stop: &Stop) -> Result<()> {
    let ui = places.ui();
    let changed = |file: &str| fs::metadata(ui.join(file)).and_then(|meta| meta.modified()).ok();
    // npm's own note of what it installed.
    let installed = changed("node_modules/.package-lock.json");
    if installed.is_some() && installed >= changed("package-lock.json").max(changed("package.json")) {
        return Ok(());
    }
    say::step("Installing the UI's packages");
    npm(places, node, &["ci", "--no-audit", "--no-fund"], stop)
}

/// Builds the UI into ui/dist, where the gateway takes it from, when a source changed.
pub(crate) fn build(places: &Places, node: &NodeJs, stop: &Stop) -> Result<()> {
    let ui = places.ui();
    let stamp = Stamp::new(places, "ui-build", fingerprint(&ui, &sources(&ui)?)?);
    if ui.join("dist/index.html").is_file() && stamp.is_set() {
        say::note("the UI is unchanged since its last build");
        return Ok(());
    }
    install(places, node, stop)?;
    say::step("Building the UI");
    npm(places, node, &["run", "build"], stop)?;
    stamp.set()
}

/// Runs npm in ui/.
pub(crate) fn npm(places: &Places, node: &NodeJs, args: &[&str], stop: &Stop) -> Result<()> {
    let mut command = node.command("npm");
    command.args(args).current_dir(places.ui());
    process::run(command, stop)
}

/// Remembers that something was done with sources of this fingerprint, for this checkout.
struct Stamp {
    file: PathBuf,
    value: String,
}

impl Stamp {
    fn new(places: &Places, name: &str, fingerprint: u64) -> Self {
        let mut checkout = DefaultHasher::new();
        places.root.hash(&mut checkout);
        let file = places.cache.join("stamps").join(format!("{name}-{:016x}", checkout.finish()));
        Self { file, value: format!("{fingerprint:016x}") }
    }

    fn is_set(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|value| value == self.value)
    }

    fn set(&self) -> Result<()> {
        let write = || {
            fs::create_dir_all(self.file.parent().expect("made in new"))?;
            fs::write(&self.file, &self.value)
        };
        write().with_context(|| format!("cannot write {}", self.file.display()))
    }
}

/// Every file of the UI but what is installed or built.
fn sources(ui: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![ui.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let made = path.file_name().is_some_and(|name| name == "node_modules" || name == "dist");
            match (made, path.is_dir()) {
                (true, _) => {}
                (false, true) => folders.push(path),
                (false, false) => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A number that changes with the name or the content of any of the files.
fn fingerprint(base: &Path, files: &[PathBuf]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(base).unwrap_or(file).hash(&mut hasher);
        fs::read(file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_follows_content_and_names_but_not_what_is_built() {
        let dir = tempfile::tempdir().unwrap();
        let ui = dir.path();
        let now = || fingerprint(ui, &sources(ui).unwrap()).unwrap();
        fs::create_dir_all(ui.join("src")).unwrap();
        fs::write(ui.join("src/a.ts"), "one").unwrap();
        let first = now();
        fs::create_dir_all(ui.join("node_modules/x")).unwrap();
        fs::write(ui.join("node_modules/x/index.js"), "x").unwrap();
        assert_eq!(now(), first);
        fs::write(ui.join("src/a.ts"), "two").unwrap();
        let second = now();
        assert_ne!(second, first);
        fs::rename(ui.join("src/a.ts"), ui.join("src/b.ts")).unwrap();
        assert_ne!(now(), second);
    }

    #[test]
    fn a_stamp_holds_for_its_value_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let places = Places { root: at("root"), cache: at("cache"), target: at("target") };
        let stamp = Stamp::new(&places, "test", 1);
        assert!(!stamp.is_set());
        stamp.set().unwrap();
        assert!(stamp.is_set());
        assert!(!Stamp::new(&places, "test", 2).is_set());
        assert!(!Stamp::new(&places, "other", 1).is_set());
    }
}
