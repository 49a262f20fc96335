//! Our engine and llama-server on the same file, in turns: prefill, decode, a conversation's second turn, memory.
//!
//! Both are asked the same conversations, each in its own way: ours through its handle, as a node does, and
//! llama-server over HTTP on loopback, as its users do. `cargo xtask bench engine` builds and starts this.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod asked;
mod figures;
mod measure;
mod memory;
mod ours;
mod theirs;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use figures::Table;
use measure::{MEASURES, Measure};
use ours::Ours;
use theirs::Theirs;

#[derive(Clone, Parser)]
struct Options {
    /// The model that both serve.
    #[arg(long)]
    model: PathBuf,
    /// llama-server; without it only our figures are shown.
    #[arg(long)]
    llama_server: Option<PathBuf>,
    /// How often the two take turns at each measure.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Answers at once, at most.
    #[arg(long, default_value_t = 8)]
    slots: u32,
    /// Tokens that each slot holds.
    #[arg(long, default_value_t = 2_560)]
    context: u32,
    /// Threads that each computes with.
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// The node's program, to run our engine in a child process as a node does; without it, in this process.
    #[arg(long)]
    node: Option<PathBuf>,
    /// Only these measures, by the beginning of their names.
    #[arg(long)]
    only: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let ours = Ours::start(&options).await?;
    let process = ours.process()?;
    let theirs = match &options.llama_server {
        Some(program) => Some(Theirs::start(program, &options).await?),
        None => None,
    };
    let wanted = |measure: &&Measure| {
        options.only.is_empty() || options.only.iter().any(|name| measure.name.starts_with(name.as_str()))
    };
    let mut table = Table::new(&options);
    for measure in MEASURES.iter().filter(wanted) {
        let mut rounds = Vec::new();
        for round in 0..options.rounds {
            eprintln!("{}, round {} of {}", measure.name, round + 1, options.rounds);
            // Who begins changes from round to round, so that a machine that slows down is fair to both.
            let first = if round % 2 == 0 { Some(measure.run(&ours, round).await?) } else { None };
            let peer = match &theirs {
                Some(theirs) => Some(measure.run(theirs, round).await?),
                None => None,
            };
            let own = match first {
                Some(own) => own,
                None => measure.run(&ours, round).await?,
            };
            rounds.push((own, peer));
        }
        table.row(measure, &rounds);
    }
    table.memory(memory::peak_mb(process), theirs.as_ref().map(|theirs| memory::peak_mb(theirs.process())));
    table.load_time(ours.load_seconds, theirs.as_ref().map(|theirs| theirs.load_seconds));
    Ok(())
}
