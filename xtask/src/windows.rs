//! Programs for Windows, built on Linux: Rust's `x86_64-pc-windows-gnu` with Debian's mingw-w64, whose libraries are
//! linked in, so that a program needs Windows' own and nothing beside it.
//!
//! These are the programs that people get: they come from the same machine as those for Linux, again to the same bytes,
//! and are what `cargo xtask test --windows` runs.

mod mingw;
mod standard_library;
#[cfg(target_os = "linux")]
pub(crate) mod wine;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::binaries;
use crate::places::Places;
use crate::stop::Stop;
use crate::system::{self, Consent, Need};
use mingw::Mingw;
use standard_library::StandardLibrary;

/// Rust's name of it.
pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";
/// The same in the names of cargo's variables.
const TARGET_VARIABLE: &str = "X86_64_PC_WINDOWS_GNU";

/// Says what cargo runs the programs with that it has built.
#[cfg(target_os = "linux")]
pub(crate) const RUNNER: &str = "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER";

/// Everything that turns this checkout into programs for Windows.
pub(crate) struct CrossBuild {
    std: StandardLibrary,
    mingw: Mingw,
}

impl CrossBuild {
    /// Installs and fetches what is missing: from nothing some 200 MB, and minutes.
    pub(crate) fn provide(places: &Places, consent: Consent, stop: &Stop) -> Result<Self> {
        system::provide(&[&system::TO_BUILD[..], &[Need::Mingw]].concat(), consent, stop)?;
        let folder = places.cache.join("windows");
        let std = StandardLibrary::provide(places, &folder, stop)?;
        Ok(Self { std, mingw: Mingw::prepare(&folder)? })
    }

    /// `cargo VERB` for Windows, with its output in `target`; `flags` go to the C compilers and rustc besides.
    pub(crate) fn cargo(&self, places: &Places, verb: &str, target: &Path, flags: &Flags) -> Command {
        let mut command = binaries::cargo_of(places, self.std.cargo());
        command.env("CARGO_TARGET_DIR", target).envs(self.std.environment()).envs(self.mingw.environment(&flags.c));
        command.env(format!("CARGO_TARGET_{TARGET_VARIABLE}_RUSTFLAGS"), flags.rust.join(" "));
        command.arg(verb).args(self.std.flags()).args(["--target", TARGET]);
        command
    }

    /// The folder of the standard library's source, where it is built along.
    pub(crate) fn sources(&self) -> Option<PathBuf> {
        self.std.sources()
    }
}

/// The C++ compiler, for files of our own.
#[cfg(target_os = "linux")]
pub(crate) fn cpp_compiler() -> String {
    mingw::compiler("g++")
}

/// Further flags of the compilers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) c: Vec<String>,
    pub(crate) rust: Vec<String>,
}

type Environment = Vec<(String, OsString)>;
