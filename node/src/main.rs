//! The `starling-node` program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use starling_node::{
    Config, Node, bench,
    config::{JoinOptions, Options},
    doctor, models, polite, selftest, service, status, tensorrt, update,
};
use starling_protocol::program::{self, Exit, say};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Computes answers for a Starling swarm. Connections go out only: no port has to be opened.
#[derive(Parser)]
#[command(name = "starling-node", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Join a swarm with the invite that its gateway has printed, and serve until stopped. Prints `joined SWARM`.
    Join(Box<JoinOptions>),
    /// Serve until stopped, in the swarm that was joined before.
    Run(Box<Options>),
    /// Be the process of one engine, for the node that started this one.
    #[command(hide = true)]
    Engine,
    /// How the node does that runs on this machine.
    Status(status::Options),
    /// The node as a service of this system: started before anybody signs in, and again when it fails.
    Service(service::Options),
    /// Print a configuration file with every setting of `run`, what it is for and its default, for --config.
    Config,
    /// Have the node leave this machine to others, for a while or until starling-node resume.
    Pause(polite::command::PauseOptions),
    /// End a pause, and do not wait for a while where its reason has gone.
    Resume(polite::command::NodeOptions),
    /// Watch this person's screen for a node that is a service, and tell it while a full-screen program runs. Windows
    /// starts it at sign-in.
    Desktop(polite::command::NodeOptions),
    /// The models on this machine.
    Models(models::Options),
    /// What this machine can do, and what to do about the rest.
    Doctor(doctor::Options),
    /// NVIDIA's TensorRT-RTX, for models on graphics cards.
    Tensorrt(tensorrt::Options),
    /// Whether an engine is right on this machine, and how fast.
    Selftest(selftest::Options),
    /// Build one engine, for the command that started this one.
    #[command(hide = true)]
    BuildEngine,
    /// Test the engines of one model, for the node that started this one.
    #[command(hide = true)]
    TestEngine,
    /// How fast a model is on this machine.
    Bench(bench::Options),
    /// Replace this program by the newest that its gateway serves, and go back when that is of no use. The exit code is 0
    /// when that is done or there is nothing newer, 1 when it failed and the version before is in its place, 2 when
    /// something has to be corrected first.
    Update(update::Options),
}

fn main() -> ExitCode {
    program::begin();
    let command = match program::try_parse::<Cli>() {
        Ok(cli) => cli.command,
        Err(exit) => return service::refuse(exit),
    };
    // That has its own way to live, and no word for the person at the terminal.
    match command {
        Command::Engine => starling_inference::host::serve(),
        Command::BuildEngine => models::build_engine(),
        // Windows has the service's thread begin before there is anything else.
        Command::Service(options) => as_service(options),
        Command::Update(options) => update(options),
        Command::TestEngine => tensorrt::test_engine(),
        command => obey(command),
    }
}

#[tokio::main]
async fn obey(command: Command) -> ExitCode {
    program::finish(match command {
        Command::Join(options) => Box::pin(join(*options)).await,
        Command::Run(options) => Box::pin(run(*options)).await,
        Command::Status(options) => status::run(options).await,
        Command::Pause(options) => polite::command::pause(options).await,
        Command::Resume(options) => polite::command::resume(options).await,
        Command::Desktop(options) => polite::desktop::run(options).await,
        Command::Models(options) => models::run(options).await,
        Command::Doctor(options) => doctor::run(options).await,
        Command::Bench(options) => bench::run(options).await,
        Command::Tensorrt(options) => tensorrt::run(options).await,
        Command::Selftest(options) => selftest::run(options),
        Command::Config => {
            say(program::settings::<Cli>("run").trim_end());
            Ok(())
        }
        Command::Engine | Command::BuildEngine | Command::TestEngine | Command::Service(_) | Command::Update(_) => {
            Ok(())
        }
    })
}

fn as_service(options: service::Options) -> ExitCode {
    let done =
        service::run(options, &program::settings::<Cli>("run"), |config, cancel| Box::pin(serve(config, cancel)));
    done.unwrap_or_else(|exit| program::finish(Err(exit)))
}

#[tokio::main]
async fn update(options: update::Options) -> ExitCode {
    match Box::pin(update::run(options)).await {
        Ok(code) => code,
        Err(exit) => program::finish(Err(exit)),
    }
}

async fn run(options: Options) -> Result<(), Exit> {
    let _log = options.swarm.init_log()?;
    Box::pin(serve(options.config()?, stop_on_signal())).await
}

async fn join(options: JoinOptions) -> Result<(), Exit> {
    let _log = options.run.swarm.init_log()?;
    let (cancel, only) = (stop_on_signal(), options.only);
    match cancel.run_until_cancelled(options.config()).await {
        Some(Ok(config)) if !only => Box::pin(serve(config, cancel)).await,
        Some(joined) => joined.map(drop),
        None => Ok(()),
    }
}

fn stop_on_signal() -> CancellationToken {
    let cancel = CancellationToken::new();
    program::cancel_on_signal(cancel.clone());
    cancel
}

async fn serve(config: Config, cancel: CancellationToken) -> Result<(), Exit> {
    service::notify::ready();
    let stopping = cancel.clone();
    tokio::spawn(async move {
        stopping.run_until_cancelled(service::notify::keep_alive()).await;
        service::notify::stopping();
    });
    if config.polite.polite != polite::Level::Off {
        // Before there is any engine: they inherit it.
        polite::lower_priority();
    }
    let first_peers = !config.swarm.bootstrap.is_empty();
    let starting = Box::pin(starling_node::start(config));
    let Some(node) = cancel.run_until_cancelled(starting).await else { return Ok(()) };
    let node = node?;
    program::say_addresses(node.swarm());
    if node.models().iter().any(|model| model.engine.info().demo) {
        info!(
            "this is the tiny demo model: it shows that all works and knows next to nothing; --model takes a real one"
        );
    }
    if first_peers {
        joined(&node, &cancel).await;
    } else {
        warn!("the swarm has named no address to begin from: name one with --bootstrap");
    }
    for model in &*node.models() {
        let info = model.engine.info();
        if !info.warning.is_empty() {
            warn!(model = info.name, "{}", info.warning);
            service::events::note(service::events::Event::Attention, &format!("{}: {}", info.name, info.warning));
        }
        say(format_args!("device {}", info.device));
        say(format_args!("serving {}", info.name));
    }
    node.run(cancel).await
}

/// Waits for the first peer, and says so when that takes long.
async fn joined(node: &Node, cancel: &CancellationToken) {
    let mut peers = node.swarm().peers();
    let patience = std::time::Duration::from_secs(5);
    let mut met = Box::pin(cancel.run_until_cancelled(peers.wait_for(|peers| !peers.is_empty())));
    if tokio::time::timeout(patience, &mut met).await.is_err() {
        warn!("no peer of the swarm answers yet; still trying");
        met.await;
    }
}
