//! The processes of a node and of its engines, as the operating system sees them.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use starling_protocol::{
    Identity,
    membership::{Clock, MemberRole, Membership, SwarmKey},
};
use tempfile::TempDir;

/// Longest wait for anything; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(30);

/// A running node; killed when dropped.
struct Node {
    child: Child,
    data: TempDir,
}

impl Node {
    /// Started and serving.
    fn serving(args: &[&str]) -> Self {
        let mut node = Self::begun(args);
        let lines = BufReader::new(node.child.stdout.take().unwrap()).lines();
        let serving = lines.map_while(Result::ok).any(|line| line.starts_with("serving "));
        assert!(serving, "{}", node.log());
        node
    }

    /// Started.
    fn begun(args: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        make_member(data.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_starling-node"));
        command.arg("run").args(["--listen", "/ip4/127.0.0.1/tcp/0", "--data"]).arg(data.path()).args(args);
        let log = fs::File::create(data.path().join("log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        Self { child, data }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    /// Waits for what the log is to say.
    fn says(&self, words: &str) {
        until(words, || self.log().contains(words));
    }

    /// Processes whose parent it is.
    fn engines(&self) -> Vec<i32> {
        let pids = fs::read_dir("/proc").unwrap();
        let pids = pids.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        pids.filter(|pid| parent(*pid) == Some(self.child.id())).collect()
    }
}

/// Of a swarm that nobody else is in.
fn make_member(data: &Path) {
    let peer = Identity::load_or_create(&data.join("identity.key")).unwrap().peer();
    let certificate = SwarmKey::generate().unwrap().certify(peer, MemberRole::Node, Clock::default().now());
    Membership { certificate, addresses: vec![] }.save(&data.join("membership.cbor")).unwrap();
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of a process that runs; none once it has ended.
fn parent(pid: i32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    (fields.next()? != "Z").then(|| fields.next()?.parse().ok())?
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < LIMIT, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn model(name: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("inference/models");
    models.join(name).display().to_string()
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn an_engine_ends_with_its_node_however_that_ends() {
    let mut node = Node::serving(&[]);
    let engines = node.engines();
    assert_eq!(engines.len(), 1, "{}", node.log());
    let line = fs::read_to_string(format!("/proc/{}/cmdline", engines[0])).unwrap();
    assert_eq!(line, "starling-node\0engine\0");
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    until("the engine is gone", || parent(engines[0]).is_none());
}

#[test]
fn a_killed_engine_leaves_the_node_and_its_other_model_alone() {
    let models = [model("swarm-demo-3M-q8_0.gguf"), model("stories260K.gguf")];
    let mut node = Node::serving(&["--model", &models[0], "--model", &models[1]]);
    let before = node.engines();
    assert_eq!(before.len(), 2, "{}", node.log());
    kill(before[0]);
    until("another process", || {
        let now = node.engines();
        now.len() == 2 && !now.contains(&before[0]) && now.contains(&before[1])
    });
    node.says("it was killed by signal 9 (SIGKILL)");
    node.says("the engine was started again");
    assert!(node.child.try_wait().unwrap().is_none());
}

/// The program, told something about a node; what it says.
fn tell(node: &Node, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-node"));
    let output = command.args(args).arg("--data").arg(node.data.path()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_pause_ends_the_engines_process_and_its_end_starts_another() {
    let node = Node::serving(&[]);
    let before = node.engines();
    assert_eq!(before.len(), 1, "{}", node.log());
    assert!(tell(&node, &["pause"]).contains("starling-node resume"));
    until("its memory is free", || parent(before[0]).is_none() && node.engines().is_empty());
    until("it says so", || tell(&node, &["status"]).contains("paused: you said so"));
    tell(&node, &["resume"]);
    until("another engine", || node.engines().len() == 1);
    until("it is back", || !tell(&node, &["status"]).contains("paused"));
    node.says("back: ready for answers");

    // A pause with an end of its own.
    tell(&node, &["pause", "--for", "2s"]);
    until("none again", || node.engines().is_empty());
    until("and one again", || node.engines().len() == 1);
    assert_ne!(node.engines(), before);
}

#[test]
fn nothing_is_loaded_while_a_program_runs_that_the_owner_named_and_its_name_is_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let game = folder.path().join("their-game");
    fs::copy("/bin/sleep", &game).unwrap();
    let mut playing = Command::new(&game).arg("600").spawn().unwrap();
    let node = Node::begun(&["--polite", "full", "--yield-to", "their-game", "--come-back-after", "1s"]);
    node.says("the models are loaded later");
    // Its desk opens a moment later.
    until("a desk", || node.data.path().join("status.sock").exists());
    until("it says so", || tell(&node, &["status"]).contains("paused: their-game runs"));
    assert_eq!(node.engines(), [0; 0]);
    playing.kill().unwrap();
    playing.wait().unwrap();
    until("an engine", || node.engines().len() == 1);
    node.says("back: ready for answers");
    assert!(!node.log().contains("their-game"), "{}", node.log());
    assert_eq!(
        nice(node.engines()[0]),
        (nice(std::process::id() as i32) + 10).min(19),
        "it goes behind what its owner does"
    );
}

/// How far behind others a process computes.
fn nice(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
}

#[test]
fn one_model_that_cannot_be_served_is_said_and_the_other_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.gguf");
    let whole = fs::read(model("stories260K.gguf")).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let node = Node::serving(&["--model", cut.to_str().unwrap(), "--model", &model("stories260K.gguf")]);
    node.says("NOT served");
    assert_eq!(node.engines().len(), 1, "{}", node.log());
}

fn status(data: &Path, args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-node"));
    command.arg("status").args(args).arg("--data").arg(data).output().unwrap()
}

#[test]
fn a_running_node_says_how_it_does() {
    let node = Node::serving(&["--engine", "scripted", "--scripted", "slots=3", "--name", "desk"]);
    let said = status(node.data.path(), &["--json"]);
    let state: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&state["name"], &state["models"][0]["slots"]), (&"desk".into(), &3.into()), "{state}");
    assert_eq!(state["network"]["gateways"], serde_json::json!([]));
    let text = String::from_utf8(status(node.data.path(), &[]).stdout).unwrap();
    assert!(text.starts_with("node         desk (12D3KooW"), "{text}");
    assert!(text.contains("WARNING: nobody answers"), "{text}");
}

#[test]
fn a_node_that_was_killed_leaves_no_answer_and_no_obstacle() {
    let mut node = Node::serving(&["--engine", "scripted"]);
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    let said = status(node.data.path(), &[]);
    let words = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(2), "{words}");
    assert!(words.contains("no node runs with the folder") && words.contains("hint: start it"), "{words}");
    // The dead one's socket is in the way of nobody.
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-node"));
    command.args(["run", "--engine", "scripted", "--listen", "/ip4/127.0.0.1/tcp/0", "--data"]).arg(node.data.path());
    let mut again = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(again.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("serving ")));
    assert!(status(node.data.path(), &[]).status.success());
    again.kill().unwrap();
    again.wait().unwrap();
}
