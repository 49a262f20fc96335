//! This test program once more, as a process that may die.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use starling_inference::{Handle, Kind, Message, Request, Role, Sampling, Source};

/// By this the program knows that it is the child.
const MARK: &str = "STARLING_DAMAGED_CHILD";
/// In place of a path: the child dies as native code does.
pub(crate) const ABORT: &str = "abort";
/// What is given longer than this for one file hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// How opening a file ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With an error.
    Refused,
    /// With an engine that answered.
    Answered,
    /// With the death of its process, or not within the limit.
    Died(String),
}

/// Opens files in a process that is started again when it dies.
#[derive(Default)]
pub(crate) struct Child {
    running: Option<Running>,
}

struct Running {
    process: process::Child,
    lines: Receiver<String>,
}

impl Child {
    pub(crate) fn open(&mut self, path: &Path) -> Ended {
        let running = self.running.get_or_insert_with(Running::start);
        writeln!(running.process.stdin.as_mut().unwrap(), "{}", path.display()).unwrap();
        loop {
            // Beside the answers come the lines of the test harness.
            match running.lines.recv_timeout(LIMIT).as_deref() {
                Ok("starling refused") => return Ended::Refused,
                Ok("starling answered") => return Ended::Answered,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return self.died("it hangs"),
                Err(RecvTimeoutError::Disconnected) => return self.died(""),
            }
        }
    }

    fn died(&mut self, how: &str) -> Ended {
        let mut running = self.running.take().expect("one that died");
        running.process.kill().ok();
        Ended::Died(format!("{how} {}", running.process.wait().unwrap()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.process.kill().ok();
            running.process.wait().ok();
        }
    }
}

impl Running {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::the_child", "--nocapture"])
            .env(MARK, "1")
            // It would start a debugger for each death, where there is one.
            .env("GGML_NO_BACKTRACE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = sync_channel(16);
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, lines }
    }
}

/// Only in the child: opens each file that it is told of and has it answer a few tokens.
#[test]
fn the_child() {
    if std::env::var(MARK).is_err() {
        return;
    }
    for path in io::stdin().lines().map_while(Result::ok) {
        if path == ABORT {
            process::abort();
        }
        let said = if answers(path.as_ref()) { "answered" } else { "refused" };
        println!("\nstarling {said}");
    }
}

fn answers(path: &Path) -> bool {
    let (path, one) = (path.to_owned(), Some(1));
    let (context_tokens, saved_bytes) = (Some(64), Some(0));
    let source = Source::Gguf {
        path,
        context_tokens,
        slots: one,
        threads: one,
        saved_bytes,
        hashes: None,
        device: starling_inference::DeviceChoice::Auto,
    };
    let Ok((handle, runner)) = starling_inference::open(&source) else { return false };
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ask(&handle));
    });
    runner.run();
    asking.join().is_ok()
}

/// A few tokens or a vector. A refusal is as good, and so is a failure with a type.
async fn ask(handle: &Handle) {
    let text = "Once upon a time";
    let asked = match handle.info().kind {
        Kind::Embedding { .. } => handle.embed(vec![text.to_owned()]).await,
        Kind::Chat => {
            let sampling = Sampling { seed: Some(1), ..Sampling::greedy() };
            let messages = vec![Message::new(Role::User, text)];
            handle.generate(Request { messages, sampling, max_tokens: Some(4), ..Request::default() }).await
        }
    };
    let Ok(mut outputs) = asked else { return };
    while outputs.next().await.is_some() {}
}
