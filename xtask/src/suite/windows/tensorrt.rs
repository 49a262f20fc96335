//! TensorRT-RTX in the program for Windows: the vendor's library for Windows, checked and unpacked by the node's own
//! installer (93 MB, once, into the cache), builds engines for a card that is not here.
//!
//! Wine has no card either: what runs an engine is not shown here. Nor can it download the library: wine 8 refuses every
//! certificate whose revocation cannot be looked up, also where a program says that this does not matter, as ours does
//! and Windows understands (CERT_CHAIN_POLICY_IGNORE_ALL_REV_UNKNOWN_FLAGS). So pip gets the wheel.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;

use super::{DATA, Stage, builder};
use crate::digest::digest;
use crate::dist;
use crate::dist::manifest::System;
use crate::node_js::Venv;
use crate::process;
use crate::say;
use crate::suite::{Context, Passed};
use crate::windows::{self, wine};

const PACKAGE: &str = "tensorrt-rtx-cu13-libs==1.7.1.116";
const WHEEL: &str = "tensorrt_rtx_cu13_libs-1.7.1.116-py3-none-win_amd64.whl";
/// 93 MB over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);
/// Where the node puts the library, under a data folder.
const LIBRARY: &str = "tensorrt/1.7.1.116";
const MODEL: &str = "inference/models/swarm-demo-3M-f16.gguf";
const PRECISIONS: [&str; 2] = ["fp16", "int4"];

pub(super) fn run(context: &Context) -> Result<Passed> {
    let dir = TempDir::with_prefix("starling-tensorrt-")?;
    let data = context.places.cache.join("windows").join(DATA);
    fs::create_dir_all(&data)?;
    let stage = Stage { data, ..Stage::set(context, dir.path())? };
    stage.installs(context, dir.path())?;
    // Of an earlier run.
    let _ = fs::remove_dir_all(stage.data.join("engines"));
    PRECISIONS.iter().try_for_each(|precision| stage.builds(context, precision))?;
    stage.builds_anew(context, &engines(&stage.data)?)?;
    // It ends well where each rung holds that this machine can reach.
    stage.does(context, &["selftest", "--engine", "tensorrt"])?;
    tests(context, &stage.data.join(LIBRARY))?;
    Ok(Passed::Plainly)
}

impl Stage<'_> {
    /// From a wheel that was downloaded before, unless it is here.
    fn installs(&self, context: &Context, work: &Path) -> Result<()> {
        let said = self.ask(context, &["tensorrt".into(), "status".into()])?;
        if said.code == Some(0) {
            say::note(said.stdout.lines().next().unwrap_or_default());
            return Ok(());
        }
        ensure!(said.stderr.contains("tensorrt install"), "it does not say what to do:\n{}", said.stderr);
        download(context, work)?;
        let wheel = wine::path(&work.join(WHEEL))?.to_string_lossy().into_owned();
        self.does(context, &["tensorrt", "install", "--accept-license", "--again", "--wheel", &wheel])?;
        self.does(context, &["tensorrt", "status"])
    }

    fn builds(&self, context: &Context, precision: &str) -> Result<()> {
        let model = wine::path(&context.places.root.join(MODEL))?.to_string_lossy().into_owned();
        let what = ["models", "build", &model, "--engine", "tensorrt", "--target", "8.9", "--context", "512"];
        self.does(context, &[&what[..], &["--precision", precision]].concat())
    }

    /// An engine with a wrong byte in it is as good as none, and so is one under another's name.
    fn builds_anew(&self, context: &Context, engines: &[PathBuf]) -> Result<()> {
        let [first, second] = engines else { bail!("the engines that were built are not there: {engines:?}") };
        let mut bytes = fs::read(first)?;
        fs::write(second, &bytes)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(first, bytes)?;
        for (engine, precision) in engines.iter().zip(PRECISIONS) {
            let broken = digest(engine)?;
            self.builds(context, precision)?;
            ensure!(digest(engine)? != broken, "{} was taken for good", engine.display());
        }
        Ok(())
    }

    /// One of its commands, which has to end well, for as long as it takes.
    fn does(&self, context: &Context, words: &[&str]) -> Result<()> {
        let mut args: Vec<OsString> = words.iter().map(OsString::from).collect();
        args.extend(["--data".into(), wine::path(&self.data)?]);
        process::run(self.wine.run(&self.program, &args), &context.stop)
    }
}

/// The tests that Linux' step `tensorrt` runs, as a program for Windows.
fn tests(context: &Context, library: &Path) -> Result<()> {
    let mut cargo = builder(context)?.cargo("test", System::Windows, &dist::work_folder(&context.places))?;
    // With what the step `unit` builds, so that not all is built again with other features.
    cargo.args(["--locked", "-p", "starling-protocol", "-p", "starling-node", "-p", "starling-inference"]);
    cargo.args(["--test", "tensorrt", "--", "--ignored", "--nocapture"]);
    cargo.env(windows::RUNNER, context.wine()?.runner()).env("STARLING_TENSORRT", wine::path(library)?);
    process::run(cargo, &context.stop)
}

fn download(context: &Context, to: &Path) -> Result<()> {
    let venv = Venv::with(&context.places.cache.join("download"), &["pip"], &context.stop)?;
    let mut pip = process::command(venv.bin().join("python"));
    pip.args(["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--retries", "1", PACKAGE]);
    pip.args(["--only-binary=:all:", "--platform", "win_amd64", "--dest"]).arg(to);
    let status = process::status(pip, DOWNLOAD_LIMIT, &context.stop)?;
    ensure!(status.success(), "{PACKAGE} cannot be downloaded ({status})");
    Ok(())
}

/// In the order of [`PRECISIONS`], which is that of their names.
fn engines(data: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(data.join("engines"))?.filter_map(Result::ok).map(|file| file.path());
    let mut engines: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "engine")).collect();
    engines.sort_unstable();
    Ok(engines)
}
