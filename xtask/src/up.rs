//! `cargo xtask up`: from a fresh clone to a running swarm with a link to open.

mod browser;
mod data;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use data::Data;

use crate::api::{Login, Session};
use crate::binaries::{self, PROGRAMS, Profile};
use crate::blocked::Blocked;
use crate::embedding_model;
use crate::node_js::NodeJs;
use crate::places::{self, Places};
use crate::say;
use crate::stop::{Interrupted, Stop};
use crate::swarm::{self, Plan, Swarm};
use crate::system::{self, Consent};
use crate::ui;

#[derive(Args)]
pub(crate) struct Options {
    /// Where the gateway answers, on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where accounts, chats and keys are kept; a second run finds them there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many nodes to start.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// A chat model (GGUF) in place of the tiny demo model.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Do not open the browser.
    #[arg(long)]
    no_browser: bool,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
    /// Make the first administrator (or sign in as one) and print an API key. Other users of this
    /// computer can read a command line; the variable is not shown to them.
    #[arg(long, value_name = "USER:PASSWORD", env = "STARLING_SETUP", hide_env_values = true)]
    setup: Option<Login>,
}

pub(crate) fn run(options: &Options, stop: &Stop) -> Result<()> {
    swarm::check_port(options.port)?;
    let node_args = model_args(options)?;
    let data = match &options.data {
        Some(dir) => std::path::absolute(dir)?,
        None => places::default_data()?,
    };
    let data = Data::take(data)?;
    let programs = build(options, stop)?;
    let node_args = [node_args, embedding_args(&programs, stop)?].concat();
    say::step(&format!("Starting the swarm (data and logs in {})", data.dir().display()));
    let nodes = vec![node_args; usize::from(options.nodes)];
    let plan = Plan { programs, data: data.dir().to_path_buf(), port: options.port, gateway: vec![], nodes };
    let mut swarm = Swarm::start(&plan, stop)?;
    let outcome = serve(options, &mut swarm, stop);
    say::step("Stopping");
    swarm.stop(stop);
    outcome
}

fn model_args(options: &Options) -> Result<Vec<OsString>> {
    let Some(model) = &options.model else { return Ok(Vec::new()) };
    if !model.is_file() {
        let message = format!("there is no model file {}", model.display());
        return Err(Blocked::error(message, "give --model the path of a GGUF file, or leave it out"));
    }
    Ok(vec!["--model".into(), std::path::absolute(model)?.into()])
}

/// The default embedding model beside the chat model. A swarm without it is still a swarm.
fn embedding_args(programs: &Path, stop: &Stop) -> Result<Vec<OsString>> {
    match embedding_model::provide(&Places::find()?, programs, stop) {
        Ok(file) => Ok(vec!["--embedding-model".into(), file.into()]),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            say::note(&format!("going on without embeddings: {error:#}"));
            Ok(Vec::new())
        }
    }
}

/// Everything up to runnable programs.
fn build(options: &Options, stop: &Stop) -> Result<PathBuf> {
    let places = Places::find()?;
    let consent = Consent::from(options.yes);
    // All at once, so that nobody is asked twice.
    system::provide(&[&system::TO_BUILD, NodeJs::needs()].concat(), consent, stop)?;
    let node = NodeJs::provide(&places, consent, stop)?;
    ui::build(&places, &node, stop)?;
    binaries::build(&places, Profile::Release, &PROGRAMS, stop)
}

/// Shows the way in, and watches over the swarm until asked to stop.
fn serve(options: &Options, swarm: &mut Swarm, stop: &Stop) -> Result<()> {
    let session = options.setup.as_ref().map(|login| enter(swarm, login)).transpose()?;
    // What `ready` promises: a prompt would be answered.
    swarm.wait_until_found(1, stop)?;
    if let Some(session) = &session {
        say::fact(&format!("api-key {}", session.make_key("cargo xtask up")?));
    }
    let code = swarm.setup_code().filter(|_| session.is_none()).map(str::to_owned);
    let link = link(swarm.url(), code.as_deref());
    say::fact(&link);
    say::fact(&format!("ready {}", swarm.url()));
    if !options.no_browser {
        browser::open(&link);
    }
    say::note("Ctrl-C ends everything");
    while !stop.asked() {
        if let Some(code) = swarm.check_but_lose_nodes()? {
            say::fact(&self::link(swarm.url(), Some(&code)));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The first administrator on a first run, a sign-in on later ones.
fn enter(swarm: &Swarm, login: &Login) -> Result<Session> {
    match swarm.setup_code() {
        Some(code) => Session::set_up(swarm.url(), code, login),
        None => Session::sign_in(swarm.url(), login),
    }
}

fn link(url: &str, code: Option<&str>) -> String {
    code.map_or_else(|| url.to_owned(), |code| format!("{url}/setup#code={code}"))
}
