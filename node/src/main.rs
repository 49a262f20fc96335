//! The `starling-node` program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use starling_node::{Node, bench, config::Options, doctor, models, status};
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
    /// Join the swarm and serve until stopped.
    Run(Box<Options>),
    /// Be the process of one engine, for the node that started this one.
    #[command(hide = true)]
    Engine,
    /// How the node does that runs on this machine.
    Status(status::Options),
    /// The models on this machine.
    Models(models::Options),
    /// What this machine can do, and what to do about the rest.
    Doctor(doctor::Options),
    /// How fast a model is on this machine.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let command = program::parse::<Cli>().command;
    // That has its own way to live, and no word for the person at the terminal.
    if matches!(command, Command::Engine) { starling_inference::host::serve() } else { obey(command) }
}

#[tokio::main]
async fn obey(command: Command) -> ExitCode {
    program::finish(match command {
        Command::Run(options) => Box::pin(run(*options)).await,
        Command::Status(options) => status::run(options).await,
        Command::Models(options) => models::run(options).await,
        Command::Doctor(options) => doctor::run(options).await,
        Command::Bench(options) => bench::run(options).await,
        Command::Engine => Ok(()),
    })
}

async fn run(options: Options) -> Result<(), Exit> {
    program::init_log(&options.swarm.log)?;
    let first_peers = !options.swarm.bootstrap.is_empty();
    let cancel = CancellationToken::new();
    program::cancel_on_signal(cancel.clone());
    let config = options.config()?;
    let Some(node) = cancel.run_until_cancelled(starling_node::start(config)).await else { return Ok(()) };
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
        warn!("no --bootstrap address was given: nobody will find this node");
    }
    for model in node.models() {
        let info = model.engine.info();
        if !info.warning.is_empty() {
            warn!(model = info.name, "{}", info.warning);
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
        warn!("no peer answers at the --bootstrap addresses; still trying");
        met.await;
    }
}
