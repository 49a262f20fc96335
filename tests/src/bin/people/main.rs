//! Crowds of people at a gateway: many open sockets, visits of users who sign in and chat, or a rush of sign-ins while
//! an answer runs. Prints one JSON object; `cargo xtask load` and `cargo xtask bench sockets` run it.
//!
//! The gateway has to let people sign up (`--sign-up open`), without limits on how often.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod logins;
mod person;
mod socket;
mod sockets;
mod tally;
mod visits;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
    /// HOST:PORT of its HTTP.
    #[arg(long, global = true, default_value = "127.0.0.1:8080")]
    gateway: String,
    /// The scripted options that its nodes run with, to know what they have to say.
    #[arg(long, global = true, default_value = "seed=1")]
    scripted: String,
}

#[derive(Subcommand)]
enum What {
    /// Sockets that are open, and answers on some of them.
    Sockets(sockets::Options),
    /// Users who come one after another, sign in, read, ask, and come back.
    Visits(visits::Options),
    /// One answer alone, and one beside a rush of sign-ins.
    Logins(logins::Options),
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let gateway = person::Gateway::new(&options.gateway)?;
    let report = match &options.what {
        What::Sockets(asked) => sockets::run(asked, &gateway, &options.scripted).await?,
        What::Visits(asked) => visits::run(asked, &gateway, &options.scripted).await?,
        What::Logins(asked) => logins::run(asked, &gateway, &options.scripted).await?,
    };
    println!("{report}");
    Ok(())
}
