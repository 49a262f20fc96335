//! Every engine's promises in a program for Windows: llama.cpp's, the processes that engines have of their own, and
//! TensorRT's on a card and a library that are none.
//!
//! The real library has Microsoft's layout of classes, which no compiler here gives C++'s own library: so for these tests
//! the shim has mingw's, as the library that is none. That the other layout is right the step `tensorrt` shows.

use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::builder;
use crate::dist;
use crate::dist::manifest::System;
use crate::process;
use crate::suite::{Context, Passed};
use crate::windows::{self, wine};

#[path = "../../../../inference/tests/engines/card/make.rs"]
mod make;

const NAMES: make::Names<'_> = make::Names { driver: "nvcuda.dll", library: "tensorrt_rtx_1_7.dll" };

pub(super) fn run(context: &Context) -> Result<Passed> {
    let dir = TempDir::with_prefix("starling-engines-")?;
    let package = context.places.root.join("inference");
    make_fakes(&package, dir.path())?;
    let mut cargo = builder(context)?.cargo("test", System::Windows, &dist::work_folder(&context.places))?;
    // With what the step `unit` builds, so that not all is built again with other features.
    cargo.args(["--locked", "-p", "starling-protocol", "-p", "starling-node", "-p", "starling-inference"]);
    cargo.args(["--test", "engines"]);
    cargo.env("STARLING_SHIM_FOR_TESTS", "1").env("STARLING_FAKES", wine::path(dir.path())?);
    cargo.env(windows::RUNNER, context.wine()?.runner());
    process::run(cargo, &context.stop)?;
    Ok(Passed::Plainly)
}

fn make_fakes(package: &Path, folder: &Path) -> Result<()> {
    let compiler = windows::cpp_compiler();
    make::make(package, folder, NAMES, &[&compiler, "-static"]).context("the library that is none cannot be compiled")
}
