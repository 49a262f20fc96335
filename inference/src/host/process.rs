//! The process of an engine, seen from outside: starting it, its pipes, and in words how it ended.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::complaint::{Complaint, Ear};
use super::frame::{Inbox, Outbox};

/// How to start an engine's process: this program again, told to call [`super::serve`].
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// What it is told.
    pub args: Vec<OsString>,
    /// What a list of processes calls it, where the system lets us say.
    pub name: OsString,
}

/// Bytes read in one go: the outputs of a step of many answers.
const CHUNK: usize = 64 << 10;
/// A process that closed its pipe has this long to end by itself.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// A running one. Killed when dropped.
pub(super) struct Process {
    child: Child,
    pub(super) mouth: ChildStdin,
    pub(super) ears: Ears,
}

/// What comes from it.
pub(super) struct Ears {
    stdout: ChildStdout,
    pub(super) inbox: Inbox,
    stderr: Ear,
}

/// How one ended.
#[derive(Debug)]
pub(super) struct End {
    /// In words.
    pub(super) reason: String,
    /// It ran out of memory.
    pub(super) out_of_memory: bool,
    /// Somebody else ended it, or the machine did: that says nothing about what it was at.
    pub(super) killed: bool,
}

impl Process {
    pub(super) fn start(launch: &Launch) -> io::Result<Self> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Or an assertion in llama.cpp would start a debugger.
        command.env("GGML_NO_BACKTRACE", "1").kill_on_drop(true);
        #[cfg(unix)]
        command.arg0(&launch.name);
        #[cfg(windows)]
        command.creation_flags(NO_WINDOW);
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mouth), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the process has no pipes"));
        };
        let ears = Ears { stdout, inbox: Inbox::default(), stderr: Ear::new(stderr) };
        Ok(Self { child, mouth, ears })
    }

    /// Ends it if it has not ended, and says how it did. `why` is why it was ended here.
    pub(super) async fn end(mut self, why: Option<String>) -> End {
        let moment = if why.is_some() { Duration::ZERO } else { LAST_MOMENT };
        let by_itself = timeout(moment, self.child.wait()).await.ok().and_then(Result::ok);
        if by_itself.is_none() {
            // An error means that it is gone already.
            let _ = self.child.kill().await;
        }
        let complaint = self.ears.stderr.last().await;
        let out_of_memory = matches!(&complaint, Some(complaint) if complaint.memory);
        let said = |reason: String| match &complaint {
            Some(Complaint { text, .. }) => format!("{reason}: {text}"),
            None => reason,
        };
        match (why, by_itself) {
            (Some(why), _) => End { reason: said(why), out_of_memory, killed: false },
            (None, Some(status)) => End { reason: said(in_words(status)), out_of_memory, killed: killed(status) },
            (None, None) => End { reason: said("it closed its pipe".into()), out_of_memory, killed: false },
        }
    }
}

/// Windows' `CREATE_NO_WINDOW`: a console program that is started by one without a console opens none.
#[cfg(windows)]
const NO_WINDOW: u32 = 0x0800_0000;

impl Ears {
    /// Reads what comes into the inbox; 0 when nothing more will. Cancel safe.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        loop {
            let space = self.inbox.space();
            space.reserve(CHUNK);
            tokio::select! {
                read = self.stdout.read_buf(space) => return read,
                () = self.stderr.listen() => {}
            }
        }
    }
}

/// Writes of the outbox what the pipe takes. Cancel safe.
pub(super) async fn write(mouth: &mut ChildStdin, outbox: &mut Outbox) -> io::Result<()> {
    let wrote = mouth.write(outbox.rest()).await?;
    outbox.wrote(wrote);
    Ok(())
}

#[cfg(unix)]
fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;

    use nix::sys::signal::Signal;
    let Some(number) = status.signal() else { return in_numbers(status) };
    let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
    match Signal::try_from(number) {
        Ok(Signal::SIGABRT) => "it aborted (SIGABRT), often a failed assertion in native code".to_owned(),
        Ok(Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE) => {
            format!("it crashed with signal {number} ({name})")
        }
        _ => format!("it was killed by signal {number} ({name})"),
    }
}

#[cfg(not(unix))]
fn in_words(status: ExitStatus) -> String {
    in_numbers(status)
}

fn in_numbers(status: ExitStatus) -> String {
    match status.code() {
        // Windows' codes for crashes are known by their hexadecimal form.
        Some(code) if !(-255..=255).contains(&code) => format!("it ended with exit code {:#x}", code.cast_unsigned()),
        Some(code) => format!("it ended with exit code {code}"),
        None => "it ended in an unknown way".to_owned(),
    }
}

#[cfg(unix)]
fn killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(nix::sys::signal::Signal::SIGKILL as i32)
}

#[cfg(not(unix))]
fn killed(_status: ExitStatus) -> bool {
    false
}
