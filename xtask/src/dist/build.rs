//! Builds programs to give away: for any machine of their kind, and the same bytes wherever they are built.
//!
//! What differs between two builds of one commit is paths and times. Paths are named anew by the compilers, the time is
//! that of the commit (`SOURCE_DATE_EPOCH`, by which cc, the web page's embedding and we go).

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::manifest::System;
use super::pack::Moment;
use super::vulkan::{self, Sdk};
use crate::binaries::{self, Profile};
use crate::places::Places;
use crate::process;
use crate::say;
use crate::stop::Stop;
use crate::system::Consent;
use crate::windows::{CrossBuild, Flags};

/// What llama.cpp may use of a processor: AVX2 and what came with it (2013), and nothing later. All are said, because
/// what it takes by itself depends on how it is built. A node says so where a processor has less.
const INSTRUCTIONS: [(&str, &str); 11] = [
    ("GGML_SSE42", "ON"),
    ("GGML_AVX", "ON"),
    ("GGML_AVX2", "ON"),
    ("GGML_FMA", "ON"),
    ("GGML_F16C", "ON"),
    ("GGML_BMI2", "ON"),
    ("GGML_AVX_VNNI", "OFF"),
    ("GGML_AVX512", "OFF"),
    ("GGML_AVX512_VBMI", "OFF"),
    ("GGML_AVX512_VNNI", "OFF"),
    ("GGML_AVX512_BF16", "OFF"),
];

/// Everything from nothing, with Vulkan's shaders, on two cores that have other work.
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// How to build.
pub(crate) struct Builder<'a> {
    pub(crate) places: &'a Places,
    pub(crate) profile: Profile,
    pub(crate) moment: Moment,
    /// What the node's Vulkan backend is built with, where it is to have one.
    pub(crate) vulkan: Option<Sdk>,
    pub(crate) consent: Consent,
    pub(crate) stop: &'a Stop,
}

impl Builder<'_> {
    /// Builds the programs in the folder `work` and returns the folder that they lie in.
    pub(crate) fn programs(&self, system: System, programs: &[&str], work: &Path) -> Result<PathBuf> {
        let mut cargo = self.cargo("build", system, work)?;
        cargo.args(["--locked", "--bins"]);
        for program in programs {
            cargo.args(["-p", program]);
        }
        if self.vulkan.is_some() {
            cargo.args(["--features", "starling-node/vulkan"]);
        }
        let folder = work.join(super::rust_name(system)).join(self.profile.folder());
        say::step(&format!("Building for {} in {}", super::word(system), folder.display()));
        let status = process::status(cargo, LIMIT, self.stop)?;
        ensure!(status.success(), "the programs for {} could not be built ({status})", super::word(system));
        Ok(folder)
    }

    /// `cargo VERB` for a system, with all that makes its output the same everywhere.
    pub(crate) fn cargo(&self, verb: &str, system: System, work: &Path) -> Result<Command> {
        let at_home = if cfg!(windows) { System::Windows } else { System::Linux };
        let mut cargo = match system == at_home {
            true => self.native(verb, work)?,
            false => {
                let cross = CrossBuild::provide(self.places, self.consent, self.stop)?;
                let flags = neutral(&self.private(work, cross.sources())?);
                let mut cargo = cross.cargo(self.places, verb, work, &flags);
                // Some have names with a random part: those of libraries that rustc makes for GNU's linker as it goes.
                cargo.env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
                cargo
            }
        };
        if self.profile == Profile::Release {
            cargo.arg("--release");
        }
        if let Some(sdk) = &self.vulkan {
            cargo.env(vulkan::VARIABLE, sdk.folder());
        }
        cargo.envs(INSTRUCTIONS).env("SOURCE_DATE_EPOCH", self.moment.0.to_string()).env("CARGO_INCREMENTAL", "0");
        Ok(cargo)
    }

    fn native(&self, verb: &str, work: &Path) -> Result<Command> {
        let mut flags = neutral(&self.private(work, None)?);
        if cfg!(target_env = "msvc") {
            // Its runtime library inside; no time in the program; Microsoft's compiler names no paths anew.
            flags.rust.extend(["-Ctarget-feature=+crt-static", "-Clink-arg=/Brepro"].map(str::to_owned));
            flags.c.clear();
        } else {
            let whole = whole_libraries(work)?;
            // Once more at the end: a linker does not look back.
            let last = ["stdc++", "m", "c"].map(|name| format!("-Clink-arg=-l{name}"));
            flags.rust.push(format!("-Clink-arg=-L{}", whole.display()));
            flags.rust.extend(last);
        }
        let mut cargo = binaries::cargo(self.places);
        cargo.env("CARGO_TARGET_DIR", work).args([verb, "--target", NATIVE]);
        let (upper, lower) = (NATIVE.to_uppercase().replace('-', "_"), NATIVE.replace('-', "_"));
        cargo.env(format!("CARGO_TARGET_{upper}_RUSTFLAGS"), flags.rust.join(" "));
        if !flags.c.is_empty() {
            cargo.env(format!("CFLAGS_{lower}"), flags.c.join(" "));
            cargo.env(format!("CXXFLAGS_{lower}"), flags.c.join(" "));
        }
        Ok(cargo)
    }

    /// Folders that are this machine's own business, and what they are called in programs.
    fn private(&self, work: &Path, std: Option<PathBuf>) -> Result<Vec<(PathBuf, &'static str)>> {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
        let home = home.context("this user has no home folder")?;
        // Of several that fit rustc takes the last.
        let mut folders = vec![(home, "/cargo"), (self.places.root.clone(), "/starling"), (work.into(), "/build")];
        folders.extend(std.map(|std| (std, "/rust/library")));
        folders.extend(self.vulkan.as_ref().map(|sdk| (sdk.folder().to_path_buf(), "/vulkan")));
        Ok(folders)
    }
}

#[cfg(windows)]
const NATIVE: &str = "x86_64-pc-windows-msvc";
#[cfg(not(windows))]
const NATIVE: &str = "x86_64-unknown-linux-gnu";

/// Flags by which compilers call folders by other names. A name with a space would fall apart in them.
fn neutral(folders: &[(PathBuf, &str)]) -> Flags {
    let names = folders.iter().map(|(folder, name)| (folder.display().to_string(), name));
    let names: Vec<_> = names.filter(|(folder, _)| !folder.contains(char::is_whitespace)).collect();
    Flags {
        rust: names.iter().map(|(folder, name)| format!("--remap-path-prefix={folder}={name}")).collect(),
        c: names.iter().map(|(folder, name)| format!("-ffile-prefix-map={folder}={name}")).collect(),
    }
}

/// A folder with C++'s library as a whole, which goes into the program: a linker would take the shared one, of the
/// version that this machine has.
fn whole_libraries(work: &Path) -> Result<PathBuf> {
    let folder = work.join("whole");
    std::fs::create_dir_all(&folder)?;
    let mut ask = Command::new("c++");
    ask.arg("-print-file-name=libstdc++.a");
    let library = PathBuf::from(process::output(&mut ask).context("the C++ compiler does not answer")?);
    std::fs::copy(&library, folder.join("libstdc++.a"))
        .with_context(|| format!("the C++ compiler has no {}", library.display()))?;
    Ok(folder)
}

/// The time of the checked-out commit, or the one that the environment states.
pub(crate) fn moment(places: &Places) -> Result<Moment> {
    let stated = env::var_os("SOURCE_DATE_EPOCH").map(OsString::into_string);
    let text = match stated {
        Some(text) => text.ok(),
        None => {
            process::output(Command::new("git").args(["show", "-s", "--format=%ct", "HEAD"]).current_dir(&places.root))
        }
    };
    let seconds = text.and_then(|text| text.trim().parse().ok());
    seconds.map(Moment).ok_or_else(|| {
        let message = "there is no commit here that could say what time goes into the packages";
        crate::blocked::Blocked::error(message, "set SOURCE_DATE_EPOCH to seconds since 1970")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_get_other_names_in_both_languages() {
        let folders = [(PathBuf::from("/home/me/.cargo"), "/cargo"), (PathBuf::from("/my code"), "/starling")];
        let flags = neutral(&folders);
        assert_eq!(flags.rust, ["--remap-path-prefix=/home/me/.cargo=/cargo"]);
        assert_eq!(flags.c, ["-ffile-prefix-map=/home/me/.cargo=/cargo"]);
    }
}
