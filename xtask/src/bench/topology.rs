//! `cargo xtask bench topology`: how smoothly a browser without a GPU draws a swarm that lives.

use anyhow::Result;
use clap::Args;

use crate::node_js::NodeJs;
use crate::places::{Places, in_path};
use crate::process;
use crate::stop::Stop;
use crate::system::{BROWSERS, Consent};
use crate::ui;

#[derive(Args)]
pub(crate) struct Options {
    /// Nodes of the made-up swarm, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "50,500,1000")]
    nodes: Vec<u32>,
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// How long each time.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let places = Places::find()?;
    let node = NodeJs::provide(&places, Consent::from(options.yes), stop)?;
    ui::build(&places, &node, stop)?;
    let mut script = node.command("node");
    script.arg("tests/browser/topology-bench.mjs").args(options.nodes.iter().map(u32::to_string));
    script.current_dir(&places.root);
    script.env("RUNS", options.runs.to_string()).env("SECONDS", options.seconds.to_string());
    if let Some(browser) = BROWSERS.iter().find_map(|name| in_path(name)) {
        script.env("STARLING_CHROMIUM", browser);
    }
    process::run(script, stop)
}
