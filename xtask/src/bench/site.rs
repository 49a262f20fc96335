//! A fresh swarm on this computer with an administrator, for as long as something is measured.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::api::{Login, Session};
use crate::say;
use crate::stop::Stop;
use crate::swarm::{Plan, Swarm};

/// What measures has one access token for all of its time, and asks as fast as it can.
const UNLIMITED: [&str; 10] = [
    "--access-minutes",
    "1440",
    "--limit-address",
    "0",
    "--limit-user",
    "0",
    "--limit-key",
    "0",
    "--limit-sign-in",
    "0",
];

/// A running swarm and how it is asked.
pub(crate) struct Site {
    pub(crate) swarm: Swarm,
    pub(crate) session: Session,
    /// An API key.
    pub(crate) key: String,
    dir: TempDir,
}

impl Site {
    /// With these nodes, given by their arguments, all of them in sight; and these of the gateway's own.
    pub(crate) fn start(programs: &Path, gateway: &[&str], nodes: Vec<Vec<OsString>>, stop: &Stop) -> Result<Self> {
        let dir = TempDir::with_prefix("starling-bench-")?;
        let gateway = gateway.iter().chain(&UNLIMITED).map(OsString::from).collect();
        let expected = nodes.len();
        let plan = Plan { programs: programs.into(), data: dir.path().into(), port: 0, gateway, nodes };
        let mut swarm = Swarm::start(&plan, stop)?;
        if expected > 0 {
            swarm.wait_until_found(expected, stop)?;
        }
        let code = swarm.setup_code().context("a fresh gateway has a one-time code")?;
        let login = Login { username: "bench".into(), password: "a long enough password".into() };
        let session = Session::set_up(swarm.url(), code, &login)?;
        let key = session.make_key("bench")?;
        Ok(Self { swarm, session, key, dir })
    }

    /// HOST:PORT of the gateway's HTTP.
    pub(crate) fn gateway(&self) -> &str {
        self.swarm.url().trim_start_matches("http://")
    }

    /// The process of one of its parts.
    pub(crate) fn process(&self, name: &str) -> u32 {
        let processes = self.swarm.processes();
        processes.into_iter().find(|(found, _)| found == name).map_or(0, |(_, id)| id)
    }

    /// Ends it; where something went wrong its logs are kept.
    pub(crate) fn end<T>(self, measured: Result<T>, stop: &Stop) -> Result<T> {
        self.swarm.stop(stop);
        if measured.is_err() {
            say::note(&format!("logs are kept in {}", self.dir.keep().display()));
        }
        measured
    }
}

/// A scripted node's arguments.
pub(crate) fn scripted(options: &str) -> Vec<OsString> {
    ["--engine", "scripted", "--scripted", options].map(OsString::from).to_vec()
}
