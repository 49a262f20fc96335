//! Builds the three programs with cargo.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::instructions;
use crate::places::Places;
use crate::process;
use crate::say;
use crate::stop::Stop;

/// The programs of a swarm.
pub(crate) const PROGRAMS: [&str; 3] = ["starling-bootstrap", "starling-gateway", "starling-node"];

/// Cargo's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// Quick to build: for tests.
    Dev,
    Release,
}

impl Profile {
    /// What cargo calls the folder with its programs.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Builds the packages and returns the folder that their programs lie in.
pub(crate) fn build(places: &Places, profile: Profile, packages: &[&str], stop: &Stop) -> Result<PathBuf> {
    let flags: &[&str] = if profile == Profile::Release { &["--release"] } else { &[] };
    let folder = profile.folder();
    if profile == Profile::Release {
        forget_other_instructions(places, stop)?;
    }
    say::step(&format!("Building {} ({folder})", packages.join(", ")));
    let mut cargo = cargo(places);
    cargo.args(["build", "--bins"]).args(flags);
    if profile == Profile::Release {
        // Release builds are for this computer: `up` and `bench` run them where they were built.
        cargo.envs(instructions::switches());
    }
    for package in packages {
        cargo.args(["-p", package]);
    }
    process::run(cargo, stop)?;
    Ok(places.target.join(folder))
}

/// Cargo does not see that a library was built for another processor, or for any.
fn forget_other_instructions(places: &Places, stop: &Stop) -> Result<()> {
    let folder = places.target.join("release");
    let note = folder.join(".llama-instructions");
    let wanted = instructions::switches().map(|(name, value)| format!("{name}={value}\n")).collect::<String>();
    if std::fs::read_to_string(&note).is_ok_and(|built| built == wanted) {
        return Ok(());
    }
    if folder.join("build").is_dir() {
        let mut clean = cargo(places);
        clean.args(["clean", "--quiet", "--release", "-p", "llama-cpp-sys-2"]);
        process::run(clean, stop)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(note, wanted)?)
}

/// Cargo, in the checkout, with its output where we look for it.
pub(crate) fn cargo(places: &Places) -> Command {
    cargo_of(places, None)
}

/// The same with another toolchain's cargo.
pub(crate) fn cargo_of(places: &Places, program: Option<PathBuf>) -> Command {
    let program = program.map(PathBuf::into_os_string).or_else(|| env::var_os("CARGO"));
    let mut command = process::command(program.unwrap_or_else(|| "cargo".into()));
    command.current_dir(&places.root).env("CARGO_TARGET_DIR", &places.target);
    // What `cargo run` tells us about our own package is wrong for the packages built from here.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
