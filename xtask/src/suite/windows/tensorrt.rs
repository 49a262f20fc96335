//! TensorRT-RTX in the program for Windows: the vendor's library for Windows, fetched and checked by the node's own
//! installer (93 MB, once, into the cache), builds engines for a card that is not here.
//!
//! Wine has no card either: what runs an engine is not shown here.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{DATA, Stage, builder};
use crate::dist;
use crate::dist::manifest::System;
use crate::process;
use crate::suite::{Context, Passed};
use crate::windows::{self, wine};

/// Where the node puts the library, under a data folder.
const LIBRARY: &str = "tensorrt/1.7.1.116";
const MODEL: &str = "inference/models/swarm-demo-3M-f16.gguf";
const PRECISIONS: [&str; 2] = ["fp16", "int4"];

pub(super) fn run(context: &Context) -> Result<Passed> {
    let dir = TempDir::with_prefix("starling-tensorrt-")?;
    let data = context.places.cache.join("windows").join(DATA);
    std::fs::create_dir_all(&data)?;
    let stage = Stage { data, ..Stage::set(context, dir.path())? };
    stage.does(context, &["tensorrt", "install", "--accept-license"])?;
    stage.does(context, &["tensorrt", "status"])?;
    let model = wine::path(&context.places.root.join(MODEL))?.to_string_lossy().into_owned();
    for precision in PRECISIONS {
        let what = ["models", "build", &model, "--engine", "tensorrt", "--again"];
        stage
            .does(context, &[&what[..], &["--target", "8.9", "--context", "512", "--precision", precision]].concat())?;
    }
    ensure!(engines(&stage.data)? >= PRECISIONS.len(), "the engines that were built are not there");
    // It ends well where each rung holds that this machine can reach.
    stage.does(context, &["selftest", "--engine", "tensorrt"])?;
    tests(context, &stage.data.join(LIBRARY))?;
    Ok(Passed::Plainly)
}

impl Stage<'_> {
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
    // With the node, so that nothing is built again with other features.
    cargo.args(["--locked", "-p", "starling-inference", "-p", "starling-node", "--test", "tensorrt"]);
    cargo.args(["--", "--ignored", "--nocapture"]);
    cargo.env(windows::RUNNER, context.wine()?.runner()).env("STARLING_TENSORRT", wine::path(library)?);
    process::run(cargo, &context.stop)
}

fn engines(data: &Path) -> Result<usize> {
    let files = std::fs::read_dir(data.join("engines"))?.filter_map(Result::ok);
    Ok(files.filter(|file| file.path().extension().is_some_and(|end| end == "engine")).count())
}
