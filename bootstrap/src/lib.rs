//! A peer with no jobs: the swarm's first address, relay and address check.
//!
//! All it does lies in `starling_protocol::swarm`; a gateway started with `--relay` does the same.

use starling_protocol::{
    program::{self, Exit, SwarmOptions},
    swarm::{self, Role},
};
use tokio_util::sync::CancellationToken;

/// Runs until `cancel`.
///
/// # Errors
/// When the key cannot be used or an address cannot be listened on.
pub async fn run(options: &SwarmOptions, cancel: CancellationToken) -> Result<(), Exit> {
    let data = options.data_dir("bootstrap")?;
    let (handle, _inbound, actor) = swarm::new(options.swarm_config(Role::Bootstrap, &data, true)?)?;
    let said = program::say_addresses(&handle);
    actor.run(cancel).await;
    said.abort();
    Ok(())
}
