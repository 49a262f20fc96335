//! Engines of small models, really built by the vendor's library, for a card that is not here; and what a node says of
//! one that is not. The library comes from PyPI into the cache, once (95 MB), by the node's own installer, which pins
//! it by its hash.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Context, Passed};
use crate::binaries;
use crate::places;
use crate::process;

/// The folder under a data folder in which the node puts it.
const LIBRARY: &str = "tensorrt/1.7.1.116";

pub(super) fn run(context: &Context) -> Result<Passed> {
    let node = places::program(&context.programs()?, "starling-node");
    let data = context.places.cache.join("tensorrt");
    std::fs::create_dir_all(&data)?;
    asked(context, &node, &["tensorrt", "install", "--accept-license"], &data)?;
    let mut tests = binaries::cargo(&context.places);
    // The whole workspace, so that nothing is built again with other features.
    tests.args(["test", "--workspace", "--test", "tensorrt", "--", "--ignored", "--nocapture"]);
    tests.env("STARLING_TENSORRT", data.join(LIBRARY));
    process::run(tests, &context.stop)?;
    let models = context.places.root.join("inference/models");
    let model = models.join("swarm-demo-3M-f16.gguf");
    let build = ["models", "build", &model.to_string_lossy(), "--engine", "tensorrt", "--again"].map(str::to_owned);
    for precision in ["fp16", "int4"] {
        let mut build: Vec<&str> = build.iter().map(String::as_str).collect();
        build.extend(["--target", "8.9", "--context", "512", "--precision", precision]);
        asked(context, &node, &build, &data)?;
    }
    ensure!(engines(&data)? >= 2, "the engines that were built are not there");
    // It ends well where each rung holds that this machine can reach.
    asked(context, &node, &["selftest", "--engine", "tensorrt"], &data)?;
    Ok(Passed::Plainly)
}

fn asked(context: &Context, node: &Path, args: &[&str], data: &Path) -> Result<()> {
    let mut command = process::command(node);
    command.args(args).arg("--data").arg(data);
    process::run(command, &context.stop)
}

fn engines(data: &Path) -> Result<usize> {
    let files = std::fs::read_dir(data.join("engines"))?.filter_map(Result::ok);
    Ok(files.filter(|file| file.path().extension().is_some_and(|end| end == "engine")).count())
}
