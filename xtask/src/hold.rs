//! How a child is made to die with us, whatever happens to us: the child is started as `xtask hold
//! PARENT PROGRAM …`, which asks the kernel for a SIGKILL when its parent ends and then becomes
//! PROGRAM. (The direct way, a hook between fork and exec, would be unsafe code.)
//!
//! Linux only; on other systems a child is started directly.

use std::ffi::OsString;

use anyhow::Result;

/// Replaces this process by the program. Returns only when that fails.
#[cfg(target_os = "linux")]
pub(crate) fn become_program(parent: u32, program: &[OsString]) -> Result<()> {
    use std::os::unix::process::{CommandExt as _, parent_id};

    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    // The parent may have ended before the line above: nobody would kill us then.
    anyhow::ensure!(parent_id() == parent, "the process that started this has ended");
    let (name, args) = program.split_first().expect("clap requires one");
    let error = std::process::Command::new(name).args(args).exec();
    Err(anyhow::Error::new(error).context(format!("cannot start {}", name.display())))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn become_program(_parent: u32, _program: &[OsString]) -> Result<()> {
    anyhow::bail!("only used on Linux")
}
