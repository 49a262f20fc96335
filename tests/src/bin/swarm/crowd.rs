//! All nodes, in their processes, and what is known of each.

use std::collections::{HashMap, HashSet};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::nodes;
use starling_tests::figures::Usage;

/// Lines of the processes that may wait to be read.
const UNREAD: usize = 4_096;

/// One node's life, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) started: f64,
    /// When the gateway had it in sight for the first time.
    pub(crate) seen: Option<f64>,
    pub(crate) ended: Option<f64>,
}

/// The processes and their nodes.
pub(crate) struct Crowd {
    processes: Vec<Process>,
    /// Whose turn it is to start one; and to end one.
    turns: [usize; 2],
    lines: mpsc::Receiver<String>,
    pub(crate) lives: HashMap<String, Life>,
}

struct Process {
    child: Child,
    stdin: ChildStdin,
}

/// What can be asked of some process.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Start,
    /// One of the nodes stops in order.
    Leave,
    /// One of them ends without a word.
    Kill,
}

impl Crowd {
    /// Processes without nodes.
    pub(crate) fn new(processes: usize, options: &nodes::Options) -> Result<Self> {
        let (sender, lines) = mpsc::channel(UNREAD);
        let processes = (0..processes).map(|_| Process::start(options, &sender)).collect::<Result<_>>()?;
        Ok(Self { processes, turns: [0; 2], lines, lives: HashMap::new() })
    }

    /// Gives the order to the process whose turn it is.
    pub(crate) async fn order(&mut self, order: Order) -> Result<()> {
        let (turn, line) = match order {
            Order::Start => (0, "start\n"),
            Order::Leave => (1, "leave\n"),
            Order::Kill => (1, "kill\n"),
        };
        let count = self.processes.len();
        let process = &mut self.processes[self.turns[turn] % count];
        self.turns[turn] += 1;
        process.stdin.write_all(line.as_bytes()).await.context("a process of nodes has ended")
    }

    /// Takes in what the processes have said.
    pub(crate) fn listen(&mut self) -> Result<()> {
        while let Ok(line) = self.lines.try_recv() {
            let mut words = line.split(' ');
            let (Some(what), Some(peer), Some(at)) = (words.next(), words.next(), words.next()) else { continue };
            let at: f64 = at.parse().context("a time is no number")?;
            let life = self.lives.entry(peer.to_owned());
            match what {
                "started" => drop(life.or_insert(Life { started: at, seen: None, ended: None })),
                _ => drop(life.and_modify(|life| life.ended = Some(at))),
            }
        }
        for process in &mut self.processes {
            ensure!(process.child.try_wait()?.is_none(), "a process of nodes has ended");
        }
        Ok(())
    }

    /// What the gateway had in sight at that time.
    pub(crate) fn saw(&mut self, in_sight: &HashSet<String>, at: f64) {
        for (_, life) in self.lives.iter_mut().filter(|(peer, life)| life.seen.is_none() && in_sight.contains(*peer)) {
            life.seen = Some(at);
        }
    }

    /// What all processes use together.
    pub(crate) fn usage(&self) -> Usage {
        let each = self.processes.iter().filter_map(|process| process.child.id()).map(Usage::of);
        each.fold(Usage::default(), |sum, one| Usage {
            cpu_seconds: sum.cpu_seconds + one.cpu_seconds,
            mb: sum.mb + one.mb,
            peak_mb: sum.peak_mb + one.peak_mb,
            files: sum.files + one.files,
        })
    }
}

impl Process {
    fn start(options: &nodes::Options, lines: &mpsc::Sender<String>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("nodes").args(options.arguments()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a process of nodes")?;
        let stdin = child.stdin.take().context("stdin was asked for")?;
        let stdout = child.stdout.take().context("stdout was asked for")?;
        tokio::spawn(read(stdout, lines.clone()));
        Ok(Self { child, stdin })
    }
}

async fn read(stdout: ChildStdout, lines: mpsc::Sender<String>) {
    let mut stdout = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = stdout.next_line().await {
        if lines.send(line).await.is_err() {
            return;
        }
    }
}
