//! An update that nobody looks at: when it goes ahead, what it takes no second time, and what its owner finds of it later.
//!
//! The system's own timer starts it, with an administrator's rights, so that the node that serves needs none. It takes what
//! `update` takes: signed, and newer. The record lies beside the program, where only administrators write.

use std::{
    fs, io,
    io::Read,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use semver::Version;
use serde::{Deserialize, Serialize};
use starling_protocol::{
    disk::replace,
    program::{Exit, say},
};

use super::{
    Update, current,
    offer::{Decision, Source},
    settings::Settings,
};
use crate::{
    desk::{self, NodeState},
    models::client::Client,
};

/// How long it waits for a moment without answers. Those that run then are handed over, as whenever a node stops.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How often the node is asked whether it computes.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Versions that are remembered because they were of no use here.
const MAX_TRIED: usize = 16;
const MAX_BYTES: u64 = 64 << 10;

/// What came of it last, and before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// When it looked last, in seconds since 1970.
    looked_at: u64,
    /// What came of that, in words.
    outcome: String,
    /// Versions that were begun and did not come to serve.
    tried: Vec<String>,
}

impl Record {
    /// The one at this path; an empty one where there is none that can be read.
    pub(super) fn read(path: &Path) -> Self {
        let mut text = String::new();
        let read = fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &serde_json::to_vec_pretty(self).map_err(io::Error::other)?)
    }

    /// Once is enough: a version that did not serve is not tried again.
    fn may_take(&self, version: &Version) -> bool {
        !self.tried.contains(&version.to_string())
    }

    /// Before anything is changed, so that it is known also when the machine goes down by it.
    fn begin(&mut self, version: &Version) {
        self.tried.push(version.to_string());
        let surplus = self.tried.len().saturating_sub(MAX_TRIED);
        self.tried.drain(..surplus);
    }

    fn serves(&mut self, version: &Version) {
        self.tried.retain(|tried| *tried != version.to_string());
    }

    /// Who goes from one version to another by hand does not want the first one back by itself.
    pub(super) fn chosen(&mut self, from: &Version, to: &Version) {
        self.serves(from);
        self.serves(to);
        if to < from {
            self.begin(from);
        }
    }

    /// One line for its owner; none before the first time.
    pub(crate) fn line(&self) -> Option<String> {
        let at = i64::try_from(self.looked_at).ok().filter(|at| *at > 0)?;
        let at = jiff::Timestamp::from_second(at).ok()?;
        Some(format!("{} (looked {at})", self.outcome))
    }
}

/// How it ended when nothing went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Newest(Version),
    Skipped(Version),
    Updated(Version),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newest(version) => write!(to, "newest {version}"),
            Self::Skipped(version) => {
                write!(to, "{version} was of no use here and is not tried again; starling-node update tries it by hand")
            }
            Self::Updated(version) => write!(to, "updated {version}"),
        }
    }
}

/// A wait for a moment in which nobody has an answer of the node's.
struct Idle {
    until: Instant,
}

impl Idle {
    fn new(now: Instant) -> Self {
        Self { until: now + PATIENCE }
    }

    /// Whether to go ahead, by what the node says of itself; nothing where none runs.
    fn is_over(&self, node: Option<&NodeState>, now: Instant) -> bool {
        let computes = |node: &NodeState| node.models.iter().any(|model| model.slots_free < model.slots);
        // What rests has no slots, free or not.
        let busy = node.is_some_and(|node| node.paused.is_none() && computes(node));
        !busy || now >= self.until
    }
}

/// Looks, and takes what is newer. What came of it is kept and said.
///
/// # Errors
/// Says what went wrong; the program that was here is then in its place, and running if it ran.
pub(super) async fn run(update: &Update, settings: &Settings) -> Result<ExitCode, Exit> {
    let path = update.place.record();
    let mut record = Record::read(&path);
    let done = once(update, settings, &mut record).await;
    record.looked_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    record.outcome = match &done {
        Ok(outcome) => outcome.to_string(),
        Err(Exit::Usage { what, .. } | Exit::Failed(what)) => format!("not updated: {what}"),
    };
    record.write(&path).map_err(|error| update.place.unwritable(&error))?;
    say(done?);
    Ok(ExitCode::SUCCESS)
}

async fn once(update: &Update, settings: &Settings, record: &mut Record) -> Result<Outcome, Exit> {
    if let Some(version) = update.repair().await? {
        record.serves(&version);
        return Ok(Outcome::Updated(version));
    }
    let client = Client::of(&settings.url)?;
    let source = Source::fetch(&client, settings).await?;
    let current = current()?;
    let (version, file) = match source.decide(&current, None)? {
        Decision::Newest => return Ok(Outcome::Newest(current)),
        Decision::Take(version, _) if !record.may_take(&version) => return Ok(Outcome::Skipped(version)),
        Decision::Take(version, file) => (version, file),
    };
    let package = update.download(&client, &source, file).await?;
    record.begin(&version);
    record.write(&update.place.record()).map_err(|error| update.place.unwritable(&error))?;
    wait_until_idle(&settings.data).await;
    update.take(&version, &package).await?;
    record.serves(&version);
    Ok(Outcome::Updated(version))
}

async fn wait_until_idle(data: &Path) {
    let idle = Idle::new(tokio::time::Instant::now().into_std());
    loop {
        let node = desk::ask(data).await.ok().flatten();
        if idle.is_over(node.as_ref(), tokio::time::Instant::now().into_std()) {
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::{ModelState, PauseState};

    fn node(slots_free: u32) -> NodeState {
        let model = |slots_free| ModelState { slots: 2, slots_free, ..ModelState::default() };
        NodeState { models: vec![model(2), model(slots_free)], ..NodeState::default() }
    }

    #[test]
    fn it_waits_for_answers_and_not_for_ever() {
        let start = Instant::now();
        let idle = Idle::new(start);
        let late = start + PATIENCE;
        assert!(idle.is_over(None, start), "nobody serves");
        assert!(idle.is_over(Some(&node(2)), start));
        assert!(!idle.is_over(Some(&node(1)), start));
        assert!(!idle.is_over(Some(&node(0)), late - Duration::from_secs(1)));
        assert!(idle.is_over(Some(&node(0)), late));
        let rests = NodeState { paused: Some(PauseState::default()), ..node(0) };
        assert!(idle.is_over(Some(&rests), start));
    }

    #[test]
    fn what_did_not_serve_is_tried_once() {
        let (bad, good) = (Version::new(1, 2, 3), Version::new(1, 2, 4));
        let mut record = Record::default();
        assert!(record.may_take(&bad));
        record.begin(&bad);
        assert!(!record.may_take(&bad) && record.may_take(&good));
        record.begin(&good);
        record.serves(&good);
        assert!(record.may_take(&good), "it may be taken again behind a roll-back by hand");
        record.chosen(&good, &bad);
        assert!(record.may_take(&bad) && !record.may_take(&good), "its owner went back");
        record.chosen(&bad, &good);
        assert!(record.may_take(&bad) && record.may_take(&good), "and forward again");
        record.begin(&bad);
        for patch in 0..u64::try_from(MAX_TRIED).unwrap() {
            record.begin(&Version::new(2, 0, patch));
        }
        assert_eq!(record.tried.len(), MAX_TRIED);
        assert!(record.may_take(&bad), "the oldest is forgotten");
    }

    #[test]
    fn a_record_is_kept_and_damage_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("starling-node.record");
        assert_eq!(Record::read(&path), Record::default());
        assert_eq!(Record::default().line(), None);
        let record = Record { looked_at: 1_700_000_000, outcome: "newest 1.2.3".into(), tried: vec!["1.2.4".into()] };
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path), record);
        assert_eq!(record.line().unwrap(), "newest 1.2.3 (looked 2023-11-14T22:13:20Z)");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no half stays behind");
        fs::write(&path, "{ damaged").unwrap();
        assert_eq!(Record::read(&path), Record::default());
    }
}
