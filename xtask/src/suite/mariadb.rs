//! The tests that have been run on SQLite, on a real MariaDB server, and those that need one.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::{Context, Passed};
use crate::binaries;
use crate::process::{self, Running};

pub(super) fn run(context: &Context) -> Result<Passed> {
    let mut rig = process::command(context.programs()?.join("rig"));
    rig.arg("mariadb").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Running::start(rig)?;
    let lines = BufReader::new(server.stdout().context("its stdout is ours")?).lines();
    let url = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("url ").map(str::to_owned));
    let url = url.context("the MariaDB server did not start")?;
    let mut cargo = binaries::cargo(&context.places);
    // The whole workspace, so that nothing is built again with other features.
    cargo.args(["test", "--workspace", "--no-fail-fast", "--lib", "--test", "e2e", "--", "--include-ignored"]);
    cargo.args(["store::tests::", "api::tests::", "restart::", "mariadb::"]).env("STARLING_TEST_DATABASE", &url);
    process::run(cargo, &context.stop)?;
    Ok(Passed::Plainly)
}
