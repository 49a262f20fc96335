//! `cargo xtask bench schedule`: our choice of nodes beside two usual ones, in simulated time.

use anyhow::Result;
use clap::Args;

use crate::binaries;
use crate::node_js::NodeJs;
use crate::places::Places;
use crate::process;
use crate::stop::Stop;
use crate::system::{self, Consent};
use crate::ui;

#[derive(Args)]
pub(crate) struct Options {
    /// What the made-up chats are made from; the same number gives the same table.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let (places, consent) = (Places::find()?, Consent::from(options.yes));
    system::provide(&system::TO_BUILD, consent, stop)?;
    // The gateway, of which the scheduler is a part, has the pages in it.
    ui::build(&places, &NodeJs::provide(&places, consent, stop)?, stop)?;
    let mut cargo = binaries::cargo(&places);
    cargo.args(["run", "--quiet", "-p", "starling-gateway", "--example", "schedule", "--"]);
    cargo.arg(options.seed.to_string());
    process::run(cargo, stop)
}
