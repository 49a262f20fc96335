//! What goes into a package, before it is packed: files by name, in one order, with nothing of the machine that packs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Result, bail, ensure};

/// Files by their path inside of a package, which has `/` between its parts and neither begins nor ends with one.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, File>);

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Program,
}

impl File {
    /// As Unix has it.
    pub(crate) fn mode(&self) -> u32 {
        match self.kind {
            Kind::Plain => 0o644,
            Kind::Program => 0o755,
        }
    }
}

impl Tree {
    /// # Errors
    /// When the path is no plain one, or taken.
    pub(crate) fn add(&mut self, path: impl Into<String>, kind: Kind, bytes: impl Into<Vec<u8>>) -> Result<()> {
        let path = path.into();
        check(&path)?;
        match self.0.entry(path) {
            Entry::Occupied(taken) => bail!("{:?} is in the package twice", taken.key()),
            Entry::Vacant(free) => free.insert(File { bytes: bytes.into(), kind }),
        };
        Ok(())
    }

    /// Sorted by path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The folders that the files lie in, each after the one that it lies in itself.
    pub(crate) fn folders(&self) -> Vec<&str> {
        let of = |path: &'_ str| path.match_indices('/').map(|(end, _)| end).collect::<Vec<_>>();
        let mut folders: Vec<&str> =
            self.0.keys().flat_map(|path| of(path).into_iter().map(|end| &path[..end])).collect();
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.values().map(|file| file.bytes.len() as u64).sum()
    }
}

/// A path that means the same on every system, and nothing outside of the folder where it is unpacked.
fn check(path: &str) -> Result<()> {
    let plain = |part: &str| {
        let letters = part.chars().all(|letter| letter.is_ascii_alphanumeric() || "._+-@".contains(letter));
        !part.is_empty() && letters && !part.starts_with('.') && !part.ends_with('.')
    };
    ensure!(path.len() <= 100 && path.split('/').all(plain), "{path:?} cannot be the name of a file in a package");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        let mut tree = Tree::default();
        let long = "a".repeat(101);
        for name in ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "a\\b", "C:x", "a\nb", ".hidden", "x.", &long]
        {
            assert!(tree.add(name, Kind::Plain, "").is_err(), "{name:?}");
        }
        tree.add("usr/bin/program", Kind::Program, "x").unwrap();
        assert!(tree.add("usr/bin/program", Kind::Plain, "y").is_err(), "twice");
    }

    #[test]
    fn folders_come_in_their_order() {
        let mut tree = Tree::default();
        tree.add("usr/share/doc/x/copyright", Kind::Plain, "12").unwrap();
        tree.add("usr/bin/x", Kind::Program, "345").unwrap();
        assert_eq!(tree.folders(), ["usr", "usr/bin", "usr/share", "usr/share/doc", "usr/share/doc/x"]);
        assert_eq!(tree.bytes(), 5);
        let paths: Vec<&str> = tree.files().map(|(path, _)| path).collect();
        assert_eq!(paths, ["usr/bin/x", "usr/share/doc/x/copyright"]);
    }
}
