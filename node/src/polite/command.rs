//! `starling-node pause` and `starling-node resume`: the owner's word to the node that runs.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use starling_protocol::program::{Exit, parse_span, say};

use super::orders::{self, LONGEST, Order};
use crate::desk;

/// The flags of `starling-node pause`.
#[derive(Args, Clone, Debug)]
pub struct PauseOptions {
    /// How long: a number and s, m, h or d [default: until starling-node resume].
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    pub lasts: Option<Duration>,
    /// Which node.
    #[command(flatten)]
    pub node: NodeOptions,
}

/// Which node is meant.
#[derive(Args, Clone, Debug)]
pub struct NodeOptions {
    /// The data folder of the node that runs [default: the platform's own, then the service's].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Has the node leave this machine to others.
///
/// # Errors
/// When none runs, or the time is too long.
pub async fn pause(options: PauseOptions) -> Result<(), Exit> {
    let seconds = options.lasts.map(|lasts| u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX));
    if seconds.is_some_and(|seconds| seconds > LONGEST) {
        let days = LONGEST / 86_400;
        return Err(Exit::usage(
            format!("a pause lasts at most {days} days"),
            "leave --for out for one without an end",
        ));
    }
    tell(options.node.data, Order::Pause { seconds }).await?;
    let until = if seconds.is_some() { "it comes back by itself" } else { "starling-node resume ends it" };
    say(format_args!("paused: the node hands its answers over and frees its memory; {until}"));
    Ok(())
}

/// Has it come back.
///
/// # Errors
/// When none runs.
pub async fn resume(options: NodeOptions) -> Result<(), Exit> {
    tell(options.data, Order::Resume).await?;
    say("resumed: the node loads its models again, unless there is another reason to rest; see starling-node status");
    Ok(())
}

pub(super) async fn tell(chosen: Option<PathBuf>, order: Order) -> Result<(), Exit> {
    let folders = desk::folders(chosen)?;
    for folder in &folders {
        match orders::say(folder, order).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(Exit::failed(format!("the node does not take it: {error}"))),
        }
    }
    Err(desk::nobody(&folders))
}
