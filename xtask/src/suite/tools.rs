//! What the steps need beside the compiler.

use std::path::PathBuf;

use anyhow::Result;

use super::{Context, Passed};
use crate::binaries;
use crate::node_js::{NodeJs, Venv};
use crate::places::{in_path, program};
use crate::process;
use crate::say;
use crate::system::{self, Need};
use crate::ui;

/// Built without optimisation: one and a half minutes on two cores instead of five, and a check
/// of this workspace takes it seconds either way.
const CARGO_DENY: [&str; 6] = ["cargo-deny", "--version", "0.20.2", "--locked", "--debug", "--quiet"];

/// A tool that a step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// What llama.cpp and the cryptography are built with.
    Compilers,
    Chromium,
    /// Node.js and the UI's packages.
    Node,
    CargoDeny,
    /// What fetches the embedding model.
    Python,
    /// The server that gateways share things over.
    Redis,
    /// The server of the database's tests.
    MariaDb,
    /// What the NAT lab is made of.
    Networks,
    /// A Python environment with the official client.
    OpenAi,
    /// What builds for Windows, and wine.
    #[cfg(target_os = "linux")]
    Windows,
}

pub(super) fn provide(context: &Context, needs: &[Tool]) -> Result<Passed> {
    let of_the_system = needs.iter().flat_map(|tool| match tool {
        Tool::Compilers => &system::TO_BUILD[..],
        Tool::Chromium => &[Need::Chromium],
        Tool::OpenAi | Tool::Python => &[Need::Python],
        Tool::Networks => &[Need::Networks],
        Tool::Redis => &[Need::Redis],
        Tool::MariaDb => &[Need::MariaDb],
        Tool::Node => NodeJs::needs(),
        #[cfg(target_os = "linux")]
        Tool::Windows => &[Need::Mingw, Need::Wine],
        Tool::CargoDeny => &[],
    });
    let mut packages: Vec<Need> = of_the_system.copied().collect();
    packages.sort_unstable();
    packages.dedup();
    system::provide(&packages, context.consent, &context.stop)?;
    if needs.contains(&Tool::Node) {
        ui::install(&context.places, context.node()?, &context.stop)?;
    }
    if needs.contains(&Tool::CargoDeny) && cargo_deny(context).is_none() {
        install_cargo_deny(context)?;
    }
    if needs.contains(&Tool::OpenAi) {
        openai(context)?;
    }
    Ok(Passed::Plainly)
}

/// Where cargo-deny is: one the person has, or ours in the cache.
pub(super) fn cargo_deny(context: &Context) -> Option<PathBuf> {
    let ours = program(&context.places.cache.join("tools/bin"), "cargo-deny");
    if ours.is_file() { Some(ours) } else { in_path("cargo-deny") }
}

fn install_cargo_deny(context: &Context) -> Result<()> {
    say::step("Installing cargo-deny (about a minute and a half)");
    let mut install = binaries::cargo(&context.places);
    // Its own temporary target folder: nothing of it is of use to ours.
    install.env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "false").arg("install").args(CARGO_DENY);
    install.arg("--root").arg(context.places.cache.join("tools"));
    process::run(install, &context.stop)
}

/// The Python environment of the client tests.
pub(super) fn openai(context: &Context) -> Result<Venv> {
    let list = context.places.root.join("tests/clients/requirements.txt");
    let text = std::fs::read_to_string(list)?;
    let packages = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let packages: Vec<&str> = packages.collect();
    Venv::with(&context.places.cache.join("openai"), &packages, &context.stop)
}
