//! The test of a model's engines in a process of its own: native code that aborts, hangs or takes the driver down with it
//! ends that process, and the node serves with llama.cpp.

use std::{
    io,
    path::Path,
    process::{ExitCode, Stdio},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use starling_inference::tensorrt::{
    choice::Found,
    trial::{Trial, given_up, try_out},
};
use starling_protocol::program::Exit;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tracing::info;

use crate::{hardware::Probe, helper};

/// What the program is told to be the process of a test.
pub(crate) const SUBCOMMAND: &str = "test-engine";
/// How long all engines of a model may take, besides reading its file twice from a slow disk.
const LIMIT: Duration = Duration::from_secs(600);
const SLOW_DISK_BYTES_PER_SECOND: u64 = 4 << 20;
/// All that it may say.
const MAX_WORDS: u64 = 1 << 20;

/// What it says, a line each.
#[derive(Serialize, Deserialize)]
enum News {
    Doing(String),
    Found(Found),
    Failed { what: String, hint: String },
}

/// Asks such a process, and ends it when it takes too long. Dropping the future ends it too, for who needs the machine.
///
/// # Errors
/// When the model's file is not good, or the options do not fit it.
pub(crate) async fn ask(program: &Path, trial: &Trial) -> Result<Found, Exit> {
    let bytes = std::fs::metadata(&trial.model).map_or(0, |metadata| metadata.len());
    let limit = LIMIT + Duration::from_secs(bytes / SLOW_DISK_BYTES_PER_SECOND);
    within(limit, program, trial).await
}

async fn within(limit: Duration, program: &Path, trial: &Trial) -> Result<Found, Exit> {
    let broken = |why: String| Ok(Found::Broken(why));
    // Before the process, and so it goes after it.
    let mut giving_up = GivingUp { engines: &trial.options.engines, since: Some(SystemTime::now()) };
    let mut child = match start(program) {
        Ok(child) => child,
        Err(error) => return broken(format!("it does not start: {error}")),
    };
    let heard = timeout(limit, follow(&mut child, trial)).await;
    let _ = child.kill().await;
    giving_up.since = None;
    match heard {
        Ok(Ok(Some(News::Found(found)))) => Ok(found),
        Ok(Ok(Some(News::Failed { what, hint }))) => Err(Exit::usage(what, hint)),
        Ok(Ok(_)) => broken("its process has ended without a word: the library or the driver has crashed".into()),
        Ok(Err(error)) => broken(format!("its process cannot be spoken with: {error}")),
        Err(_) => broken(format!("it took more than {} s", limit.as_secs())),
    }
}

/// Whoever drops a test that runs has given it up.
struct GivingUp<'a> {
    engines: &'a Path,
    since: Option<SystemTime>,
}

impl Drop for GivingUp<'_> {
    fn drop(&mut self) {
        if let Some(since) = self.since {
            given_up(self.engines, since);
        }
    }
}

fn start(program: &Path) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg(SUBCOMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn()
}

/// Until it has said what it found; none when it ends before.
async fn follow(child: &mut Child, trial: &Trial) -> io::Result<Option<News>> {
    let (Some(mouth), Some(ears)) = (&mut child.stdin, &mut child.stdout) else { return Ok(None) };
    // Its stdin stays open: it ends when we do.
    let order = serde_json::to_vec(trial)?;
    // Who ends before the order has come has no words either.
    if mouth.write_all(&order).await.is_err() || mouth.write_all(b"\n").await.is_err() {
        return Ok(None);
    }
    let mut lines = BufReader::new(ears.take(MAX_WORDS)).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line) {
            Ok(News::Doing(what)) => info!("{what}"),
            Ok(news) => return Ok(Some(news)),
            // A library that prints is no news.
            Err(_) => {}
        }
    }
    Ok(None)
}

/// The other side: one order on stdin, news on stdout. Ends when stdin does, also in the middle of a test.
pub fn test_engine() -> ExitCode {
    let Some(mut trial) = helper::begin::<Trial>() else { return ExitCode::FAILURE };
    trial.driver = Probe::new().driver().unwrap_or_default();
    let news = match try_out(&trial, &mut |what| helper::tell(&News::Doing(what.to_owned()))) {
        Ok(found) => News::Found(found),
        Err(error) => News::Failed { what: error.to_string(), hint: error.hint().to_owned() },
    };
    helper::tell(&news);
    ExitCode::SUCCESS
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use starling_inference::tensorrt::{Options, Precision};

    use super::*;

    /// What comes of a process that does what `script` says.
    async fn check(limit: Duration, script: &str) -> Result<Found, String> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("node");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let options = Options {
            library: folder.path().to_owned(),
            engines: folder.path().to_owned(),
            precision: Precision::Fp16,
            workspace: 0,
            share: 85,
        };
        let (model, hashes) = (folder.path().join("model"), None);
        let trial =
            Trial { model, context_tokens: None, slots: None, precision: None, options, hashes, driver: String::new() };
        within(limit, &program, &trial).await.map_err(|exit| format!("{exit:?}"))
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn what_it_says_is_heard() {
        let found = Found::NoCard("there is none".into());
        let says = serde_json::to_string(&News::Found(found.clone())).unwrap();
        let script = format!("read order; echo a word of the library; echo '{says}'; exec sleep 60");
        assert_eq!(check(LONG, &script).await.unwrap(), found);
        let failed = News::Failed { what: "no such model".into(), hint: "name it".into() };
        let script = format!("read order; echo '{}'", serde_json::to_string(&failed).unwrap());
        assert!(check(LONG, &script).await.unwrap_err().contains("no such model"));
    }

    #[tokio::test]
    async fn what_crashes_or_hangs_is_broken_and_nothing_else() {
        let why = |found: Result<Found, String>| match found {
            Ok(Found::Broken(why)) => why,
            found => panic!("{found:?}"),
        };
        assert!(why(check(LONG, "kill -SEGV $$").await).contains("has crashed"));
        assert!(why(check(LONG, "read order; exit 1").await).contains("has crashed"));
        let short = Duration::from_millis(200);
        assert_eq!(why(check(short, "read order; exec sleep 60").await), "it took more than 0 s");
        // As many words as anybody likes.
        assert!(why(check(LONG, "read order; exec yes").await).contains("has crashed"));
    }
}
