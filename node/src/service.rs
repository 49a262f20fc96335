//! `starling-node service`: the node as a service of its system, which starts it before anybody signs in, starts it again
//! when it fails, and lets it end in order. The same commands on Windows (service control manager) and Linux (systemd).
//!
//! `plan` says what is to be installed and `report` what there is, both without asking the system; `systemd` and `windows`
//! do what is planned.

#[cfg(any(windows, test))]
mod account;
pub mod events;
pub mod notify;
#[cfg(any(windows, test))]
mod phase;
mod plan;
mod report;
#[cfg(not(windows))]
mod systemd;
#[cfg(not(windows))]
mod unit;
mod updates;
#[cfg(windows)]
mod windows;
mod words;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use futures::future::BoxFuture;
use starling_protocol::program::{self, Exit, say};
use tokio_util::sync::CancellationToken;

#[cfg(not(windows))]
use self::systemd as system;
#[cfg(windows)]
use self::windows as system;
use self::{
    plan::Plan,
    updates::{Updates, Wish},
};
pub(crate) use self::{plan::data_folder, report::Report};
use crate::{Config, config};

/// What the service is called, on every system.
pub const NAME: &str = "starling-node";
/// What people see of it in lists.
#[cfg(windows)]
const TITLE: &str = "Starling node";

const STARTED: &str = "started; `starling-node service status` says whether it stays so";

/// The flags of `starling-node service`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Install the service, or bring it up to date: the system then starts the node by itself, before anybody signs in.
    /// Needs an administrator's rights.
    Install(Install),
    /// Stop the service and take it away. What the node has stored stays. Needs an administrator's rights.
    Uninstall,
    /// Start the service. Needs an administrator's rights.
    Start,
    /// Stop the service: the node hands its answers over and leaves. Needs an administrator's rights.
    Stop,
    /// Stop the service and start it again, with the program and the configuration that are there now. Needs an
    /// administrator's rights.
    Restart,
    /// Whether the service is there and runs, with what, and where its log is. The exit code is 0 when it runs, 3 when it
    /// is stopped, 4 when it is not installed.
    Status(Status),
    /// Be the service, for the system that starts it.
    #[command(hide = true)]
    Run(Box<config::Options>),
}

/// The flags of `starling-node service install`.
#[derive(Args, Clone, Debug, Default)]
struct Install {
    // Its own id: this file is not read for this command's flags.
    /// Configuration file of the service; it is made when it is not there [default: /etc/starling/node.toml, on Windows
    /// node.toml in the data folder].
    #[arg(id = "service-config", long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for what the node keeps [default: /var/lib/starling-node, on Windows %ProgramData%\Starling].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What others call this node, written into the configuration file [default: this machine's name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Keep the program up to date: the system looks each day for a newer release at the gateway that the configuration
    /// names now under [update], and runs `starling-node update` as administrator, while nobody has an answer of the node's.
    #[arg(long)]
    auto_update: bool,
    /// Take that away again; with neither it stays as it is.
    #[arg(long, conflicts_with = "auto_update")]
    no_auto_update: bool,
}

impl Install {
    fn wish(&self) -> Wish {
        match (self.auto_update, self.no_auto_update) {
            (true, _) => Wish::ByItself,
            (false, true) => Wish::ByHand,
            (false, false) => Wish::AsBefore,
        }
    }
}

/// The flags of `starling-node service status`.
#[derive(Args, Clone, Debug)]
struct Status {
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// Serves with this configuration until it is told to stop.
pub type Serve = fn(Config, CancellationToken) -> BoxFuture<'static, Result<(), Exit>>;

/// Does what was asked for. `settings` is the text of a configuration file with nothing set; `serve` is the node.
///
/// # Errors
/// Says what is missing, such as rights, and what to do.
pub fn run(options: Options, settings: &str, serve: Serve) -> Result<ExitCode, Exit> {
    match options.command {
        Command::Install(flags) => {
            let wish = flags.wish();
            let plan = Plan::new(flags.config, flags.data, flags.name)?;
            // What is missing for it is said before anything is done.
            let updates = (wish == Wish::ByItself).then(|| Updates::of(&plan.config)).transpose()?;
            system::install(&plan, settings)?.iter().for_each(say);
            match (updates, wish) {
                (Some(updates), _) => say(system::update_by_itself(&plan, &updates)?),
                (None, Wish::ByHand) => system::update_by_hand()?.iter().for_each(say),
                (None, _) => {}
            }
            say(plan.next_step(system::report().is_ok_and(|report| report.is_running())));
        }
        Command::Uninstall => system::uninstall()?.iter().for_each(say),
        Command::Start => {
            system::start()?;
            say(STARTED);
        }
        Command::Restart => {
            system::restart()?;
            say(STARTED);
        }
        Command::Stop => {
            system::stop()?;
            say("stopped");
        }
        Command::Status(flags) => {
            let report = system::report()?;
            say(if flags.json { serde_json::to_string_pretty(&report).map_err(Exit::failed)? } else { report.shown() });
            return Ok(ExitCode::from(report.code()));
        }
        Command::Run(options) => return system::serve(*options, serve),
    }
    Ok(ExitCode::SUCCESS)
}

/// The end of a program whose flags or configuration file are wrong. A service tells the system, which waits for a word of
/// it and cannot see what is said on stderr.
#[must_use]
pub fn refuse(exit: Exit) -> ExitCode {
    #[cfg(windows)]
    if std::env::args_os().skip(1).take(2).eq(["service", "run"]) {
        return system::refuse(exit).unwrap_or_else(|exit| program::finish(Err(exit)));
    }
    program::finish(Err(exit))
}

/// How the service does.
///
/// # Errors
/// When the system does not say.
pub(crate) fn report() -> Result<Report, Exit> {
    system::report()
}

/// Sees to it that nobody else can read what will lie in a data folder that is not there yet.
///
/// # Errors
/// When the rights for that are missing.
#[cfg(windows)]
pub(crate) fn prepare_folder(data: &std::path::Path) -> Result<(), Exit> {
    system::prepare_folder(data)
}
