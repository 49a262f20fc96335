//! Which libraries a program needs to start. People are given none beside it: they must be those that every system of its
//! kind has. Vulkan's is not among them, which comes with drivers.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::manifest::System;
use crate::process;

/// glibc's, and the one that belongs to compilers, which no Debian is without.
const LINUX: [&str; 7] =
    ["ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"];
/// What mingw's libraries are called, and Vulkan's. All others are Windows' own.
const NOT_WINDOWS: [&str; 2] = ["lib", "vulkan"];

/// # Errors
/// When a program needs a library that people may not have.
pub(super) fn check(system: System, program: &Path) -> Result<()> {
    if cfg!(windows) {
        // Microsoft's linker is asked for its own runtime library inside, and nothing else here makes a DLL.
        return Ok(());
    }
    let (tool, option) = match system {
        System::Linux => ("readelf", "--dynamic"),
        System::Windows => ("objdump", "--private-headers"),
    };
    let mut ask = process::command(tool);
    ask.env("LC_ALL", "C").arg(option).arg(program);
    let listed = process::output(&mut ask).with_context(|| format!("{tool} cannot read {}", program.display()))?;
    let needed = needed(system, &listed);
    ensure!(!needed.is_empty(), "{tool} names no library that {} needs", program.display());
    let foreign: Vec<&str> = needed.into_iter().filter(|name| is_foreign(system, name)).collect();
    ensure!(foreign.is_empty(), "{} needs {}, which people may not have", program.display(), foreign.join(" and "));
    Ok(())
}

/// In the lines `0x01 (NEEDED) Shared library: [libc.so.6]` or `DLL Name: KERNEL32.dll`.
fn needed(system: System, listed: &str) -> Vec<&str> {
    let name = |line: &'_ str| -> Option<std::ops::Range<usize>> {
        let (before, after) = match system {
            System::Linux => (line.find("(NEEDED)").and_then(|_| line.find('['))? + 1, line.rfind(']')?),
            System::Windows => (line.find("DLL Name: ")? + "DLL Name: ".len(), line.trim_end().len()),
        };
        Some(before..after)
    };
    listed.lines().filter_map(|line| line.get(name(line)?)).collect()
}

fn is_foreign(system: System, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match system {
        System::Linux => !LINUX.contains(&name.as_str()),
        System::Windows => NOT_WINDOWS.iter().any(|start| name.starts_with(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_listed(system: System, listed: &str, expected: &[&str], foreign: &[&str]) {
        let needed = needed(system, listed);
        assert_eq!(needed, expected);
        let found: Vec<&str> = needed.into_iter().filter(|name| is_foreign(system, name)).collect();
        assert_eq!(found, foreign);
    }

    #[test]
    fn what_people_may_not_have_is_told_from_the_rest() {
        let elf = " 0x0000000000000001 (NEEDED)             Shared library: [libvulkan.so.1]\n \
                    0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n \
                    0x000000000000001d (RUNPATH)            Library runpath: [/opt]\n";
        check_listed(System::Linux, elf, &["libvulkan.so.1", "libc.so.6"], &["libvulkan.so.1"]);
        let dlls = "The Import Tables\n\tDLL Name: KERNEL32.dll\n\tvma:  Hint\n\tDLL Name: VULKAN-1.dll\n\
                    \tDLL Name: libstdc++-6.dll\n";
        let all = ["KERNEL32.dll", "VULKAN-1.dll", "libstdc++-6.dll"];
        check_listed(System::Windows, dlls, &all, &all[1..]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_of_the_system_is_looked_into() {
        // This very test is linked against glibc alone.
        check(System::Linux, &std::env::current_exe().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("program");
        std::fs::write(&text, "no program").unwrap();
        assert!(check(System::Linux, &text).is_err());
    }
}
