//! Rust's standard library for Windows. Rustup has it ready where it can be reached. Where it cannot, cargo builds it
//! from its source, which Debian carries as a package (checked by apt like any other), beside a copy of the compiler:
//! cargo looks for the source in the compiler's own folder, and that one is not ours to write to.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Environment, TARGET};
use crate::blocked::Blocked;
use crate::debian::Suite;
use crate::places::{Places, in_path};
use crate::process;
use crate::say;
use crate::stop::Stop;

/// A download of 25 MB.
const RUSTUP_LIMIT: Duration = Duration::from_secs(300);
/// Debian keeps several versions of Rust side by side here.
const SUITE: &str = "trixie-backports";

pub(super) enum StandardLibrary {
    /// The person's own compiler has it.
    Ready,
    /// Built along, by the compiler in this folder, which has the source.
    Source(PathBuf),
}

impl StandardLibrary {
    pub(super) fn provide(places: &Places, folder: &Path, stop: &Stop) -> Result<Self> {
        let compiler = Compiler::find(places)?;
        let copy = folder.join(format!("rust-{}", compiler.version));
        if compiler.has_it() {
            return Ok(Self::Ready);
        }
        if source_of(&copy).join("Cargo.lock").is_file() {
            return Ok(Self::Source(copy));
        }
        if rustup_adds_it(places, stop)? && compiler.has_it() {
            return Ok(Self::Ready);
        }
        compiler.copy_with_source(&copy, folder, stop)?;
        Ok(Self::Source(copy))
    }

    /// The cargo to run, where it is not the usual one.
    pub(super) fn cargo(&self) -> Option<PathBuf> {
        match self {
            Self::Ready => None,
            Self::Source(copy) => Some(copy.join("bin/cargo")),
        }
    }

    pub(super) fn sources(&self) -> Option<PathBuf> {
        match self {
            Self::Ready => None,
            Self::Source(copy) => Some(source_of(copy)),
        }
    }

    pub(super) fn flags(&self) -> &'static [&'static str] {
        match self {
            Self::Ready => &[],
            Self::Source(_) => &["-Zbuild-std=std,panic_unwind"],
        }
    }

    pub(super) fn environment(&self) -> Environment {
        let Self::Source(copy) = self else { return Vec::new() };
        let bin = copy.join("bin");
        let old = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(bin.clone()).chain(std::env::split_paths(&old)));
        vec![
            ("PATH".into(), path.unwrap_or(old)),
            ("RUSTC".into(), bin.join("rustc").into()),
            ("RUSTDOC".into(), bin.join("rustdoc").into()),
            // The stable compiler takes `-Z` from whoever knows what they ask for.
            ("RUSTC_BOOTSTRAP".into(), OsString::from("1")),
        ]
    }
}

fn source_of(toolchain: &Path) -> PathBuf {
    toolchain.join("lib/rustlib/src/rust/library")
}

/// The compiler that builds everything else here.
struct Compiler {
    sysroot: PathBuf,
    version: String,
}

impl Compiler {
    fn find(places: &Places) -> Result<Self> {
        let asked = |args: &[&str]| {
            process::output(Command::new("rustc").args(args).current_dir(&places.root)).context("rustc does not answer")
        };
        let version = asked(&["--version"])?;
        let version = version.split_whitespace().nth(1).context("rustc has no version")?.to_owned();
        Ok(Self { sysroot: asked(&["--print", "sysroot"])?.into(), version })
    }

    fn has_it(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    /// Takes its place only when it is whole.
    fn copy_with_source(&self, copy: &Path, folder: &Path, stop: &Stop) -> Result<()> {
        let work = folder.join("new");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work)?;
        let source = self.source(&work, stop)?;
        let draft = work.join("rust");
        link_folder(&self.sysroot, &draft)?;
        let place = source_of(&draft);
        fs::create_dir_all(place.parent().context("a folder of a folder")?)?;
        // The person's compiler may have had an older one.
        let _ = fs::remove_dir_all(&place);
        fs::rename(&source, &place)?;
        let _ = fs::remove_dir_all(copy);
        fs::rename(&draft, copy).with_context(|| format!("cannot write {}", copy.display()))?;
        Ok(fs::remove_dir_all(&work)?)
    }

    /// The folder `library` of this very version, out of Debian's package.
    fn source(&self, work: &Path, stop: &Stop) -> Result<PathBuf> {
        say::step(&format!("Getting the source of Rust {}'s standard library (45 MB, once)", self.version));
        let suite = Suite::open(SUITE, work, stop).map_err(|error| self.blocked(&format!("{error:#}")))?;
        let package = package_of(&suite.versions("rust-src"), &self.version);
        let package = package.ok_or_else(|| self.blocked(&format!("{SUITE} has no rust-src {}", self.version)))?;
        suite.unpack(&[&format!("rust-src={package}")], &work.join("src"), stop)?;
        let library = work.join("src/usr/src").join(format!("rustc-{}", self.version)).join("library");
        ensure!(library.join("Cargo.lock").is_file(), "the package rust-src is laid out in another way");
        Ok(library)
    }

    fn blocked(&self, why: &str) -> anyhow::Error {
        let message = format!("no standard library for {TARGET}: rustup could not add it, and {why}");
        let hint = format!("run `rustup target add {TARGET}` where rustup's server can be reached, then this again");
        Blocked::error(message, hint)
    }
}

fn rustup_adds_it(places: &Places, stop: &Stop) -> Result<bool> {
    if in_path("rustup").is_none() {
        return Ok(false);
    }
    say::step(&format!("Adding {TARGET} to Rust"));
    let mut add = process::command("rustup");
    add.args(["target", "add", TARGET]).current_dir(&places.root);
    let added = process::status(add, RUSTUP_LIMIT, stop);
    if stop.asked() {
        return added.map(|_| false);
    }
    let added = added.is_ok_and(|status| status.success());
    if !added {
        say::note("rustup cannot get it; building it from Debian's source instead");
    }
    Ok(added)
}

/// The package whose version is the compiler's, in the lines `rust-src | 1.95.0+dfsg1-2~bpo13+1 | …`.
fn package_of(listed: &str, version: &str) -> Option<String> {
    let packages = listed.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    let matches = |package: &&str| package.strip_prefix(version).is_some_and(|rest| rest.starts_with(['+', '-', '~']));
    packages.filter(matches).max().map(str::to_owned)
}

/// The same folder once more, of hard links where the file system allows.
fn link_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let failed = |path: &Path| format!("cannot copy {}", path.display());
    for entry in fs::read_dir(from).with_context(|| failed(from))? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let place = to.join(path.file_name().context("a file in a folder has a name")?);
        if kind.is_dir() {
            link_folder(&path, &place)?;
        } else if kind.is_symlink() {
            copy_link(&path, &place).with_context(|| failed(&path))?;
        } else if fs::hard_link(&path, &place).is_err() {
            fs::copy(&path, &place).with_context(|| failed(&path))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

#[cfg(not(unix))]
fn copy_link(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_of_the_very_version() {
        let listed = " rust-src | 1.96.1+dfsg1-1~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64\n\
                       rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64\n\
                       rust-src | 1.95.0+dfsg1-1~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64\n";
        assert_eq!(package_of(listed, "1.95.0").as_deref(), Some("1.95.0+dfsg1-2~bpo13+1"));
        for other in ["1.95", "1.9", "1.94.0", "1.95.01"] {
            assert_eq!(package_of(listed, other), None, "{other}");
        }
        assert_eq!(package_of("", "1.95.0"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_copied_with_its_links() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("lib/deep")).unwrap();
        fs::write(from.join("lib/deep/file"), "text").unwrap();
        std::os::unix::fs::symlink("deep/file", from.join("lib/link")).unwrap();
        link_folder(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("lib/link")).unwrap(), "text");
        assert_eq!(fs::read_link(to.join("lib/link")).unwrap(), Path::new("deep/file"));
        // What is taken out of the copy stays in the original.
        fs::remove_file(to.join("lib/deep/file")).unwrap();
        assert_eq!(fs::read_to_string(from.join("lib/deep/file")).unwrap(), "text");
    }
}
