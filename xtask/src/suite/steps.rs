//! The steps, in their order: what fails quickly comes first.

use std::time::Duration;

use anyhow::{Context as _, Result};

#[cfg(unix)]
use super::install;
use super::tools::{self, Tool};
use super::{Context, Passed, client_tests, deploy, error_lines, mariadb, tensorrt};
use crate::binaries;
use crate::embedding_model;
use crate::lab;
use crate::places::in_path;
use crate::process;
use crate::say;
use crate::ui;

pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) needs: &'static [Tool],
    pub(super) run: fn(&Context) -> Result<Passed>,
}

/// The gateway carries the built UI inside, so Node.js belongs to building.
const BUILD: &[Tool] = &[Tool::Compilers, Tool::Node];
const EMBEDDINGS: &[Tool] = &[Tool::Compilers, Tool::Node, Tool::Python];
const MARIADB: &[Tool] = &[Tool::Compilers, Tool::Node, Tool::MariaDb];
const BROWSER: &[Tool] = &[Tool::Compilers, Tool::Node, Tool::Chromium];
/// Tests start servers of their own.
const RUST: &[Tool] = &[Tool::Compilers, Tool::Node, Tool::Redis];
const LAB: &[Tool] = &[Tool::Compilers, Tool::Node, Tool::Networks];
const OPENAI: &[Tool] = &[Tool::Compilers, Tool::Node, Tool::OpenAi];

#[rustfmt::skip]
pub(super) const STEPS: [Step; 17] = [
    Step { name: "fmt", about: "rustfmt, nothing to change", needs: &[], run: fmt },
    Step { name: "deny", about: "licences, banned crates, sources, advisories", needs: &[Tool::CargoDeny], run: deny },
    Step { name: "ui", about: "types, lints, unit tests, build, bundle size", needs: &[Tool::Node], run: ui },
    Step { name: "clippy", about: "clippy on everything, no warning", needs: BUILD, run: clippy },
    Step { name: "build", about: "the three programs, dev profile", needs: BUILD, run: build },
    Step { name: "rust", about: "unit and end-to-end tests", needs: RUST, run: rust },
    Step { name: "mariadb", about: "the store and its gateway on a real MariaDB server", needs: MARIADB, run: mariadb::run },
    Step { name: "embeddings", about: "all-MiniLM-L6-v2 against its original", needs: EMBEDDINGS, run: embeddings },
    Step { name: "tensorrt", about: "engines built by NVIDIA's library (its licence), with no card", needs: BUILD, run: tensorrt::run },
    Step { name: "errors", about: "wrong flags and files end in one clear line", needs: BUILD, run: error_lines::run },
    Step { name: "deploy", about: "units, image and compose file against the programs", needs: BUILD, run: deploy::run },
    Step { name: "install", about: "install.sh in a root of its own, update and roll-back; install.ps1 parsed", needs: EMBEDDINGS, run: install },
    Step { name: "lab", about: "nodes behind NATs, out of network namespaces", needs: LAB, run: lab },
    Step { name: "faults", about: "programs killed, hung and stopped while people read", needs: RUST, run: faults },
    Step { name: "browser", about: "what people do, in Chromium: chat, faults, pages, axe", needs: BROWSER, run: client_tests::browser },
    Step { name: "openai", about: "the official Python client, litellm, LangChain", needs: OPENAI, run: client_tests::openai },
    Step { name: "api", about: "the API does what its description says", needs: OPENAI, run: client_tests::api },
];

/// Fetching the advisories is a small git clone where it is possible at all.
const ADVISORIES_LIMIT: Duration = Duration::from_secs(60);

fn cargo(context: &Context, args: &[&str]) -> Result<Passed> {
    let mut command = binaries::cargo(&context.places);
    command.args(args);
    process::run(command, &context.stop)?;
    Ok(Passed::Plainly)
}

fn fmt(context: &Context) -> Result<Passed> {
    cargo(context, &["fmt", "--all", "--check"])
}

/// The model is fetched and converted here, so that the step `rust` needs nothing from outside.
fn embeddings(context: &Context) -> Result<Passed> {
    let model = embedding_model::provide(&context.places, &context.programs()?, &context.stop)?;
    let mut tests = binaries::cargo(&context.places);
    // The whole workspace, so that nothing is built again with other features.
    tests.args(["test", "--workspace", "--test", "minilm", "--", "--ignored", "--nocapture"]);
    tests.env("STARLING_MINILM", model);
    process::run(tests, &context.stop)?;
    Ok(Passed::Plainly)
}

fn clippy(context: &Context) -> Result<Passed> {
    ui::build(&context.places, context.node()?, &context.stop)?;
    cargo(context, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
}

fn build(context: &Context) -> Result<Passed> {
    ui::build(&context.places, context.node()?, &context.stop)?;
    context.programs().map(|_| Passed::Plainly)
}

fn rust(context: &Context) -> Result<Passed> {
    ui::build(&context.places, context.node()?, &context.stop)?;
    if in_path("cargo-nextest").is_some() {
        return cargo(context, &["nextest", "run", "--workspace", "--no-fail-fast"]);
    }
    cargo(context, &["test", "--workspace", "--all-targets", "--no-fail-fast"])
}

fn ui(context: &Context) -> Result<Passed> {
    let node = context.node()?;
    for args in [["run", "check"], ["run", "test"], ["run", "build"]] {
        ui::npm(&context.places, node, &args, &context.stop)?;
    }
    Ok(Passed::Plainly)
}

/// The lab's NATs first: what they do is what all else is measured by.
fn lab(context: &Context) -> Result<Passed> {
    let right = match lab::Right::find(&context.places) {
        Ok(right) => right,
        Err(why) => {
            let remark = format!("NOT run: {why}");
            say::note(&remark);
            return Ok(Passed::With(remark));
        }
    };
    process::run(right.selftest(), &context.stop)?;
    process::run(right.short_lab(&context.programs()?), &context.stop)?;
    Ok(Passed::Plainly)
}

#[cfg(unix)]
fn faults(context: &Context) -> Result<Passed> {
    crate::faults::run_short(context.programs()?, &context.stop)?;
    Ok(Passed::Plainly)
}

/// What is done to the programs is done by signals.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix one can fail")]
fn faults(_: &Context) -> Result<Passed> {
    Ok(Passed::With("NOT run: it needs Unix's signals".into()))
}

#[cfg(unix)]
fn install(context: &Context) -> Result<Passed> {
    install::run(context)
}

/// It needs Linux's namespaces.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix one can fail")]
fn install(_: &Context) -> Result<Passed> {
    Ok(Passed::With("NOT run: it needs a root of its own, as Linux gives it".into()))
}

/// The advisory database is a git repository that not every build machine can reach; then the step
/// passes and the summary says what was not looked at.
fn deny(context: &Context) -> Result<Passed> {
    check_deny(context, &["bans", "licenses", "sources"])?;
    let mut fetch = deny_command(context)?;
    fetch.args(["fetch", "db"]);
    let fetched = process::status(fetch, ADVISORIES_LIMIT, &context.stop);
    if context.stop.asked() || !fetched.is_ok_and(|status| status.success()) {
        let remark = "advisories NOT checked: their database cannot be fetched from here";
        say::note(remark);
        return Ok(Passed::With(remark.into()));
    }
    check_deny(context, &["advisories"])?;
    Ok(Passed::Plainly)
}

fn check_deny(context: &Context, what: &[&str]) -> Result<()> {
    let mut check = deny_command(context)?;
    check.args(["--all-features", "--log-level", "error", "check"]).args(what);
    process::run(check, &context.stop)
}

fn deny_command(context: &Context) -> Result<std::process::Command> {
    let program = tools::cargo_deny(context).context("cargo-deny is not installed")?;
    let mut command = process::command(program);
    command.current_dir(&context.places.root);
    Ok(command)
}
