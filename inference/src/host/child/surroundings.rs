//! What an engine's process does with what it was born with: stdin, stdout, stderr, signals, panics.

use std::fs::File;
use std::io::{self, Read, Write};

use tokio::sync::mpsc;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::super::frame::{Inbox, Order};

/// Bytes read in one go.
const CHUNK: usize = 64 << 10;

/// Hands on orders until stdin ends, and the process with it: whatever the engine is at, nobody waits for it.
pub(super) fn read_orders(orders: &mpsc::Sender<Order>) {
    let mut inbox = Inbox::default();
    let mut chunk = vec![0; CHUNK];
    let mut stdin = io::stdin().lock();
    loop {
        match stdin.read(&mut chunk) {
            Ok(0) => leave(),
            Ok(count) => inbox.space().extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => leave(),
        }
        // What comes is no order, or the main thread is gone.
        while let Some(order) = inbox.next().unwrap_or_else(|_| leave()) {
            orders.blocking_send(order).unwrap_or_else(|_| leave());
        }
    }
}

/// Ends the process without another word. An ordinary exit would tear down native code under a thread that is
/// computing with it.
fn leave() -> ! {
    #[cfg(unix)]
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    std::process::exit(1)
}

/// The pipe for reports, for nobody but us: what native code prints goes to stderr from here on.
#[cfg(unix)]
pub(super) fn take_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    let ours = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(ours.into())
}

/// The pipe for reports.
#[cfg(windows)]
pub(super) fn take_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

/// Ctrl-C in a terminal reaches every process of it. This one has to serve until its parent has let the answers
/// finish, and ends with it.
#[cfg(unix)]
pub(super) fn ignore_signals() -> Vec<tokio::signal::unix::Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    // One that cannot be caught ends us, which is survived.
    kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect()
}

/// As on Unix.
#[cfg(windows)]
pub(super) fn ignore_signals() -> Option<tokio::signal::windows::CtrlC> {
    tokio::signal::windows::ctrl_c().ok()
}

/// A crash ends the process, and no window waits for somebody to close it first: our parent is waiting too.
pub(super) fn crash_at_once() {
    #[cfg(windows)]
    {
        use windows_sys::Win32::System::Diagnostics::Debug::{
            SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX, SetErrorMode,
        };
        #[expect(unsafe_code, reason = "a call of the system that Rust has no name for")]
        // SAFETY: it takes numbers, and changes what this process does when it crashes.
        unsafe {
            SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX);
        }
    }
}

/// The message of a panic may quote what it stumbled over, so only its place is said.
pub(super) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let _ = writeln!(io::stderr(), "ERROR starling_inference: panicked at {place}");
    }));
}

/// Writes our own log lines to stderr in the form that the parent knows.
pub(super) fn log_to_stderr(level: &str) {
    let level = level.parse().unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).without_time();
    let ours = Targets::new().with_target("starling_inference", level);
    // Already set up: by whoever embeds us, who knows better.
    let _ = tracing_subscriber::registry().with(lines).with(ours).try_init();
}
