//! Debian's mingw-w64 in the form that llama.cpp needs: with POSIX threads, since before GCC 13 the other has no
//! `std::thread`.
//!
//! Its C++ and thread libraries come both as DLLs and whole. A linker takes the DLL where it sees both, and nobody has
//! those DLLs: so it is shown a folder first in which only the whole ones lie.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Environment, TARGET_VARIABLE};
use crate::process;

const PREFIX: &str = "x86_64-w64-mingw32";
/// What goes into the programs, under the names that linkers ask for.
const WHOLE: [(&str, &str); 4] = [
    ("libstdc++.a", "libstdc++.a"),
    ("libwinpthread.a", "libwinpthread.a"),
    ("libwinpthread.a", "libpthread.a"),
    ("libgcc_eh.a", "libgcc_s.a"),
];
/// What llama.cpp uses and Debian 12's headers lack.
const GAPS: &str = include_str!("mingw_gaps.h");
/// What CMake reads besides when it comes to ggml.
const CMAKE: &str = include_str!("ggml.cmake");

pub(super) struct Mingw {
    gaps: PathBuf,
    cmake: PathBuf,
    linker: PathBuf,
}

impl Mingw {
    pub(super) fn prepare(folder: &Path) -> Result<Self> {
        let folder = folder.join("mingw");
        let whole = folder.join("lib");
        fs::create_dir_all(&whole)?;
        for (from, to) in WHOLE {
            let library = library(from)?;
            let to = whole.join(to);
            fs::copy(&library, &to)
                .with_context(|| format!("cannot copy {} to {}", library.display(), to.display()))?;
        }
        let (gaps, cmake, linker) = (folder.join("mingw_gaps.h"), folder.join("ggml.cmake"), folder.join("linker"));
        write_if_new(&gaps, GAPS)?;
        write_if_new(&cmake, CMAKE)?;
        write_if_new(&linker, &linker_script(&whole))?;
        #[cfg(unix)]
        fs::set_permissions(&linker, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { gaps, cmake, linker })
    }

    /// What cargo, cc, cmake and bindgen ask for.
    pub(super) fn environment(&self, further: &[String]) -> Environment {
        let flags = format!("-include {} {}", self.gaps.display(), further.join(" "));
        let name = TARGET_VARIABLE.to_lowercase();
        vec![
            (format!("CARGO_TARGET_{TARGET_VARIABLE}_LINKER"), self.linker.clone().into()),
            ("CMAKE_PROJECT_ggml_INCLUDE".into(), self.cmake.clone().into()),
            (format!("CC_{name}"), compiler("gcc").into()),
            (format!("CXX_{name}"), compiler("g++").into()),
            (format!("AR_{name}"), compiler("gcc-ar").into()),
            (format!("CFLAGS_{name}"), flags.clone().into()),
            (format!("CXXFLAGS_{name}"), flags.into()),
            (
                format!("BINDGEN_EXTRA_CLANG_ARGS_{name}"),
                format!("--sysroot=/usr/{PREFIX} -I/usr/{PREFIX}/include").into(),
            ),
        ]
    }
}

/// The C compiler, for a file of our own.
#[cfg(target_os = "linux")]
pub(super) fn compile() -> Command {
    process::command(compiler("gcc"))
}

pub(super) fn compiler(tool: &str) -> String {
    format!("{PREFIX}-{tool}-posix")
}

/// Without the time of the build in the program. C++'s libraries come last, and with them what they need in turn: who needs
/// them is not always named before them, and a linker does not look back.
fn linker_script(whole: &Path) -> String {
    const LAST: [&str; 9] =
        ["stdc++", "winpthread", "gcc", "gcc_eh", "mingwex", "mingw32", "msvcrt", "user32", "kernel32"];
    let (gcc, whole, last) = (compiler("gcc"), whole.display(), LAST.map(|name| format!("-l{name}")).join(" "));
    format!(
        "#!/bin/sh\n# Made by `cargo xtask`.\n\
         exec {gcc} '-L{whole}' -Wl,--no-insert-timestamp \"$@\" -Wl,--start-group {last} -Wl,--end-group\n"
    )
}

/// Where the compiler finds one of its libraries.
fn library(name: &str) -> Result<PathBuf> {
    let mut ask = Command::new(compiler("gcc"));
    ask.arg(format!("-print-file-name={name}"));
    let path = PathBuf::from(process::output(&mut ask).context("mingw-w64's compiler cannot be started")?);
    ensure!(path.is_file(), "mingw-w64 has no {name}");
    Ok(path)
}

/// A file that is left alone stays as old as it is, and nothing is built again for it.
fn write_if_new(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
