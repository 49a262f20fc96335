//! A log file that never holds its program up: lines go into a bounded queue, and a thread of its own writes them. What a
//! full or slow disk does not take is counted and told once it goes on. When a file is full it is renamed and the oldest
//! one goes, so that all of them together have a bound.
//!
//! The crates that rotate by size (`file-rotate`, `logroller`) write on the caller's thread, and panic or go silent when a
//! file cannot be moved; `tracing-appender` rotates by time only.

mod rotate;

use std::{
    collections::VecDeque,
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use self::rotate::{Rotating, Rotation};
use super::Exit;

/// What may wait for the disk; beyond that lines are lost. A busy node says some 100 kB in a minute.
const MAX_QUEUE_BYTES: usize = 4 << 20;
/// A line ends there.
const MAX_LINE_BYTES: usize = 64 << 10;
/// How long the end of a program waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a program logs beside stderr.
#[derive(clap::Args, Clone, Debug)]
pub struct LogFileOptions {
    /// File to log to as well; when it is full it becomes FILE.1, what that was FILE.2, and so on.
    #[arg(long, value_name = "FILE", env = "STARLING_LOG_FILE")]
    pub log_file: Option<PathBuf>,
    /// How large the log file may grow, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub log_file_mb: u32,
    /// How many log files are kept, with the one that is written.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub log_files: u32,
}

impl Default for LogFileOptions {
    fn default() -> Self {
        Self { log_file: None, log_file_mb: 10, log_files: 5 }
    }
}

impl LogFileOptions {
    /// Opens what is asked for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(&self) -> Result<(Option<LogFile>, LogGuard), Exit> {
        let Some(path) = &self.log_file else { return Ok((None, LogGuard::default())) };
        let rotation = Rotation { limit_bytes: u64::from(self.log_file_mb) << 20, files: self.log_files };
        let (file, guard) = LogFile::open(path, rotation).map_err(|error| {
            let what = format!("the log file {} cannot be written: {error}", path.display());
            Exit::usage(what, "check who owns its folder, or choose another with --log-file")
        })?;
        Ok((Some(file), guard))
    }
}

/// Where the log's lines go in.
#[derive(Clone)]
pub(super) struct LogFile(Arc<Queue>);

/// Held for as long as there is something to log; when it goes, what waits is written.
#[must_use = "without it the last lines are lost"]
#[derive(Default)]
pub struct LogGuard(Option<Arc<Queue>>);

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that were not written, and not told of yet.
    lost: u64,
    /// The thread is at the disk with a line.
    writing: bool,
    closed: bool,
}

/// Where lines end up.
trait Sink: Send {
    fn append(&mut self, line: &[u8]) -> io::Result<()>;
}

impl LogFile {
    /// Opens the file and starts its thread.
    ///
    /// # Errors
    /// Whatever the system says; but a disk that is full now may have room later.
    fn open(path: &Path, rotation: Rotation) -> io::Result<(Self, LogGuard)> {
        let mut file = Rotating::new(path, rotation);
        match file.open() {
            Err(error) if error.kind() != io::ErrorKind::StorageFull => return Err(error),
            _ => {}
        }
        Self::start(file, |lost| tracing::warn!(lost, "lines of the log file were lost: the disk was full or slow"))
    }

    fn start(mut sink: impl Sink + 'static, tell: impl Fn(u64) + Send + 'static) -> io::Result<(Self, LogGuard)> {
        let queue = Arc::new(Queue::default());
        let writing = queue.clone();
        thread::Builder::new().name("log file".to_owned()).spawn(move || writing.write_out(&mut sink, tell))?;
        Ok((Self(queue.clone()), LogGuard(Some(queue))))
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.closed || state.bytes + line.len() > MAX_QUEUE_BYTES {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        self.changed.notify_all();
    }

    /// Writes until it is closed and empty.
    fn write_out(&self, sink: &mut impl Sink, tell: impl Fn(u64)) {
        while let Some(line) = self.next() {
            let written = sink.append(&line);
            let mut state = self.lock();
            state.bytes -= line.len();
            state.writing = false;
            let lost = match written {
                Ok(()) => mem::take(&mut state.lost),
                Err(_) => {
                    state.lost += 1;
                    0
                }
            };
            self.changed.notify_all();
            drop(state);
            // It goes on; this too becomes a line.
            if lost > 0 {
                tell(lost);
            }
        }
    }

    fn next(&self) -> Option<Vec<u8>> {
        let waiting = self.changed.wait_while(self.lock(), |state| state.lines.is_empty() && !state.closed);
        let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
        let line = state.lines.pop_front()?;
        state.writing = true;
        Some(line)
    }

    fn flush(&self, patience: Duration) {
        let busy = |state: &mut State| !state.lines.is_empty() || state.writing;
        let mut state = self.changed.wait_timeout_while(self.lock(), patience, busy);
        match &mut state {
            Ok((state, _)) => state.closed = true,
            Err(poisoned) => poisoned.get_mut().0.closed = true,
        }
        self.changed.notify_all();
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(queue) = &self.0 {
            queue.flush(PATIENCE);
        }
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &LogFile {
    /// `line` is a whole one: that is how tracing writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= MAX_LINE_BYTES {
            self.0.push(line);
        } else {
            self.0.push(&[&line[..MAX_LINE_BYTES], b"\n"].concat());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
