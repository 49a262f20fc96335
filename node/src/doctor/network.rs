//! How this machine is seen from outside: asked of the node that runs, else found out by joining for a few seconds.

use std::{path::Path, time::Duration};

use starling_protocol::{
    program::{Exit, SwarmOptions},
    swarm::{self, NatKind, Reachability, Role},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    desk,
    membership::{self, Files},
    network::Network,
};

/// How long others get to say how they see us.
const PATIENCE: Duration = Duration::from_secs(8);

/// What was found, or why nothing was.
pub(super) async fn look(options: &SwarmOptions, data: &Path) -> Result<Network, String> {
    match desk::ask(data).await {
        Ok(Some(state)) => return Ok(state.network),
        Ok(None) => {}
        Err(error) => return Err(format!("the node that runs does not answer: {error}")),
    }
    let config = config(options, data).map_err(|exit| match exit {
        Exit::Usage { what, hint } => format!("{what}; {hint}"),
        Exit::Failed(what) => what,
    })?;
    if config.bootstrap.is_empty() {
        return Err("no address to begin from: join a swarm, or name one with --bootstrap".to_owned());
    }
    let (handle, _inbound, actor) = swarm::new(config).map_err(|error| format!("{error}; {}", error.hint()))?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(actor.run(stop.clone()));
    let mut reachability = handle.reachability();
    // What is not known by then is shown as not known.
    let _ = timeout(PATIENCE, reachability.wait_for(is_settled)).await;
    let network = Network::of(&handle.reachability().borrow(), &handle.peers().borrow());
    let network = Network { as_stranger: true, ..network };
    stop.cancel();
    let _ = running.await;
    Ok(network)
}

/// As a peer that belongs to no swarm, beginning where a member would.
fn config(options: &SwarmOptions, data: &Path) -> Result<swarm::Config, Exit> {
    let mut config = options.swarm_config(Role::Node, data, false)?;
    if let Ok(membership) = Files::new(data).load() {
        let known = options.of_swarm(config, membership::swarm_of(&membership)?, &membership.addresses);
        config = swarm::Config { swarm: None, ..known };
    }
    Ok(config)
}

/// Nothing more is to be expected soon.
fn is_settled(seen: &Reachability) -> bool {
    let reachable = seen.nat == NatKind::Open || !seen.relays.is_empty();
    seen.nat != NatKind::Unknown && seen.udp.is_some() && reachable
}
