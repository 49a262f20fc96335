//! What our programs share: swarm flags, the configuration file, logs, exit codes, lines on stdout.
//!
//! A configuration file holds the same names as the flags. Its entries are turned into flags and
//! parsed together with the real ones, so that a value is checked in one way wherever it stands; a
//! flag on the command line wins over the file, and the file over a default.

mod console;
mod libraries;
mod log_file;
mod settings;
mod span;

use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, IsTerminal, Write},
    net::{Ipv6Addr, UdpSocket},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgMatches, Command, Parser, parser::ValueSource};
use directories::ProjectDirs;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt::MakeWriter, prelude::*};

use crate::{
    identity::{Identity, IdentityError},
    join::JoinError,
    members::MembersError,
    membership::{InviteError, SwarmId},
    swarm::{self, AddressError, Multiaddr, Role, StartError},
};

use self::log_file::LogFile;
pub use self::{
    log_file::{LogFileOptions, LogGuard},
    settings::settings,
    span::parse_span,
};

/// A mistake in flags, files or surroundings ends with this code, anything unexpected with 1.
const EXIT_USAGE: u8 = 2;
/// The file in the data folder with the key that a peer is known by.
pub const IDENTITY: &str = "identity.key";

/// The flags of every program that joins a swarm.
#[derive(clap::Args, Clone, Debug)]
pub struct SwarmOptions {
    /// TOML file with the same names as these flags; a flag wins over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for the identity key and everything else that lasts [default: the platform's own].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen on, as a multiaddr; may be repeated [default: free ports, TCP and QUIC;
    /// on loopback only, unless a --bootstrap address is elsewhere].
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<Multiaddr>,
    /// Address at which others reach this machine, when it is known; may be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    pub external: Vec<Multiaddr>,
    /// Do not ask the router to open our ports (UPnP, PCP, NAT-PMP).
    #[arg(long)]
    pub no_port_mapping: bool,
    /// Address of a peer to begin with, ending in /p2p/ID; may be repeated.
    #[arg(long, value_name = "MULTIADDR", value_parser = swarm::parse_bootstrap)]
    pub bootstrap: Vec<Multiaddr>,
    /// What to log on stderr: error, warn, info, debug, trace, or a tracing filter.
    #[arg(long, value_name = "LEVEL", env = "STARLING_LOG", default_value = "info")]
    pub log: String,
    /// How each line of the log is written: for people, or for programs.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Where else to log.
    #[command(flatten)]
    pub log_file: LogFileOptions,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// Why a program ends.
#[derive(Debug)]
pub enum Exit {
    /// A mistake that its user can correct: one line, and the next step.
    Usage {
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// Something that should not happen.
    Failed(String),
}

impl Exit {
    /// A mistake that its user can correct.
    pub fn usage(what: impl Display, hint: impl Display) -> Self {
        Self::Usage { what: what.to_string(), hint: hint.to_string() }
    }

    /// Something that should not happen.
    pub fn failed(what: impl Display) -> Self {
        Self::Failed(what.to_string())
    }
}

impl From<IdentityError> for Exit {
    fn from(error: IdentityError) -> Self {
        Self::usage(&error, error.hint())
    }
}

impl From<StartError> for Exit {
    fn from(error: StartError) -> Self {
        Self::usage(&error, error.hint())
    }
}

impl From<AddressError> for Exit {
    fn from(error: AddressError) -> Self {
        StartError::from(error).into()
    }
}

impl From<InviteError> for Exit {
    fn from(error: InviteError) -> Self {
        Self::usage(error, error.hint())
    }
}

impl From<JoinError> for Exit {
    fn from(error: JoinError) -> Self {
        Self::usage(&error, error.hint())
    }
}

impl From<MembersError> for Exit {
    fn from(error: MembersError) -> Self {
        Self::usage(&error, error.hint())
    }
}

impl SwarmOptions {
    /// Sends logs to stderr and to the log file, if there is to be one, as much and in the form that was asked for. What
    /// the file has not taken yet is waited for when the guard goes.
    ///
    /// # Errors
    /// When the filter is not one, or the file cannot be written.
    pub fn init_log(&self) -> Result<LogGuard, Exit> {
        let (file, guard) = self.log_file.open()?;
        init_log_as(&self.log, self.log_format, file)?;
        Ok(guard)
    }

    /// The folder for everything that lasts; `program` is its last part where the platform decides.
    ///
    /// # Errors
    /// When neither the flag nor the platform names one.
    pub fn data_dir(&self, program: &str) -> Result<PathBuf, Exit> {
        data_dir(self.data.clone(), program)
    }

    /// What a peer is started with that belongs to no swarm. Reads or makes the identity key in `data`.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn swarm_config(&self, role: Role, data: &Path, serve_relay: bool) -> Result<swarm::Config, Exit> {
        Ok(swarm::Config {
            identity: Identity::load_or_create(&data.join(IDENTITY))?,
            swarm: None,
            role,
            listen: self.listen_beside(&self.bootstrap),
            external: self.external.clone(),
            bootstrap: self.bootstrap.clone(),
            serve_relay,
            port_mapping: !self.no_port_mapping && role != Role::Bootstrap,
            address_book: Some(data.join("peers.cbor")),
            passing: false,
            agent: concat!("starling/", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    /// Makes it a member's: it begins from `addresses` too, which the swarm has named.
    #[must_use]
    pub fn of_swarm(&self, config: swarm::Config, swarm: SwarmId, addresses: &[Multiaddr]) -> swarm::Config {
        let mut bootstrap = config.bootstrap;
        bootstrap.extend(addresses.iter().cloned());
        bootstrap.dedup();
        swarm::Config { swarm: Some(swarm), listen: self.listen_beside(&bootstrap), bootstrap, ..config }
    }

    fn listen_beside(&self, bootstrap: &[Multiaddr]) -> Vec<Multiaddr> {
        if self.listen.is_empty() { default_listen(bootstrap) } else { self.listen.clone() }
    }
}

/// The folder for everything that lasts: the `chosen` one, or the platform's own for `program`.
///
/// # Errors
/// When neither is there.
pub fn data_dir(chosen: Option<PathBuf>, program: &str) -> Result<PathBuf, Exit> {
    let platform = || ProjectDirs::from("org", "starling-swarm", "starling").map(|dirs| dirs.data_dir().join(program));
    chosen
        .or_else(platform)
        .ok_or_else(|| Exit::usage("this machine names no folder for data", "choose one with --data DIR"))
}

/// Free ports, TCP and QUIC; on loopback only, until a peer elsewhere is named.
fn default_listen(bootstrap: &[Multiaddr]) -> Vec<Multiaddr> {
    let ips = match bootstrap.iter().all(swarm::is_loopback) {
        true => vec!["/ip4/127.0.0.1"],
        false if has_ipv6() => vec!["/ip4/0.0.0.0", "/ip6/::"],
        false => vec!["/ip4/0.0.0.0"],
    };
    let both = |ip| [format!("{ip}/tcp/0"), format!("{ip}/udp/0/quic-v1")];
    ips.into_iter().flat_map(both).map(|text| text.parse().expect("an address made here")).collect()
}

/// Whether this machine speaks IPv6 at all; where it is switched off, not even loopback has an address.
fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// What a program does before all else.
pub fn begin() {
    libraries::trust_the_system_alone();
}

/// Parses the command line and the configuration file it names. Usage errors end the process.
#[must_use]
pub fn parse<C: Parser>() -> C {
    try_parse().unwrap_or_else(|exit| usage_error(&exit))
}

/// Parses the command line and the configuration file it names. `--help` and `--version` end the process.
///
/// # Errors
/// When a flag or an entry of the file is wrong.
pub fn try_parse<C: Parser>() -> Result<C, Exit> {
    parse_from(std::env::args_os().collect()).map_err(|error| match error {
        ParseError::Clap(error) if !error.use_stderr() => error.exit(),
        ParseError::Clap(error) => Exit::usage(first_line(&error), "run it with --help to see every flag"),
        ParseError::File(exit) => exit,
    })
}

fn usage_error(exit: &Exit) -> ! {
    report(exit);
    std::process::exit(i32::from(EXIT_USAGE));
}

/// What clap says is wrong, without its own advice.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.split("\n\n").next().unwrap_or_default();
    text.strip_prefix("error: ").unwrap_or(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[derive(Debug)]
enum ParseError {
    Clap(clap::Error),
    File(Exit),
}

fn parse_from<C: Parser>(mut arguments: Vec<OsString>) -> Result<C, ParseError> {
    let command = C::command();
    let matches = command.clone().try_get_matches_from(&arguments).map_err(ParseError::Clap)?;
    let (mut flags, mut chosen) = (Some(&command), &matches);
    // A command may be one of a command: what is read from the file goes to the last one.
    while let Some((name, next)) = chosen.subcommand() {
        (flags, chosen) = (flags.and_then(|flags| flags.find_subcommand(name)), next);
    }
    if let (Some(flags), Ok(Some(file))) = (flags, chosen.try_get_one::<PathBuf>("config")) {
        arguments.extend(file_flags(file, flags, chosen).map_err(ParseError::File)?);
    }
    let matches = command.try_get_matches_from(arguments).map_err(ParseError::Clap)?;
    C::from_arg_matches(&matches).map_err(ParseError::Clap)
}

/// The file's entries as flags, less those that the command line has given.
fn file_flags(file: &Path, command: &Command, given: &ArgMatches) -> Result<Vec<OsString>, Exit> {
    let hint = "every name that may stand in the file is a flag in --help";
    let text = std::fs::read_to_string(file).map_err(|error| {
        Exit::usage(format!("cannot read {}: {error}", file.display()), "check the path after --config")
    })?;
    let table: toml::Table = text.parse().map_err(|error| Exit::usage(format!("{}: {error}", file.display()), hint))?;
    let mut flags = vec![];
    for (name, value) in table.into_iter().flat_map(entries) {
        let known = command.get_arguments().find(|argument| argument.get_long() == Some(&name) && name != "config");
        let Some(argument) = known else {
            return Err(Exit::usage(format!("{}: there is no setting {name:?}", file.display()), hint));
        };
        if given.value_source(argument.get_id().as_str()) != Some(ValueSource::CommandLine) {
            push_flags(&mut flags, &name, value)
                .map_err(|kind| Exit::usage(format!("{}: {name} cannot be {kind}", file.display()), hint))?;
        }
    }
    Ok(flags)
}

/// What stands in a table, as flags with the table's name before theirs: `url` under `[update]` is `--update-url`.
fn entries((name, value): (String, toml::Value)) -> Vec<(String, toml::Value)> {
    match value {
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (format!("{name}-{key}"), value)).collect(),
        value => vec![(name, value)],
    }
}

fn push_flags(flags: &mut Vec<OsString>, name: &str, value: toml::Value) -> Result<(), &'static str> {
    let mut push = |text: String| flags.push(format!("--{name}={text}").into());
    match value {
        toml::Value::String(text) => push(text),
        toml::Value::Integer(number) => push(number.to_string()),
        toml::Value::Float(number) => push(number.to_string()),
        toml::Value::Boolean(true) => flags.push(format!("--{name}").into()),
        toml::Value::Boolean(false) => {}
        toml::Value::Array(values) => return values.into_iter().try_for_each(|value| push_flags(flags, name, value)),
        toml::Value::Datetime(_) => return Err("a date"),
        toml::Value::Table(_) => return Err("a table"),
    }
    Ok(())
}

/// Sends logs to stderr.
///
/// # Errors
/// When the filter is not one.
pub fn init_log(filter: &str) -> Result<(), Exit> {
    init_log_as(filter, LogFormat::Text, None)
}

fn init_log_as(filter: &str, format: LogFormat, file: Option<LogFile>) -> Result<(), Exit> {
    let quiet = "libp2p=warn,libp2p_kad=error,multistream_select=warn,yamux=warn,quinn=warn,hickory=warn,netlink=warn,sqlx=warn";
    let filter = EnvFilter::try_new(format!("{quiet},{filter}"))
        .map_err(|error| Exit::usage(format!("--log: {error}"), "use error, warn, info, debug or trace"))?;
    // Spans are written once for all layers, and colours have no place in a file.
    let colours = io::stderr().is_terminal() && file.is_none() && console::takes_colours();
    let mut layers = vec![lines(format, colours, io::stderr)];
    layers.extend(file.map(|file| lines(format, false, file)));
    // A test that starts several programs in one process sets this once.
    let _ = tracing_subscriber::registry().with(layers.with_filter(filter)).try_init();
    Ok(())
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What writes the log's lines to `writer`.
fn lines<W>(format: LogFormat, colours: bool, writer: W) -> BoxedLayer
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(writer);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}

/// Lets this process open as many files and sockets as the system allows at all. A gateway of a thousand nodes
/// needs more than the usual 1,024; where it cannot be raised, connections beyond it are refused.
#[cfg(unix)]
pub fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::debug!(%error, "the number of open files stays as it is");
    }
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn allow_many_files() {}

/// The end of `main`: says what went wrong and what to do, and gives the exit code.
#[must_use]
pub fn finish(result: Result<(), Exit>) -> ExitCode {
    let Err(exit) = result else { return ExitCode::SUCCESS };
    report(&exit);
    match exit {
        Exit::Usage { .. } => ExitCode::from(EXIT_USAGE),
        Exit::Failed(_) => ExitCode::FAILURE,
    }
}

#[expect(clippy::print_stderr, reason = "the one place where a program tells its user why it ends")]
fn report(exit: &Exit) {
    match exit {
        Exit::Usage { what, hint } => eprintln!("error: {what}\nhint: {hint}"),
        Exit::Failed(what) => eprintln!("error: {what}"),
    }
}

/// Prints one fact on stdout, for whoever started the program. A closed stdout is no reason to die.
pub fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Says who we are and, as they become known, where we listen.
pub fn say_addresses(handle: &swarm::Handle) -> JoinHandle<()> {
    say(format_args!("peer {}", handle.local_peer()));
    let mut addresses = handle.addresses();
    tokio::spawn(async move {
        let mut said: Vec<Multiaddr> = vec![];
        loop {
            let new: Vec<_> = addresses.borrow_and_update().iter().filter(|a| !said.contains(a)).cloned().collect();
            new.iter().for_each(|address| say(format_args!("listening {address}")));
            said.extend(new);
            if addresses.changed().await.is_err() {
                return;
            }
        }
    })
}

/// Cancels at the first Ctrl-C or SIGTERM, and ends the process at the second.
pub fn cancel_on_signal(cancel: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        stop_signal().await;
        tracing::info!("stopping; once more to stop now");
        cancel.cancel();
        stop_signal().await;
        std::process::exit(130);
    })
}

#[cfg(unix)]
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Not when somebody signs out: that is told to every service too, whoever it was. After its window has been closed a program
/// has five seconds.
#[cfg(windows)]
async fn stop_signal() {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
    let (Ok(mut pressed), Ok(mut broken), Ok(mut closed), Ok(mut down)) =
        (ctrl_c(), ctrl_break(), ctrl_close(), ctrl_shutdown())
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = pressed.recv() => {}
        _ = broken.recv() => {}
        _ = closed.recv() => {}
        _ = down.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser, Debug)]
    struct Cli {
        #[command(subcommand)]
        command: Sub,
    }

    #[derive(clap::Subcommand, Debug)]
    enum Sub {
        Run {
            #[command(flatten)]
            swarm: SwarmOptions,
            #[arg(long)]
            relay: bool,
            #[arg(long, default_value_t = 1)]
            slots: u32,
        },
    }

    fn parse_with(file: &str, flags: &[&str]) -> Result<(SwarmOptions, bool, u32), ParseError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, file).unwrap();
        let arguments = ["program", "run", "--config", path.to_str().unwrap()].into_iter().chain(flags.iter().copied());
        let Sub::Run { swarm, relay, slots } = parse_from::<Cli>(arguments.map(Into::into).collect())?.command;
        Ok((swarm, relay, slots))
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = "log = 'debug'\nrelay = true\nslots = 3\nlisten = ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2']";
        let (swarm, relay, slots) = parse_with(file, &[]).unwrap();
        assert_eq!((swarm.log.as_str(), relay, slots, swarm.listen.len()), ("debug", true, 3, 2));
        let (swarm, _, slots) = parse_with(file, &["--slots=4", "--listen=/ip4/127.0.0.1/tcp/3"]).unwrap();
        assert_eq!((slots, swarm.listen.len()), (4, 1));
    }

    #[derive(Parser, Debug)]
    struct Deep {
        #[command(subcommand)]
        command: Outer,
    }

    #[derive(clap::Subcommand, Debug)]
    enum Outer {
        Service {
            #[command(subcommand)]
            command: Inner,
        },
    }

    #[derive(clap::Subcommand, Debug)]
    enum Inner {
        Run {
            #[command(flatten)]
            swarm: SwarmOptions,
        },
        Install {
            #[arg(id = "service-config", long = "config")]
            config: Option<PathBuf>,
        },
    }

    #[test]
    fn a_command_of_a_command_reads_its_file_too_and_one_that_only_names_it_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "log = 'debug'").unwrap();
        let parsed = |verb| {
            let arguments = ["program", "service", verb, "--config", path.to_str().unwrap()];
            let Outer::Service { command } = parse_from::<Deep>(arguments.map(Into::into).to_vec()).unwrap().command;
            command
        };
        assert!(matches!(parsed("run"), Inner::Run { swarm } if swarm.log == "debug"));
        std::fs::write(&path, "what = 'no flag of anything'").unwrap();
        assert!(matches!(parsed("install"), Inner::Install { config } if config.as_ref() == Some(&path)));
    }

    #[test]
    fn a_table_stands_for_the_beginning_of_its_names() {
        let (swarm, ..) = parse_with("relay = true\n[log]\nformat = 'json'", &[]).unwrap();
        assert_eq!(swarm.log_format, LogFormat::Json);
    }

    #[test]
    fn a_peer_listens_on_loopback_until_it_is_told_of_others() {
        let address = |text: &str| vec![text.parse().unwrap()];
        for (bootstrap, listens) in [
            (vec![], "/ip4/127.0.0.1/tcp/0"),
            (address("/ip4/127.0.0.1/tcp/4001"), "/ip4/127.0.0.1/tcp/0"),
            (address("/dns4/gateway.example/tcp/4001"), "/ip4/0.0.0.0/tcp/0"),
        ] {
            assert_eq!(default_listen(&bootstrap)[0].to_string(), listens);
        }
    }

    #[test]
    fn a_wrong_file_is_named() {
        for (file, says) in [
            ("slotz = 3", "there is no setting \"slotz\""),
            ("slots = ", "config.toml"),
            ("[slots]\na = 1", "there is no setting \"slots-a\""),
            ("[log]\nformat = { a = 1 }", "a table"),
        ] {
            let Err(ParseError::File(Exit::Usage { what, hint })) = parse_with(file, &[]) else { panic!("{file}") };
            assert!(what.contains(says), "{what}");
            assert!(hint.contains("--help"));
        }
        assert!(
            matches!(parse_with("slots = 'many'", &[]), Err(ParseError::Clap(_))),
            "a value is checked as a flag is"
        );
    }
}
