//! The `starling-bootstrap` program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use starling_protocol::program::{self, Exit, SwarmOptions};
use tokio_util::sync::CancellationToken;

/// First address, relay and address check of a Starling swarm.
#[derive(Parser)]
#[command(name = "starling-bootstrap", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until stopped. Prints `peer ID` and a `listening ADDRESS` for others to start from.
    Run(SwarmOptions),
}

#[tokio::main]
async fn main() -> ExitCode {
    program::begin();
    let Command::Run(options) = program::parse::<Cli>().command;
    program::finish(run(&options).await)
}

async fn run(options: &SwarmOptions) -> Result<(), Exit> {
    let _log = options.init_log()?;
    program::allow_many_files();
    let cancel = CancellationToken::new();
    program::cancel_on_signal(cancel.clone());
    starling_bootstrap::run(options, cancel).await
}
