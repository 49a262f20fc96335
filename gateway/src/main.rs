//! The `starling-gateway` program.

use std::{collections::BTreeMap, process::ExitCode};

use clap::{Parser, Subcommand};
use starling_gateway::{
    app::{Gateway, Running},
    command::{self, BackupOptions, RestoreOptions, RotateOptions},
    config::{Config, Options},
    dispatch::{NodeView, View},
    membership::{self, InviteOptions, JoinOptions},
    user_command::{self, UserOptions},
};
use starling_protocol::{
    program::{self, Exit},
    swarm::{Peer, PeerId, Peers},
};
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
    /// is no administrator, `invite STRING` while there is no node, `ready URL`, `nodes N` whenever the number
    /// of nodes in sight changes, and `node PEER direct` or `node PEER relayed` when one comes into sight or its
    /// path changes.
    Run(Box<Options>),
    /// Print a configuration file with every setting of `run`, what it is for and its default, for --config.
    Config,
    /// Make an administrator or another account, or give one another password, role or key for its words, without the web.
    User(UserOptions),
    /// Make an invite and print it: with `starling-node join` it makes a computer a node of this gateway's swarm.
    Invite(InviteOptions),
    /// Write the SQLite database, as it is at one moment, into a file; the gateway may run. Without the master key, which
    /// is not in it, nobody can read what people say there.
    Backup(BackupOptions),
    /// Put such a file in the place of the database, while no gateway runs.
    Restore(RestoreOptions),
    /// Take another master key; gateways may run. When it is done, start them with the new one.
    RotateMaster(RotateOptions),
    /// Join another gateway's swarm, with an invite made there by `invite --gateway`. Then `run`.
    Join(JoinOptions),
}

#[tokio::main]
async fn main() -> ExitCode {
    program::begin();
    program::finish(match program::parse::<Cli>().command {
        Command::Run(options) => Box::pin(run(&options)).await,
        Command::Config => {
            program::say(program::settings::<Cli>("run").trim_end());
            Ok(())
        }
        Command::User(options) => user_command::user(&options).await,
        Command::Invite(options) => membership::invite(&options).await,
        Command::Backup(options) => command::backup(&options).await,
        Command::Restore(options) => command::restore(&options).await,
        Command::RotateMaster(options) => command::rotate_master(&options).await,
        Command::Join(options) => membership::join(&options).await,
    })
}

async fn run(options: &Options) -> Result<(), Exit> {
    let _log = options.swarm.init_log()?;
    program::allow_many_files();
    let cancel = CancellationToken::new();
    program::cancel_on_signal(cancel.clone());
    let mut running = Box::pin(Gateway::start(Config::check(options)?)).await?;
    introduce(&running).await?;
    let result = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        exit = running.failed() => Err(exit),
    };
    running.shutdown().await;
    result
}

async fn introduce(running: &Running) -> Result<(), Exit> {
    program::say_addresses(running.swarm());
    running.p2p_addresses().await;
    show_setup_codes(running);
    show_invite(running).await?;
    let scheme = if running.app().is_https_here() { "https" } else { "http" };
    program::say(format_args!("ready {scheme}://{}", running.http()));
    show_nodes(running);
    if !running.http().ip().is_loopback() && !running.app().is_https() {
        tracing::warn!(
            "people's passwords cross the network in the clear: give a certificate with --tls-cert and --tls-key, or \
             put a proxy with TLS before the gateway and name it with --public-url"
        );
    }
    Ok(())
}

/// Shows the invite for the first nodes; later says how to make one.
async fn show_invite(running: &Running) -> Result<(), Exit> {
    let app = running.app();
    match app.network.first_invite(&app.store).await.map_err(Exit::failed)? {
        Some(invite) => program::say(format_args!("invite {invite}")),
        None => tracing::info!("to add a node, make an invite with starling-gateway invite, or in the web chat"),
    }
    Ok(())
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
/// somewhere to go, without an account. Then which they are, and how they are reached.
fn show_nodes(running: &Running) {
    let (mut view, mut peers) = (running.app().dispatch.view(), running.swarm().peers());
    tokio::spawn(async move {
        let (mut count, mut paths) = (None, BTreeMap::new());
        loop {
            let now = paths_of(&view.borrow_and_update(), &peers.borrow_and_update());
            let changed = |(peer, path): &(&PeerId, &&str)| paths.get(*peer) != Some(*path);
            now.iter().filter(changed).for_each(|(peer, path)| program::say(format_args!("node {peer} {path}")));
            paths = now;
            if count.replace(paths.len()) != Some(paths.len()) {
                program::say(format_args!("nodes {}", paths.len()));
            }
            let ended = tokio::select! {
                ended = view.changed() => ended,
                ended = peers.changed() => ended,
            };
            if ended.is_err() {
                return;
            }
        }
    });
}

/// The nodes in sight and their paths. One whose connection has just ended keeps its last one until its status ends
/// too.
fn paths_of(view: &View, peers: &Peers) -> BTreeMap<PeerId, &'static str> {
    let relayed = |node: &NodeView| peers.get(&node.peer).map_or(node.relayed, Peer::is_relayed);
    view.nodes.iter().map(|node| (node.peer, if relayed(node) { "relayed" } else { "direct" })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file_has_every_setting() {
        let file = program::settings::<Cli>("run");
        for name in ["http", "data", "tls-cert", "public-url", "log-format", "warm-after", "titles"] {
            assert!(file.lines().any(|line| line.starts_with(&format!("#{name} = "))), "{name} in\n{file}");
        }
    }
}
