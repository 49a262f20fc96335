//! `cargo xtask bench memory`: how well and how fast memories are found, on made-up vectors.

use anyhow::Result;
use clap::Args;

use crate::binaries;
use crate::places::Places;
use crate::process;
use crate::stop::Stop;
use crate::system::{self, Consent};

#[derive(Args)]
pub(crate) struct Options {
    /// What the vectors are made from; the same number gives the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many vectors there are, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    vectors: Vec<usize>,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    let (places, consent) = (Places::find()?, Consent::from(options.yes));
    system::provide(&system::TO_BUILD, consent, stop)?;
    let mut cargo = binaries::cargo(&places);
    cargo.args(["run", "--quiet", "-p", "starling-index", "--example", "recall", "--"]);
    cargo.arg(options.seed.to_string()).args(options.vectors.iter().map(usize::to_string));
    process::run(cargo, stop)
}
