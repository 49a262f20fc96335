//! Programs that we start: they cannot outlive us, and they are ended politely first.
//!
//! Each gets a process group of its own, so that Ctrl-C at the terminal reaches us alone and we
//! decide the order. Start programs from the main thread only: the kernel's promise behind
//! [`crate::hold`] is kept to the thread that started the child.

use std::ffi::OsStr;
use std::io;
#[cfg(unix)]
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::stop::{Interrupted, Stop};

/// How long a tool (cargo, npm, …) may take to end after it was asked to.
const TOOL_GRACE: Duration = Duration::from_secs(5);

/// How long a tool may take at all: the longest builds everything from nothing. A test that waits for
/// ever must end as a failure with a name, not as a build machine's own limit.
const TOOL_LIMIT: Duration = Duration::from_secs(30 * 60);

/// A command for a program that dies with us.
#[cfg(all(target_os = "linux", not(test)))]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    // Not current_exe(): that path may have been rebuilt under us, this link is always our own file.
    let mut command = Command::new("/proc/self/exe");
    command.arg("hold").arg(std::process::id().to_string()).arg(program);
    command
}

#[cfg(not(all(target_os = "linux", not(test))))]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// On Windows: puts us in a job that ends all of its processes when we end. Elsewhere nothing.
#[cfg(windows)]
pub(crate) fn tie_children_to_us() -> Result<()> {
    let mut limits = win32job::ExtendedLimitInfo::new();
    limits.limit_kill_on_job_close();
    let job = win32job::Job::create_with_limit_info(&limits)?;
    job.assign_current_process()?;
    // The job must live as long as we do; its last handle closes when the process ends.
    std::mem::forget(job);
    Ok(())
}

#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "the Windows one can fail")]
pub(crate) fn tie_children_to_us() -> Result<()> {
    Ok(())
}

/// A started program. Dropping it kills it, and everything in its process group.
pub(crate) struct Running {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        own_group(&mut command);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, ended: None })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Writes a line to its stdin.
    #[cfg(unix)]
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("its stdin is not ours")?;
        writeln!(stdin, "{line}")?;
        Ok(stdin.flush()?)
    }

    /// How it ended, if it did. What it left behind in its group is killed at that moment, while
    /// the group's number cannot have gone to a stranger yet.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().context("cannot wait for a child process")?;
            if self.ended.is_some() {
                signal::kill_group(&self.child);
            }
        }
        Ok(self.ended)
    }

    /// Asks it to end: SIGTERM to the program alone, which knows what to do about its own children.
    pub(crate) fn ask(&self) {
        signal::terminate(&self.child);
    }

    /// What Ctrl-C sends.
    #[cfg(target_os = "linux")]
    pub(crate) fn interrupt(&self) {
        signal::interrupt(&self.child);
    }

    /// Asks its whole group to end; for tools, whose children are strangers to us.
    fn ask_group(&self) {
        signal::terminate_group(&self.child);
    }

    /// Waits until it ended, the deadline passed (`None`) or we are asked to stop at once.
    pub(crate) fn wait_until(&mut self, deadline: Instant, stop: &Stop) -> Option<ExitStatus> {
        loop {
            if let Ok(Some(status)) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= deadline || stop.asked_twice() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            signal::kill_group(&self.child);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs a tool to its end; what it prints goes to our stderr. An error when it fails, or never ends.
pub(crate) fn run(command: Command, stop: &Stop) -> Result<()> {
    let line = describe(&command);
    let status = status(command, TOOL_LIMIT, stop)?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a tool to its end or a deadline.
pub(crate) fn status(mut command: Command, limit: Duration, stop: &Stop) -> Result<ExitStatus> {
    let line = describe(&command);
    command.stdin(Stdio::null()).stdout(io::stderr());
    let started = Instant::now();
    let mut running = Running::start(command)?;
    loop {
        if let Some(status) = running.ended()? {
            return Ok(status);
        }
        if started.elapsed() > limit {
            bail!("`{line}` did not end within {} s", limit.as_secs());
        }
        if let Err(interrupted) = stop.pause() {
            running.ask_group();
            running.wait_until(Instant::now() + TOOL_GRACE, stop);
            return Err(interrupted);
        }
    }
}

/// Runs a tool that may ask the person something (sudo): it stays in our process group, because
/// only that may read from the terminal, and so it hears Ctrl-C itself.
pub(crate) fn run_in_foreground(mut command: Command, stop: &Stop) -> Result<()> {
    let line = describe(&command);
    let status = command.stdout(io::stderr()).status();
    let status = status.with_context(|| format!("cannot start `{line}`"))?;
    if stop.asked() {
        return Err(anyhow::Error::new(Interrupted));
    }
    anyhow::ensure!(status.success(), "`{line}` failed ({status})");
    Ok(())
}

/// What a short command prints; `None` when it cannot be started or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command as a person would type it, without our own `hold PARENT`.
pub(crate) fn describe(command: &Command) -> String {
    let held = command.get_args().next().is_some_and(|first| first == "hold");
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let typed = words.skip(if held { 3 } else { 0 });
    typed.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A group of its own, which Ctrl-C at the terminal does not reach.
#[cfg(unix)]
pub(crate) fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(not(unix))]
pub(crate) fn own_group(_command: &mut Command) {}

#[cfg(unix)]
mod signal {
    //! Signals to a child and its group. One that is gone already is an error that does not matter.
    use std::process::Child;

    use nix::sys::signal::{Signal, kill, killpg};
    use nix::unistd::Pid;

    fn pid(child: &Child) -> Pid {
        Pid::from_raw(i32::try_from(child.id()).expect("process numbers are below 2^31"))
    }

    pub(super) fn terminate(child: &Child) {
        let _ = kill(pid(child), Signal::SIGTERM);
    }

    #[cfg(target_os = "linux")]
    pub(super) fn interrupt(child: &Child) {
        let _ = kill(pid(child), Signal::SIGINT);
    }

    pub(super) fn terminate_group(child: &Child) {
        let _ = killpg(pid(child), Signal::SIGTERM);
    }

    pub(super) fn kill_group(child: &Child) {
        let _ = killpg(pid(child), Signal::SIGKILL);
    }
}

#[cfg(not(unix))]
mod signal {
    //! Windows has no polite signal for a single process: Ctrl-C reached the children already, as
    //! they share our console, and the job object ends what is left.
    use std::process::Child;

    pub(super) fn terminate(_child: &Child) {}
    pub(super) fn terminate_group(_child: &Child) {}
    pub(super) fn kill_group(_child: &Child) {}
}
