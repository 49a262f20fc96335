//! Many real nodes at one gateway: how soon it finds them, what they cost it, and what becomes of answers
//! while some leave and others join. Prints one JSON object; `cargo xtask bench swarm` runs it.
//!
//! The nodes run in a few processes of their own (`swarm nodes`), which are told on stdin what to do and end
//! with it. All is on one computer: what the nodes compute is taken from the gateway's share.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod attack;
mod churn;
mod crowd;
mod find;
mod flood;
mod gateway;
mod load;
mod measure;
mod nodes;

use anyhow::Result;
use clap::{Parser, Subcommand};
use starling_protocol::program;

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs nodes as stdin says: `start`, `leave` or `kill` a line, one node each.
    Nodes(nodes::Options),
    /// Measures a running gateway. Its API key comes from STARLING_API_KEY, its access token from STARLING_ACCESS_TOKEN.
    Measure(Box<measure::Options>),
    /// Measures a gateway under attack, in the same way.
    Flood(Box<flood::Options>),
    /// Attacks until stdin ends.
    Attack(attack::Options),
}

#[tokio::main]
async fn main() -> Result<()> {
    program::allow_many_files();
    let report = match Options::parse().what {
        What::Nodes(options) => return nodes::run(&options).await,
        What::Attack(options) => return attack::run(&options).await,
        What::Measure(options) => Box::pin(measure::run(&options)).await?,
        What::Flood(options) => Box::pin(flood::run(&options)).await?,
    };
    println!("{report}");
    Ok(())
}

/// Seconds since 1970: one clock for all processes of a run.
fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}
