//! What `cargo xtask faults` needs beside the programs: a proxy that breaks links, and hands on a gateway's database.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod database;
mod member;
mod proxy;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::io::AsyncReadExt;

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Carries TCP connections and UDP datagrams to an address, as faithfully as stdin says.
    Proxy(proxy::Options),
    /// Prints the messages in a gateway's database, one JSON object a line.
    Messages(database::File),
    /// Keeps everybody else from writing to a gateway's database until stdin ends; prints `locked`.
    Lock(database::File),
    /// Makes a user in a gateway's database and prints `key KEY`.
    Person(database::Person),
    /// Runs a MariaDB server until stdin ends; prints `url URL`.
    Mariadb,
    /// Makes a folder one of a member of the swarm, without an invite.
    Member(member::Options),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Options::parse().what {
        What::Proxy(options) => proxy::run(options).await,
        What::Messages(file) => database::messages(&file).await,
        What::Lock(file) => database::lock(&file).await,
        What::Person(person) => database::person(&person).await,
        What::Member(options) => member::make(&options),
        What::Mariadb => {
            let server = starling_tests::mariadb::MariaDb::start().await;
            println!("url {}", server.url());
            tokio::io::stdin().read_to_end(&mut vec![]).await?;
            Ok(())
        }
    }
}
