//! The `starling-gateway` program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use starling_gateway::{
    app::{Gateway, Running},
    config::{Config, Options},
};
use starling_protocol::program::{self, Exit};
use tokio_util::sync::CancellationToken;

/// Serves people: the web chat and the OpenAI-compatible API of a Starling swarm.
#[derive(Parser)]
#[command(name = "starling-gateway", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until stopped. Prints `peer ID`, each `listening ADDRESS`, `setup-code CODE` while there
    /// is no administrator, `ready URL`, and `nodes N` whenever the number of nodes in sight changes.
    Run(Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Run(options) = program::parse::<Cli>().command;
    program::finish(run(&options).await)
}

async fn run(options: &Options) -> Result<(), Exit> {
    program::init_log(&options.swarm.log)?;
    let cancel = CancellationToken::new();
    program::cancel_on_signal(cancel.clone());
    let mut running = Gateway::start(Config::check(options)?).await?;
    introduce(&running).await;
    let result = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        exit = running.failed() => Err(exit),
    };
    running.shutdown().await;
    result
}

async fn introduce(running: &Running) {
    program::say_addresses(running.swarm());
    running.p2p_addresses().await;
    show_setup_codes(running);
    program::say(format_args!("ready http://{}", running.http()));
    show_nodes(running);
    if !running.http().ip().is_loopback() && running.app().public_origin().is_none() {
        tracing::warn!("people's passwords cross the network in the clear: put a proxy with TLS before the gateway");
    }
}

/// Shows the code there is, and each that takes its place.
fn show_setup_codes(running: &Running) {
    let mut codes = running.setup_code();
    let show = |code: Option<&str>| code.into_iter().for_each(|code| program::say(format_args!("setup-code {code}")));
    show(codes.borrow_and_update().as_ref().map(|code| code.reveal()));
    tokio::spawn(async move {
        while codes.changed().await.is_ok() {
            show(codes.borrow_and_update().as_ref().map(|code| code.reveal()));
        }
    });
}

/// Shows how many nodes are in sight: whoever started the gateway knows by it when a prompt has
/// somewhere to go, without an account.
fn show_nodes(running: &Running) {
    let mut view = running.app().dispatch.view();
    tokio::spawn(async move {
        let mut shown = None;
        loop {
            let nodes = view.borrow_and_update().nodes.len();
            if shown.replace(nodes) != Some(nodes) {
                program::say(format_args!("nodes {nodes}"));
            }
            if view.changed().await.is_err() {
                return;
            }
        }
    });
}
