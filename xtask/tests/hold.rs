//! What is started by xtask dies with it, even when xtask is killed.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// A shell stands in for xtask: it starts a held `sleep`, says its number and waits.
#[test]
fn a_held_program_dies_when_its_parent_is_killed() {
    let script = r#""$0" hold $$ sleep 600 & echo $!; wait"#;
    let mut shell = Command::new("bash");
    shell.args(["-c", script, XTASK]).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(shell.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let held = line.trim().to_owned();
    wait_until("it has become sleep", || name_of(&held).as_deref() == Some("sleep"));
    shell.kill().unwrap();
    shell.wait().unwrap();
    wait_until("it is gone", || name_of(&held).is_none());
}

#[test]
fn nothing_is_started_for_a_parent_that_has_ended() {
    let output = Command::new(XTASK).args(["hold", "1", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

/// The name of a living process; one that only waits to be reaped is gone.
fn name_of(pid: &str) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    (!rest.trim_start().starts_with('Z')).then(|| name.to_owned())
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
