//! A member that knows only the addresses it is given: an invite would name the gateway's own, past the proxy.

use std::path::PathBuf;

use anyhow::{Context, Result};
use starling_protocol::{
    Identity,
    membership::{Clock, MemberRole, Membership, SwarmKey},
    swarm::{self, Multiaddr},
};

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// The member's folder.
    data: PathBuf,
    /// The swarm's key, as it lies in its founder's folder.
    #[arg(long)]
    swarm_key: PathBuf,
    /// Where the member begins.
    #[arg(long, value_parser = swarm::parse_bootstrap)]
    address: Vec<Multiaddr>,
    /// A gateway, in place of a node.
    #[arg(long)]
    gateway: bool,
}

pub(crate) fn make(options: &Options) -> Result<()> {
    std::fs::create_dir_all(&options.data)?;
    let identity = Identity::load_or_create(&options.data.join("identity.key"))?;
    // The file itself is in use: its owner keeps it locked.
    let copies = tempfile::tempdir()?;
    let copy = copies.path().join("swarm.key");
    std::fs::copy(&options.swarm_key, &copy).context("there is no swarm's key")?;
    let role = if options.gateway { MemberRole::Gateway } else { MemberRole::Node };
    let certificate = SwarmKey::load_or_create(&copy)?.certify(identity.peer(), role, Clock::default().now());
    Membership { certificate, addresses: options.address.clone() }.save(&options.data.join("membership.cbor"))?;
    println!("member {}", identity.peer());
    Ok(())
}
