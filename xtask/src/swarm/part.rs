//! One process of a swarm: its lines on stdout, its log file, its end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::process::{self, Running};
use crate::stop::Stop;

/// Lines of stdout that we have not looked at yet. A part prints a dozen in its life; what comes
/// beyond is dropped rather than letting the part wait for us.
const UNREAD_LINES: usize = 256;
/// Facts that are remembered. In a long life `nodes …` is said again and again.
const REMEMBERED: usize = 256;
/// How long the last lines of a program that has ended may take to get here.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How much of a log is shown when a part dies.
const LAST_LINES: usize = 8;

pub(crate) struct Part {
    name: String,
    running: Running,
    lines: Receiver<Fact>,
    /// What it said, oldest first.
    said: Vec<Fact>,
    log: PathBuf,
}

/// One line of stdout: `key rest of the line`.
pub(crate) struct Fact {
    pub(crate) key: String,
    pub(crate) value: String,
    /// When it was read.
    pub(crate) at: Instant,
}

impl Part {
    /// Starts the program with its stderr in `logs/NAME.log`; the log of the run before is kept as
    /// `NAME.log.1`.
    pub(crate) fn start(name: &str, program: &Path, args: &[OsString], logs: &Path) -> Result<Self> {
        Self::begin(name, program, args, logs, Stdio::null())
    }

    /// One that takes [orders](Self::order).
    #[cfg(unix)]
    pub(crate) fn start_obedient(name: &str, program: &Path, args: &[OsString], logs: &Path) -> Result<Self> {
        Self::begin(name, program, args, logs, Stdio::piped())
    }

    fn begin(name: &str, program: &Path, args: &[OsString], logs: &Path, stdin: Stdio) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let open = || {
            fs::create_dir_all(logs)?;
            let _ = fs::rename(&log, log.with_extension("log.1"));
            File::create(&log)
        };
        let file = open().with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = process::command(program);
        command.args(args).stdin(stdin).stdout(Stdio::piped()).stderr(file);
        let mut running = Running::start(command)?;
        let stdout = running.stdout().context("stdout was asked for")?;
        let (sender, lines) = sync_channel(UNREAD_LINES);
        std::thread::spawn(move || read_lines(stdout, &sender));
        Ok(Self { name: name.to_owned(), running, lines, said: Vec::new(), log })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// The newest value said for a key.
    pub(crate) fn said(&self, key: &str) -> Option<&str> {
        self.said.iter().rev().find(|fact| fact.key == key).map(|fact| fact.value.as_str())
    }

    pub(crate) fn all_said(&self, key: &str) -> impl Iterator<Item = &str> {
        self.facts().filter(move |fact| fact.key == key).map(|fact| fact.value.as_str())
    }

    /// All that is remembered, oldest first.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.said.iter()
    }

    /// Takes in what was printed, and fails with its last words when it has ended.
    pub(crate) fn check(&mut self, when: &str) -> Result<()> {
        // First the state, then the lines: what it said before it ended is not lost.
        let ended = self.running.ended()?;
        self.said.extend(self.lines.try_iter());
        if ended.is_some() {
            self.said.extend(std::iter::from_fn(|| self.lines.recv_timeout(LAST_WORDS).ok()));
        }
        self.said.drain(..self.said.len().saturating_sub(REMEMBERED));
        let Some(status) = ended else { return Ok(()) };
        let words = last_lines(&self.log);
        let log = self.log.display();
        Err(anyhow!("{} ended {when} ({status}); its last words:\n{words}\nnext: read {log}", self.name))
    }

    /// Like `said`, but each value once.
    pub(crate) fn news(&mut self, key: &str) -> Option<String> {
        let value = self.said(key)?.to_owned();
        self.said.retain(|fact| fact.key != key);
        Some(value)
    }

    pub(crate) fn too_slow(&self, key: &str, limit: Duration) -> anyhow::Error {
        let (words, log) = (last_lines(&self.log), self.log.display());
        let seconds = limit.as_secs();
        anyhow!("{} did not say `{key}` within {seconds} s; its last words:\n{words}\nnext: read {log}", self.name)
    }

    /// A line on its stdin.
    #[cfg(unix)]
    pub(crate) fn order(&mut self, line: &str) -> Result<()> {
        self.running.tell(line).with_context(|| format!("{} takes no orders", self.name))
    }

    /// Ctrl-C.
    #[cfg(target_os = "linux")]
    pub(crate) fn interrupt(&self) {
        self.running.interrupt();
    }

    /// Waits for its end, and says how it ended.
    #[cfg(target_os = "linux")]
    pub(crate) fn end(&mut self, deadline: Instant, stop: &Stop) -> Option<std::process::ExitStatus> {
        self.running.wait_until(deadline, stop)
    }

    pub(crate) fn ask_to_end(&self) {
        self.running.ask();
    }

    /// Waits; what has not ended by then is killed when the part is dropped.
    pub(crate) fn wait_for_end(&mut self, deadline: Instant, stop: &Stop) {
        if self.running.wait_until(deadline, stop).is_none() {
            crate::say::note(&format!("{} did not end in time and is killed", self.name));
        }
    }
}

fn read_lines(stdout: ChildStdout, lines: &SyncSender<Fact>) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { return };
        let _ = lines.try_send(Fact::from(&line));
    }
}

impl Fact {
    fn from(line: &str) -> Self {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        Self { key: key.to_owned(), value: value.trim().to_owned(), at: Instant::now() }
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<&str> = text.lines().rev().take(LAST_LINES).collect();
    lines.reverse();
    if lines.is_empty() { "  (nothing)".into() } else { format!("  {}", lines.join("\n  ")) }
}
