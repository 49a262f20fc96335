//! The repository's own commands: `cargo xtask up` runs a whole swarm on this computer, `cargo xtask
//! test` runs every check there is, `cargo xtask lab` tries every NAT, `cargo xtask faults` breaks everything,
//! `cargo xtask bench` measures.
//!
//! It knows the programs only by what they show from outside: flags, lines on stdout, HTTP. So it
//! is compiled in seconds, without any of the workspace's other crates.
#![expect(clippy::print_stderr, reason = "a command-line tool")]

mod api;
mod bench;
mod binaries;
mod blocked;
mod coverage;
mod debian;
mod digest;
mod dist;
mod embedding_model;
#[cfg(unix)]
mod faults;
mod hold;
mod instructions;
mod lab;
mod load;
mod node_js;
mod places;
mod ports;
mod process;
mod say;
mod scripted;
mod sign;
mod stop;
mod suite;
mod swarm;
mod system;
mod ui;
mod up;
mod windows;

use std::ffi::OsString;
use std::process::ExitCode;

use blocked::Blocked;
use clap::{Parser, Subcommand};
use stop::{Interrupted, Stop};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The repository's own commands")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and run a bootstrap, a gateway and nodes on this computer.
    Up(up::Options),
    /// Install what the tests need and run all of them.
    Test(suite::Options),
    /// Run the programs behind NATs of every kind, and say who reaches whom how.
    Lab(lab::Options),
    /// Kill, hang, cut off and overload the programs, and say what their readers see of it.
    #[cfg(unix)]
    Faults(faults::Options),
    /// Make what people download: archives, Debian packages, checksums.
    Dist(dist::Options),
    /// Say which lines of the gateway and the protocol the Rust tests reach.
    Coverage(coverage::Options),
    /// Let users come one after another, sign in and chat, and say how long everything took them.
    Load(load::Options),
    /// Sign a folder of packages, so that gateways serve it and nodes take it; or make the key for that.
    Sign(sign::Options),
    /// Measure.
    #[command(subcommand)]
    Bench(bench::What),
    /// Ask a gateway, as somebody beside it would (used by `lab`, inside of a host).
    #[command(hide = true)]
    LabClient(lab::client::Options),
    /// Become PROGRAM, and die when PARENT does (used by the other commands).
    #[command(hide = true)]
    Hold {
        parent: u32,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        program: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    if let Some(rustc) = coverage::stands_in_for_rustc() {
        return coverage::compile(&rustc).map_or_else(|error| explain(&error), |()| ExitCode::SUCCESS);
    }
    let result = match Cli::parse().command {
        Command::Hold { parent, program } => hold::become_program(parent, &program),
        Command::LabClient(options) => lab::client::run(&options),
        command => work(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => explain(&error),
    }
}

fn work(command: Command) -> anyhow::Result<()> {
    let stop = Stop::install()?;
    process::tie_children_to_us()?;
    match command {
        Command::Up(options) => up::run(&options, &stop),
        Command::Test(options) => suite::run(&options, &stop),
        Command::Lab(options) => lab::run(&options, &stop),
        #[cfg(unix)]
        Command::Faults(options) => faults::run(&options, &stop),
        Command::Dist(options) => dist::run(&options, &stop),
        Command::Coverage(options) => coverage::run(&options, &stop),
        Command::Load(options) => load::run(&options, &stop),
        Command::Sign(options) => sign::run(&options),
        Command::Bench(what) => bench::run(&what, &stop),
        Command::LabClient(_) | Command::Hold { .. } => unreachable!("handled before"),
    }
}

/// Says what went wrong. 2: something for the person to change; 130: they ended it; 1: all else.
fn explain(error: &anyhow::Error) -> ExitCode {
    if error.is::<Interrupted>() {
        eprintln!("stopped");
        return ExitCode::from(130);
    }
    let Some(blocked) = error.downcast_ref::<Blocked>() else {
        eprintln!("error: {error:#}");
        return ExitCode::from(1);
    };
    eprintln!("error: {}\nhint: {}", blocked.message, blocked.hint);
    ExitCode::from(2)
}
