//! The service that runs the program, started again with another one in its place.

use std::{path::PathBuf, time::Duration};

use semver::Version;
use tokio::{process::Command, time::timeout};

use super::trial::{Trial, Verdict};
use crate::{desk, models::show};

/// How long a service may take to stop, with answers that run, or to start.
const LIMIT: Duration = Duration::from_secs(90);
/// How often the node is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Where to find it.
#[derive(Debug)]
pub(super) struct Service {
    /// The program in its place.
    pub(super) program: PathBuf,
    /// The node's folder.
    pub(super) data: PathBuf,
}

impl Service {
    /// Starts the service again, if one runs, and waits for this version in it.
    ///
    /// # Errors
    /// Says why not, in words that follow the version's name.
    pub(super) async fn restart(&self, version: &Version) -> Result<(), String> {
        if self.tell("status").await.is_err() {
            if matches!(desk::ask(&self.data).await, Ok(Some(_))) {
                show::note("a node runs that is no service: start it again, so that it is the new one");
            }
            return Ok(());
        }
        show::note("starting the service again");
        self.tell("stop").await?;
        self.start().await?;
        match self.wait(version).await {
            Verdict::Serves => Ok(()),
            Verdict::Other(other) => Err(format!("was started, and {other} answers")),
            Verdict::Silent => Err("did not answer within a minute".to_owned()),
        }
    }

    /// # Errors
    /// As [`restart`](Self::restart).
    pub(super) async fn start(&self) -> Result<(), String> {
        self.tell("start").await
    }

    async fn wait(&self, version: &Version) -> Verdict {
        let mut trial = Trial::new(version.to_string(), tokio::time::Instant::now().into_std());
        loop {
            let seen = desk::ask(&self.data).await.ok().flatten().map(|state| state.version);
            if let Some(verdict) = trial.look(seen.as_deref(), tokio::time::Instant::now().into_std()) {
                return verdict;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// By the command line: it is the program in its place that knows its service.
    async fn tell(&self, what: &str) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command.args(["service", what]).kill_on_drop(true);
        let done = timeout(LIMIT, command.output()).await;
        let output = done.map_err(|_| format!("did not {what} in time"))?.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("did not {what}: {}", said.lines().next().unwrap_or("it gave no reason")))
    }
}
