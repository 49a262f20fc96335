//! `starling-node update`: the program replaces itself with the release that its gateway serves.
//!
//! What is taken has been signed with the key that was pinned at the installation, is no older than what is here, and
//! has started once before it takes the old program's place. A node that then does not come back is rolled back.
//! [`place`] says what happens on the disk and what a power cut at any of its steps leaves; [`offer`] what is taken;
//! [`automatic`] what is different when nobody looks.

mod automatic;
mod lock;
mod offer;
mod package;
mod place;
mod service;
mod settings;
mod trial;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use semver::Version;
use starling_protocol::{
    program::{Exit, say},
    release::{ReleaseFile, ReleaseKey},
};
use tokio::{process::Command, time::timeout};

use self::{
    lock::Lock,
    offer::{Decision, Source},
    place::{Disk, Next, Place},
    service::Service,
    settings::Settings,
};
use crate::models::{client::Client, show};

pub(crate) use automatic::Record;
pub use settings::Flags;

/// What this program is called, in releases and on the disk.
const PROGRAM: &str = "starling-node";
/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(30);
/// The exit code of `--check` when there is something to update to.
const IS_NEWER: u8 = 10;

/// The flags of `starling-node update`.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Only say whether there is another version: exit code 10 when there is, 0 when not.
    #[arg(long, conflicts_with = "roll_back")]
    check: bool,
    /// As the system starts it each day behind `service install --auto-update`: wait for a moment without answers, half an
    /// hour at most; try no version again that did not serve here; keep what came of it for `status`.
    #[arg(long, conflicts_with_all = ["check", "version", "roll_back"])]
    automatic: bool,
    /// Take this version and no other, also when it is older; it is signed like any.
    #[arg(long, value_name = "VERSION", conflicts_with = "roll_back")]
    version: Option<Version>,
    /// Go back to the program that was here before the last update.
    #[arg(long)]
    roll_back: bool,
    // Its own id: that file is the node's, and not this command's flags.
    /// The node's configuration file, with url and key under [update] [default: /etc/starling/node.toml, on Windows
    /// %ProgramData%\Starling\node.toml].
    #[arg(id = "node_config", long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the node, in place of the one in that file.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The gateway to ask, in place of the one in that file.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The key of its releases, in place of the one in that file.
    #[arg(long, value_name = "KEY")]
    key: Option<ReleaseKey>,
}

/// Does what was asked for.
///
/// # Errors
/// Says what went wrong; the program that was here is then in its place, and running if it ran.
pub async fn run(options: Options) -> Result<ExitCode, Exit> {
    let settings = Settings::read(&options)?;
    let place = Place::of_this_program(PROGRAM)?;
    if options.check {
        return check(&settings, options.version).await;
    }
    place.is_ours()?;
    let _lock = Lock::take(&place)?;
    let service = Service { program: place.program().to_owned(), data: settings.data.clone() };
    let update = Update { place, service };
    if options.automatic {
        return automatic::run(&update, &settings).await;
    }
    if let Some(version) = update.repair().await? {
        say(format_args!("updated {version}"));
        return Ok(ExitCode::SUCCESS);
    }
    if options.roll_back {
        update.go_back().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = Client::of(&settings.url)?;
    let source = Source::fetch(&client, &settings).await?;
    match source.decide(&current()?, options.version.as_ref())? {
        Decision::Newest => say(format_args!("newest {}", current()?)),
        Decision::Take(version, file) => {
            let package = update.download(&client, &source, file).await?;
            update.take(&version, &package).await?;
            update.chose(&version)?;
            say(format_args!("updated {version}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(settings: &Settings, wanted: Option<Version>) -> Result<ExitCode, Exit> {
    let client = Client::of(&settings.url)?;
    let source = Source::fetch(&client, settings).await?;
    let current = current()?;
    Ok(match source.decide(&current, wanted.as_ref())? {
        Decision::Newest => {
            say(format_args!("newest {current}"));
            ExitCode::SUCCESS
        }
        Decision::Take(version, file) => {
            say(format_args!("update {version}"));
            show::note(&format!("this is {current}; {} to download", show::size(file.bytes)));
            ExitCode::from(IS_NEWER)
        }
    })
}

/// What came of the last update that nobody looked at, where there was one.
pub(crate) fn last() -> Option<Record> {
    let place = Place::of_this_program(PROGRAM).ok()?;
    Some(Record::read(&place.record())).filter(|record| *record != Record::default())
}

/// The gateway and the key of a configuration file.
///
/// # Errors
/// When it names none, or they are wrong.
pub(crate) fn source(config: &Path) -> Result<(String, String), Exit> {
    let settings = Settings::read(&Options { config: Some(config.to_owned()), ..Options::default() })?;
    Ok((settings.url.to_string(), settings.key.to_string()))
}

/// The version of this program.
fn current() -> Result<Version, Exit> {
    env!("CARGO_PKG_VERSION").parse().map_err(Exit::failed)
}

/// An update of the program in its place.
struct Update {
    place: Place,
    service: Service,
}

impl Update {
    /// Ends what an earlier update was cut off in; the version that has its place by that.
    async fn repair(&self) -> Result<Option<Version>, Exit> {
        let (disk, unwritable) = (Disk::default(), |error| self.place.unwritable(&error));
        let version = match self.place.after_cut().map_err(unwritable)? {
            Next::Nothing => return Ok(None),
            Next::Discard => return self.place.discard(&disk).map(|()| None).map_err(unwritable),
            Next::Finish(version) => {
                show::note(&format!("going on with the update to {version}, which was cut off"));
                self.place.swap(&disk).map_err(unwritable)?;
                version
            }
            Next::Prove(version) => version,
        };
        self.prove(&version).await?;
        Ok(Some(version))
    }

    /// Loads the package beside the program, where there is room for it or not at all.
    async fn download(&self, client: &Client, source: &Source, file: &ReleaseFile) -> Result<PathBuf, Exit> {
        let path = self.place.folder().join(format!(".{}", file.name));
        crate::models::pull::fetch(client, &source.remote(file)?, &path).await?;
        Ok(path)
    }

    /// Puts a package's program into its place, and back if it is of no use.
    async fn take(&self, version: &Version, package: &Path) -> Result<(), Exit> {
        let disk = Disk::default();
        let staged = self.place.stage(package, version);
        let removed = std::fs::remove_file(package);
        staged?;
        removed.map_err(|error| self.place.unwritable(&error))?;
        if let Err(exit) = says_version(&self.place.staged(), version).await {
            self.place.discard(&disk).map_err(|error| self.place.unwritable(&error))?;
            return Err(exit);
        }
        self.place.commit(&disk, version).map_err(|error| self.place.unwritable(&error))?;
        self.place.swap(&disk).map_err(|error| self.place.unwritable(&error))?;
        self.prove(version).await
    }

    /// Somebody wanted this version in place of the one that runs here: what is done by itself heeds that.
    fn chose(&self, version: &Version) -> Result<(), Exit> {
        let path = self.place.record();
        let before = Record::read(&path);
        let mut record = before.clone();
        record.chosen(&current()?, version);
        if record == before {
            return Ok(());
        }
        record.write(&path).map_err(|error| self.place.unwritable(&error))
    }

    /// Restarts the service, if one runs, and waits for the new program in it; without it, goes back.
    async fn prove(&self, version: &Version) -> Result<(), Exit> {
        let disk = Disk::default();
        let why = match self.service.restart(version).await {
            Ok(()) => return self.place.settle(&disk).map_err(|error| self.place.unwritable(&error)),
            Err(why) => why,
        };
        show::note(&format!("{version} is of no use here: {why}. Going back to the version before"));
        self.place.undo(&disk).map_err(|error| self.place.unwritable(&error))?;
        let back = match self.service.start().await {
            Ok(()) => "the version before is in its place again, and runs",
            Err(_) => "the version before is in its place again; start it with starling-node service start",
        };
        Err(Exit::failed(format!("{version} {why}; {back}")))
    }

    /// Changes places with the program of before.
    async fn go_back(&self) -> Result<(), Exit> {
        if !self.place.has_old() {
            return Err(Exit::usage("there is no older program here", "update --version takes one from the gateway"));
        }
        let version = version_of(&self.place.old()).await.map_err(|why| {
            Exit::usage(
                format!("the older program cannot be used: {why}"),
                "update --version takes one from the gateway",
            )
        })?;
        self.place.go_back(&Disk::default()).map_err(|error| self.place.unwritable(&error))?;
        self.chose(&version)?;
        self.service.restart(&version).await.map_err(|why| Exit::failed(format!("{version} {why}")))?;
        say(format_args!("rolled back to {version}"));
        Ok(())
    }
}

/// Starts a program, and sees that it is what it should be.
async fn says_version(program: &Path, wanted: &Version) -> Result<(), Exit> {
    let refused = |why: String| {
        Exit::usage(format!("{wanted} is not taken: {why}"), "the program here stays; tell the gateway's operator")
    };
    let version = version_of(program).await.map_err(refused)?;
    if version == *wanted { Ok(()) } else { Err(refused(format!("its program says that it is {version}"))) }
}

async fn version_of(program: &Path) -> Result<Version, String> {
    let mut command = Command::new(program);
    command.arg("--version").kill_on_drop(true);
    let done = timeout(VERSION_LIMIT, command.output()).await;
    let output = done.map_err(|_| "it does not end".to_owned())?.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.trim().rsplit(' ').next().and_then(|version| version.parse().ok());
    version.filter(|_| output.status.success()).ok_or_else(|| "it does not start on this machine".to_owned())
}

#[cfg(test)]
mod tests;
