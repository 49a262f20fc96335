//! Packages of a Debian that this system is not: got by apt, checked by apt, and unpacked into a folder. Nothing is
//! installed, the system's own lists stay as they are, and nobody must be root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::places::in_path;
use crate::process;
use crate::stop::Stop;

/// What Debian signs its lists with. Other systems have it as a package of the same name.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Lists of 15 MB at most, and packages of 45.
const LIMIT: Duration = Duration::from_secs(600);

/// A release of Debian, as apt sees it from a folder of ours.
pub(crate) struct Suite<'a> {
    work: &'a Path,
}

impl<'a> Suite<'a> {
    /// Reads the release's lists.
    ///
    /// # Errors
    /// When this system has no apt that could check them, or they cannot be had.
    pub(crate) fn open(name: &str, work: &'a Path, stop: &Stop) -> Result<Self> {
        let tools = ["apt-get", "dpkg-deb"].iter().all(|tool| in_path(tool).is_some());
        ensure!(tools && Path::new(KEYRING).is_file(), "this is no Debian, and has no apt with Debian's keys");
        let source = format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian {name} main\n");
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(work.join("apt").join(folder))?;
        }
        fs::write(work.join("sources.list"), source)?;
        let suite = Self { work };
        suite.run(&["update", "-q"], stop)?;
        Ok(suite)
    }

    /// `PACKAGE | VERSION | …`, a line for each version that there is.
    pub(crate) fn versions(&self, package: &str) -> String {
        process::output(&mut self.command("apt-cache", &["madison", package])).unwrap_or_default()
    }

    /// Gets packages, of the newest version or as `NAME=VERSION`, and lays out what is in them in the folder `to`.
    pub(crate) fn unpack(&self, packages: &[&str], to: &Path, stop: &Stop) -> Result<()> {
        self.run(&[&["download", "-q"], packages].concat(), stop)?;
        for deb in fs::read_dir(self.work)?.flatten().map(|entry| entry.path()).filter(|path| is_package(path)) {
            let mut unpack = process::command("dpkg-deb");
            unpack.arg("-x").arg(&deb).arg(to);
            process::run(unpack, stop)?;
            fs::remove_file(&deb).with_context(|| format!("cannot remove {}", deb.display()))?;
        }
        Ok(())
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = process::command(program);
        let set = |name: &str, place: PathBuf| format!("{name}={}", place.display());
        let lists = set("Dir::State::lists", self.work.join("apt/lists"));
        let cache = set("Dir::Cache", self.work.join("apt/cache"));
        let source = set("Dir::Etc::sourcelist", self.work.join("sources.list"));
        for option in [&lists, &cache, &source, "Dir::Etc::sourceparts=-", "APT::Sandbox::User="] {
            command.args(["-o", option]);
        }
        command.args(args).current_dir(self.work);
        command
    }

    fn run(&self, args: &[&str], stop: &Stop) -> Result<()> {
        let status = process::status(self.command("apt-get", args), LIMIT, stop)?;
        ensure!(status.success(), "`apt-get {}` failed ({status})", args.join(" "));
        Ok(())
    }
}

fn is_package(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "deb")
}
