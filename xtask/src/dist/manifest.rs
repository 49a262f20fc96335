//! `release.json`: what belongs to a release, with the checksum of each file. It alone is signed; who has checked its
//! signature can check everything else by it.
//!
//! Names are never taken from a folder or a manifest as they are: the only ones are those that [`PACKAGES`] makes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::digest::digest;

pub(crate) const MANIFEST: &str = "release.json";
pub(crate) const CHECKSUMS: &str = "SHA256SUMS";
/// The only kind of processor that we pack for.
pub(crate) const ARCH: &str = "x86_64";

/// A manifest has a line for each package; this is far beyond.
const MANIFEST_BYTES: u64 = 64 * 1024;

/// What a package is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum System {
    Linux,
    Windows,
}

/// How a package is unpacked: by anybody, or by Debian's dpkg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Archive,
    Deb,
}

/// One file of a release, but for its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) program: &'static str,
    pub(crate) system: System,
    pub(crate) kind: Kind,
}

/// Every file that a release can have.
pub(crate) const PACKAGES: [Package; 6] = [
    Package { program: "starling-gateway", system: System::Linux, kind: Kind::Archive },
    Package { program: "starling-gateway", system: System::Linux, kind: Kind::Deb },
    Package { program: "starling-gateway", system: System::Windows, kind: Kind::Archive },
    Package { program: "starling-node", system: System::Linux, kind: Kind::Archive },
    Package { program: "starling-node", system: System::Linux, kind: Kind::Deb },
    Package { program: "starling-node", system: System::Windows, kind: Kind::Archive },
];

/// The whole file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: String,
    /// Sorted by name.
    pub(crate) files: Vec<Entry>,
}

/// One file of a release.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) program: String,
    pub(crate) system: System,
    pub(crate) arch: String,
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    /// Of the file, in hexadecimal digits.
    pub(crate) sha256: String,
}

impl Package {
    /// Its file's name in a release.
    pub(crate) fn file_name(&self, version: &str) -> String {
        let program = self.program;
        match (self.kind, self.system) {
            (Kind::Deb, _) => format!("{program}_{version}_amd64.deb"),
            (Kind::Archive, System::Linux) => format!("{program}-{version}-{ARCH}-linux.tar.gz"),
            (Kind::Archive, System::Windows) => format!("{program}-{version}-{ARCH}-windows.zip"),
        }
    }
}

impl Manifest {
    /// Of those packages of this version that lie in a folder.
    pub(crate) fn of(folder: &Path, version: &str) -> Result<Self> {
        check_version(version)?;
        let present = PACKAGES.iter().filter(|package| folder.join(package.file_name(version)).is_file());
        let mut files = present.map(|package| Entry::of(package, folder, version)).collect::<Result<Vec<_>>>()?;
        files.sort_by(|one, other| one.name.cmp(&other.name));
        ensure!(!files.is_empty(), "{} holds no package of version {version}", folder.display());
        Ok(Self { version: version.to_owned(), files })
    }

    /// Reads it and holds it against the files beside it.
    pub(crate) fn check(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let failed = || format!("cannot read {}", path.display());
        ensure!(fs::metadata(&path).with_context(failed)?.len() <= MANIFEST_BYTES, "{} is too long", path.display());
        let stated: Self = serde_json::from_slice(&fs::read(&path).with_context(failed)?).with_context(failed)?;
        let found = Self::of(folder, &stated.version)?;
        if stated == found {
            return Ok(stated);
        }
        let differs = stated.files.iter().find(|entry| !found.files.contains(entry));
        let name = differs.map_or("a file that it does not name", |entry| &entry.name);
        bail!("{} does not fit what lies beside it: {name:?}", path.display())
    }

    /// Writes it and the list that `sha256sum --check` reads.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string(self)? + "\n";
        let sums = self.files.iter().map(|entry| format!("{}  {}\n", entry.sha256, entry.name)).collect::<String>();
        for (name, text) in [(MANIFEST, text), (CHECKSUMS, sums)] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

impl Entry {
    fn of(package: &Package, folder: &Path, version: &str) -> Result<Self> {
        let name = package.file_name(version);
        let (bytes, sha256) = digest(&folder.join(&name))?;
        let (system, kind) = (package.system, package.kind);
        Ok(Self { name, program: package.program.to_owned(), system, arch: ARCH.to_owned(), kind, bytes, sha256 })
    }
}

/// It becomes part of names.
fn check_version(version: &str) -> Result<()> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || ".+-".contains(character);
    let good = version.starts_with(|first: char| first.is_ascii_digit()) && version.len() <= 64;
    ensure!(good && version.chars().all(allowed), "{version:?} is no version");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for package in PACKAGES {
            fs::write(dir.path().join(package.file_name("1.2.3")), package.program).unwrap();
        }
        dir
    }

    #[test]
    fn it_is_what_the_contract_says() {
        let dir = folder();
        // What others may lie there.
        fs::write(dir.path().join("starling-node-1.2.2-x86_64-linux.tar.gz"), "old").unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        let manifest = Manifest::of(dir.path(), "1.2.3").unwrap();
        manifest.write(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join(MANIFEST)).unwrap();
        let sum = "77e22800726c0dd48b414715b26f160fa20fb3779f4c6f17c0462237d28e9304";
        let entry = format!(
            r#"{{"name":"starling-node-1.2.3-x86_64-linux.tar.gz","program":"starling-node","system":"linux","arch":"x86_64","kind":"archive","bytes":13,"sha256":"{sum}"}}"#
        );
        assert!(text.starts_with(r#"{"version":"1.2.3","files":[{"name":"#) && text.ends_with("]}\n"), "{text}");
        assert!(text.contains(&entry), "{text}");
        let names: Vec<&str> = manifest.files.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names.len(), 6);
        assert!(names.is_sorted());
        assert!(names.contains(&"starling-gateway_1.2.3_amd64.deb"));
        assert!(names.contains(&"starling-node-1.2.3-x86_64-windows.zip"));
        let sums = fs::read_to_string(dir.path().join(CHECKSUMS)).unwrap();
        assert!(sums.contains(&format!("{sum}  starling-node-1.2.3-x86_64-linux.tar.gz\n")), "{sums}");
    }

    #[test]
    fn it_holds_only_for_the_files_that_it_was_made_of() {
        let dir = folder();
        assert!(Manifest::check(dir.path()).is_err(), "there is none");
        let manifest = Manifest::of(dir.path(), "1.2.3").unwrap();
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::check(dir.path()).unwrap(), manifest);
        let changed = dir.path().join(&manifest.files[0].name);
        fs::write(&changed, "another").unwrap();
        let error = Manifest::check(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&manifest.files[0].name), "{error}");
        fs::remove_file(&changed).unwrap();
        assert!(Manifest::check(dir.path()).is_err());
        Manifest::of(dir.path(), "1.2.3").unwrap().write(dir.path()).unwrap();
        assert_eq!(Manifest::check(dir.path()).unwrap().files.len(), 5);
    }

    #[test]
    fn hostile_names_and_versions_are_refused() {
        let dir = folder();
        let write = |version: &str, name: &str| {
            let mut manifest = Manifest::of(dir.path(), "1.2.3").unwrap();
            manifest.version = version.into();
            manifest.files[0].name = name.into();
            manifest.write(dir.path()).unwrap();
        };
        for name in ["../outside", "/etc/passwd", "a\nb", "", "starling-node.exe"] {
            write("1.2.3", name);
            assert!(Manifest::check(dir.path()).is_err(), "{name:?}");
        }
        for version in ["", "../1", "1/2", "v1", "1 2", "1\n", &"1".repeat(65)] {
            write(version, "x");
            assert!(Manifest::check(dir.path()).is_err(), "{version:?}");
            assert!(Manifest::of(dir.path(), version).is_err(), "{version:?}");
        }
        fs::write(dir.path().join(MANIFEST), vec![b' '; MANIFEST_BYTES as usize + 1]).unwrap();
        assert!(Manifest::check(dir.path()).unwrap_err().to_string().contains("too long"));
    }
}
