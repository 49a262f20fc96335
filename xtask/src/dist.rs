//! `cargo xtask dist`: what people download, made from this checkout: archives, Debian packages, their checksums.
//!
//! Two builds of one commit by the same tools give the same bytes; `--twice` shows it.

pub(crate) mod build;
mod contents;
mod licences;
pub(crate) mod manifest;
mod needs;
mod pack;
mod tree;
mod vulkan;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::binaries::{PROGRAMS, Profile};
use crate::digest::digest;
use crate::node_js::NodeJs;
use crate::places::Places;
use crate::say;
use crate::stop::Stop;
use crate::system::{self, Consent};
use crate::{ui, windows};
use build::Builder;
use contents::Parts;
use manifest::{Kind, Manifest, PACKAGES, System};
use pack::Moment;

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Args)]
pub(crate) struct Options {
    /// For which system [default: this one].
    #[arg(long, value_enum)]
    target: Option<System>,
    /// Where the packages go [default: `dist` in cargo's target folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build everything twice, in two folders, and say what differs.
    #[arg(long)]
    twice: bool,
    /// Take the programs from this folder instead of building them.
    #[arg(long, value_name = "DIR", conflicts_with = "twice")]
    programs: Option<PathBuf>,
    /// Build nothing: only write the checksums of the packages that lie there already.
    #[arg(long, conflicts_with_all = ["target", "twice", "programs"])]
    checksums: bool,
    /// Install missing system packages without asking (so does CI=true).
    #[arg(long)]
    yes: bool,
    /// For trying it out: quick to build, slow to run.
    #[arg(long, value_enum, default_value_t = Profile::Release, hide = true)]
    profile: Profile,
}

pub(crate) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let places = Places::find()?;
    let out = match &options.out {
        Some(dir) => std::path::absolute(dir)?,
        None => places.target.join("dist"),
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    if !options.checksums {
        pack(options, &places, &out, stop)?;
    }
    let manifest = Manifest::of(&out, VERSION)?;
    manifest.write(&out)?;
    for entry in &manifest.files {
        say::fact(&format!("packed {} {} {}", entry.name, entry.bytes, entry.sha256));
    }
    say::note(&format!("in {}", out.display()));
    Ok(())
}

fn pack(options: &Options, places: &Places, out: &Path, stop: &Stop) -> Result<()> {
    let system = options.target.unwrap_or(if cfg!(windows) { System::Windows } else { System::Linux });
    if !cfg!(target_arch = "x86_64") || (cfg!(windows) && system == System::Linux) {
        bail!("packages are made on x86_64: those for Linux on Linux, those for Windows on either");
    }
    let consent = Consent::from(options.yes);
    let moment = build::moment(places)?;
    system::provide(NodeJs::needs(), consent, stop)?;
    let node = NodeJs::provide(places, consent, stop)?;
    // Also for a page that is built: the licences of its libraries lie with them.
    ui::install(places, &node, stop)?;
    let sdk = vulkan::Sdk::provide(places, consent, stop)?;
    let write = |programs: &Path, out: &Path| write_packages(places, (programs, &sdk), system, out, moment);
    if let Some(programs) = &options.programs {
        return write(programs, out);
    }
    system::provide(&system::TO_BUILD, consent, stop)?;
    ui::build(places, &node, stop)?;
    let vulkan = Some(sdk.clone());
    let builder = Builder { places, profile: options.profile, moment, vulkan, consent, stop };
    let started = Instant::now();
    let programs = builder.programs(system, &PROGRAMS, &work_folder(places))?;
    say::note(&format!("built in {} s", started.elapsed().as_secs()));
    for program in PROGRAMS {
        needs::check(system, &programs.join(file_name(system, program)))?;
    }
    write(&programs, out)?;
    if !options.twice {
        return Ok(());
    }
    let again = builder.programs(system, &PROGRAMS, &places.target.join("dist-build-again"))?;
    let second = tempfile::tempdir_in(&places.target)?;
    write(&again, second.path())?;
    compare(out, second.path(), system)
}

/// Where packages are built. The tests under wine take the programs from here too: those that people get.
pub(crate) fn work_folder(places: &Places) -> PathBuf {
    places.target.join("dist-build")
}

fn write_packages(
    places: &Places,
    (programs, sdk): (&Path, &vulkan::Sdk),
    system: System,
    out: &Path,
    moment: Moment,
) -> Result<()> {
    for package in PACKAGES.into_iter().filter(|package| package.system == system) {
        let mut licences = licences::text(places, package.program, rust_name(system))?;
        if package.program == "starling-node" {
            licences += &sdk.licences()?;
        }
        let parts = Parts { programs, root: &places.root, version: VERSION, licences: &licences };
        let bytes = match (package.kind, system) {
            (Kind::Deb, _) => {
                let (control, files) = parts.deb(package)?;
                pack::deb(&control, &files, moment)?
            }
            (Kind::Archive, System::Linux) => pack::tar_gz(&parts.archive(package)?, moment)?,
            (Kind::Archive, System::Windows) => pack::zip(&parts.archive(package)?, moment)?,
        };
        let path = out.join(package.file_name(VERSION));
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Names what is not the same in two folders of packages.
fn compare(one: &Path, other: &Path, system: System) -> Result<()> {
    let mut differ = Vec::new();
    for package in PACKAGES.iter().filter(|package| package.system == system) {
        let name = package.file_name(VERSION);
        if digest(&one.join(&name))? != digest(&other.join(&name))? {
            differ.push(name);
        }
    }
    if differ.is_empty() {
        say::fact("two builds are equal");
        return Ok(());
    }
    bail!("two builds of the same commit differ in {}", differ.join(", "))
}

fn file_name(system: System, program: &str) -> String {
    match system {
        System::Linux => program.to_owned(),
        System::Windows => format!("{program}.exe"),
    }
}

/// The system as people write it.
fn word(system: System) -> &'static str {
    match system {
        System::Linux => "Linux",
        System::Windows => "Windows",
    }
}

fn rust_name(system: System) -> &'static str {
    match system {
        System::Linux => "x86_64-unknown-linux-gnu",
        System::Windows if cfg!(windows) => "x86_64-pc-windows-msvc",
        System::Windows => windows::TARGET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of: Vec<manifest::Package> =
            PACKAGES.into_iter().filter(|package| package.system == System::Linux).collect();
        for package in &of {
            for dir in [&one, &other] {
                fs::write(dir.path().join(package.file_name(VERSION)), package.program).unwrap();
            }
        }
        compare(one.path(), other.path(), System::Linux).unwrap();
        let changed = of[1].file_name(VERSION);
        fs::write(other.path().join(&changed), "another").unwrap();
        let error = compare(one.path(), other.path(), System::Linux).unwrap_err().to_string();
        assert!(error.ends_with(&changed), "{error}");
    }
}
