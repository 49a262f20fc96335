//! The release that this gateway hands out: the scripts that install a node, the manifest, and the packages it names.
//!
//! A [`Keeper`] looks at the operator's folder and says in a `watch` what may be served of it. Nothing is, unless the
//! manifest was signed with the pinned key and every file is what the manifest says. It knows no HTTP: `api/releases.rs`
//! does.

mod check;
mod scripts;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use starling_protocol::release::{MANIFEST, Manifest, ReleaseFile, ReleaseKey, SIGNATURE};
use thiserror::Error;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::check::Sums;
pub(crate) use self::scripts::Script;

/// How often the folder is looked at: a handful of names, while nothing has changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a gateway is told of releases.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Options {
    /// Folder of a signed release, as cargo xtask dist and sign make it: the gateway serves /install.sh, /install.ps1 and
    /// the packages out of it, once all checksums are right. Looked at again when it changes. Needs --release-key, and
    /// --public-url for the scripts.
    #[arg(long, value_name = "DIR", requires = "release_key")]
    pub releases: Option<PathBuf>,
    /// The public key that releases must be signed with, RWS…, as minisign writes it: pinned in the scripts.
    #[arg(long, value_name = "KEY", requires = "releases")]
    pub release_key: Option<ReleaseKey>,
}

/// Why there is nothing to be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoRelease {
    /// The operator has given none.
    #[error(
        "This gateway hands out no programs. Its operator can change that: give it a folder that `cargo xtask dist` has \
         made and `cargo xtask sign` has signed, with --releases DIR --release-key KEY."
    )]
    None,
    /// It is still being read.
    #[error("The release is being checked. Try again in a moment.")]
    Looking,
    /// It is not what it must be.
    #[error("The gateway's release folder is not served: {0}. Its operator sees the same in the log.")]
    Refused(String),
    /// Nobody knows what to call the gateway.
    #[error(
        "The gateway does not know its own address, which has to stand in the script. Its operator can change that: \
         --public-url https://…"
    )]
    NoOrigin,
}

/// What may be served. Cheap to clone.
#[derive(Clone)]
pub struct Releases {
    standing: watch::Receiver<Standing>,
    origin: Option<String>,
}

type Standing = Result<Arc<Release>, NoRelease>;

/// A release whose every file was checked.
#[derive(Debug, PartialEq)]
pub(crate) struct Release {
    pub(crate) manifest: Manifest,
    /// As it was signed.
    pub(crate) document: Vec<u8>,
    pub(crate) signature: String,
    key: ReleaseKey,
    folder: PathBuf,
    stamps: BTreeMap<String, Stamp>,
}

/// How a file was when it was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
}

/// Looks after the folder.
pub struct Keeper {
    place: Option<(PathBuf, ReleaseKey)>,
    /// How the files were at the last look.
    seen: Vec<Option<Stamp>>,
    sums: Sums,
    standing: watch::Sender<Standing>,
}

/// Which systems can be installed from here, and how the gateway is called in the commands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installs {
    pub(crate) origin: String,
    pub(crate) linux: bool,
    pub(crate) windows: bool,
}

impl Releases {
    /// Nothing is served until the keeper has looked. `origin` is how people reach the gateway, where that is known.
    #[must_use]
    pub fn new(options: &Options, origin: Option<String>) -> (Self, Keeper) {
        let place = options.releases.clone().zip(options.release_key.clone());
        let first = if place.is_some() { NoRelease::Looking } else { NoRelease::None };
        let (sender, standing) = watch::channel(Err(first));
        let keeper = Keeper { place, seen: vec![], sums: Sums::default(), standing: sender };
        (Self { standing, origin }, keeper)
    }

    /// What there is.
    pub(crate) fn current(&self) -> Result<Arc<Release>, NoRelease> {
        self.standing.borrow().clone()
    }

    /// A script for the release that there is.
    pub(crate) fn script(&self, script: Script) -> Result<String, NoRelease> {
        let release = self.current()?;
        let origin = self.origin.as_deref().ok_or(NoRelease::NoOrigin)?;
        Ok(script.filled(origin, &release.key, &release.manifest.version))
    }

    /// What a page can tell people to run; none while there is nothing.
    pub(crate) fn installs(&self) -> Option<Installs> {
        let (release, origin) = (self.current().ok()?, self.origin.clone()?);
        let has = |system| release.manifest.package("starling-node", system, "x86_64", "archive").is_some();
        let installs = Installs { origin, linux: has("linux"), windows: has("windows") };
        (installs.linux || installs.windows).then_some(installs)
    }
}

impl Release {
    /// Opens a file that the manifest names, as long as it is the one that was checked.
    pub(crate) fn open(&self, name: &str) -> io::Result<Option<(File, &ReleaseFile)>> {
        let Some(entry) = self.manifest.files.iter().find(|file| file.name == name) else { return Ok(None) };
        let file = File::open(self.folder.join(&entry.name))?;
        let is_same = Stamp::of(&file.metadata()?).as_ref() == self.stamps.get(name);
        if is_same { Ok(Some((file, entry))) } else { Err(io::Error::other("it has changed since it was checked")) }
    }
}

impl Stamp {
    fn of(file: &fs::Metadata) -> Option<Self> {
        Some(Self { modified: file.modified().ok()?, bytes: file.len() }).filter(|_| file.is_file())
    }

    fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().and_then(Self::of)
    }
}

impl Keeper {
    /// Looks now and then until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.place.is_some() && stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // Some hundred megabytes may have to be read.
            let looking = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            let Ok(back) = looking.await else { return };
            self = back;
        }
        stop.cancelled().await;
    }

    /// Checks the folder when it is not as it was.
    pub(crate) fn look(&mut self) {
        let Some((folder, key)) = self.place.clone() else { return };
        let now = self.stamps(&folder);
        if now == self.seen {
            return;
        }
        let documents = [now[0], now[1]];
        let standing = check::check(&folder, &key, &mut self.sums).map(Arc::new).map_err(NoRelease::Refused);
        match &standing {
            Ok(release) => {
                // As they were before they were read: what has changed meanwhile is seen by the next look.
                let files = release.manifest.files.iter().map(|file| release.stamps.get(&file.name).copied());
                self.seen = documents.into_iter().chain(files).collect();
                tracing::info!(version = %release.manifest.version, files = release.manifest.files.len(), "a release is served");
            }
            Err(why) if *self.standing.borrow() != standing => tracing::warn!("{why}"),
            Err(_) => {}
        }
        drop(self.standing.send_replace(standing));
    }

    /// Of the two documents and of whatever the last good manifest named.
    fn stamps(&self, folder: &Path) -> Vec<Option<Stamp>> {
        let standing = self.standing.borrow();
        let named = standing.iter().flat_map(|release| &release.manifest.files).map(|file| file.name.as_str());
        [MANIFEST, SIGNATURE].into_iter().chain(named).map(|name| Stamp::at(&folder.join(name))).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
