//! What llama.cpp's Vulkan backend is built with, in one folder laid out as Vulkan's SDK is: headers, and the compiler of
//! shaders.
//!
//! Shaders for the tensor cores of graphics cards need a compiler and headers of 2025. Debian 13 has them, and the
//! compiler brings the libraries along that it runs with, so that the system here may be older. Of Vulkan's own library
//! nothing is linked (`starling-inference` looks for it when it runs): what linkers find in its place is empty.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::blocked::Blocked;
use crate::debian::Suite;
use crate::places::Places;
use crate::process;
use crate::say;
use crate::stop::Stop;
use crate::system::{self, Consent, Need};

/// Where llama.cpp's build looks for it.
pub(super) const VARIABLE: &str = "VULKAN_SDK";
const SUITE: &str = "trixie";
/// The compiler of shaders, and everything that it is linked against.
const COMPILER: [&str; 5] = ["glslc", "libshaderc1", "libc6", "libstdc++6", "libgcc-s1"];
const HEADERS: [&str; 2] = ["libvulkan-dev", "spirv-headers"];
/// Starts the compiler with its own libraries, whichever the system has.
const GLSLC: &str = "#!/bin/sh\n# Made by `cargo xtask`.\n\
    usr=\"${0%/*}/../compiler/usr\"\nlib=\"$usr/lib/x86_64-linux-gnu\"\n\
    exec \"$lib/ld-linux-x86-64.so.2\" --library-path \"$lib\" \"$usr/bin/glslc\" \"$@\"\n";
/// By the names that linkers for Linux and for Windows ask for.
const LIBRARIES: [&str; 2] = ["lib/libvulkan.a", "Lib/libvulkan-1.a"];
/// Where CMake looks when it builds for Windows, to which these are the same.
#[cfg(unix)]
const FOR_WINDOWS: [(&str, &str); 2] = [("Include", "include"), ("Bin", "bin")];
/// Debian's, and LunarG's.
const LICENCES: [(&str, &str); 3] = [
    ("Vulkan-Headers", "share/doc/libvulkan-dev/copyright"),
    ("SPIRV-Headers", "share/doc/spirv-headers/copyright"),
    ("Vulkan SDK", "LICENSE.txt"),
];
const EMPTY_LIBRARY: &str = "!<arch>\n";

#[derive(Clone, Debug)]
pub(crate) struct Sdk(PathBuf);

impl Sdk {
    /// Fetches what is missing: from nothing 25 MB.
    pub(crate) fn provide(places: &Places, consent: Consent, stop: &Stop) -> Result<Self> {
        if cfg!(windows) {
            return Self::of_the_person();
        }
        let folder = places.cache.join("vulkan").join(SUITE);
        if !folder.is_dir() {
            system::provide(&[Need::DebianKeys], consent, stop)?;
            say::step("Getting Vulkan's headers and the compiler of its shaders (25 MB, once)");
            make(&folder, stop)?;
        }
        Ok(Self(folder))
    }

    /// The one by LunarG, whose installer sets the variable.
    fn of_the_person() -> Result<Self> {
        let folder = std::env::var_os(VARIABLE).map(PathBuf::from).filter(|folder| folder.is_dir());
        folder.map(Self).ok_or_else(|| {
            Blocked::error("Vulkan's SDK is missing", "install it from https://vulkan.lunarg.com, then run this again")
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Of the headers, since code of theirs is in the program.
    pub(super) fn licences(&self) -> Result<String> {
        let mut text = String::new();
        for (name, file) in LICENCES {
            let path = self.0.join(file);
            // One SDK has a file for each work, another a single one for all.
            if !path.is_file() {
                continue;
            }
            let licence = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            text += &format!("\n{}\n{name}\n\n{licence}", "=".repeat(100));
        }
        ensure!(!text.is_empty(), "{} has no licence in it", self.0.display());
        Ok(text)
    }
}

/// Takes its place only when it is whole.
fn make(folder: &Path, stop: &Stop) -> Result<()> {
    let work = folder.with_extension("new");
    let _ = fs::remove_dir_all(&work);
    let sdk = work.join("sdk");
    fs::create_dir_all(&sdk)?;
    let suite = Suite::open(SUITE, &work, stop).context("Vulkan's headers cannot be had")?;
    suite.unpack(&COMPILER, &sdk.join("compiler"), stop)?;
    suite.unpack(&HEADERS, &work.join("headers"), stop)?;
    for part in ["include", "share"] {
        fs::rename(work.join("headers/usr").join(part), sdk.join(part))?;
    }
    lay_out(&sdk)?;
    let asked = process::output(process::command(sdk.join("bin/glslc")).arg("--version"));
    asked.context("the compiler of shaders does not run here")?;
    fs::rename(&sdk, folder).with_context(|| format!("cannot write {}", folder.display()))?;
    Ok(fs::remove_dir_all(&work)?)
}

/// What no package has.
fn lay_out(sdk: &Path) -> Result<()> {
    for library in LIBRARIES {
        write(&sdk.join(library), EMPTY_LIBRARY)?;
    }
    let glslc = sdk.join("bin/glslc");
    write(&glslc, GLSLC)?;
    #[cfg(unix)]
    {
        fs::set_permissions(&glslc, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        for (name, folder) in FOR_WINDOWS {
            std::os::unix::fs::symlink(folder, sdk.join(name))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// A stand-in for the compiler's own loader says how it was started.
    #[test]
    fn the_compiler_runs_with_its_own_libraries_wherever_the_folder_lies() {
        let dir = tempfile::tempdir().unwrap();
        let sdk = dir.path().join("with a space");
        lay_out(&sdk).unwrap();
        let lib = sdk.join("compiler/usr/lib/x86_64-linux-gnu");
        let loader = lib.join("ld-linux-x86-64.so.2");
        write(&loader, "#!/bin/sh\nprintf '%s|' \"$@\"\n").unwrap();
        fs::set_permissions(&loader, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let said = process::output(process::command(sdk.join("bin/glslc")).args(["-o", "a b.spv"])).unwrap();
        let words: Vec<&str> = said.split('|').collect();
        assert!(words[0] == "--library-path" && Path::new(words[1]).canonicalize().unwrap() == lib, "{said}");
        assert!(words[2].ends_with("compiler/usr/bin/glslc") && words[3..5] == ["-o", "a b.spv"], "{said}");
    }

    #[test]
    fn the_licences_of_the_headers_come_along() {
        let dir = tempfile::tempdir().unwrap();
        let sdk = Sdk(dir.path().to_owned());
        assert!(sdk.licences().is_err());
        for (name, file) in &LICENCES[..2] {
            write(&dir.path().join(file), &format!("terms of {name}")).unwrap();
        }
        let text = sdk.licences().unwrap();
        assert!(text.contains("\nVulkan-Headers\n\nterms of Vulkan-Headers"), "{text}");
        assert!(text.contains("\nSPIRV-Headers\n\nterms of SPIRV-Headers"), "{text}");
    }

    #[test]
    fn linkers_find_an_empty_library_under_both_names() {
        let dir = tempfile::tempdir().unwrap();
        lay_out(dir.path()).unwrap();
        for library in LIBRARIES {
            assert_eq!(fs::read(dir.path().join(library)).unwrap(), b"!<arch>\n", "{library}");
        }
        assert!(dir.path().join("Bin/glslc").is_file(), "for Windows it is found too");
    }
}
