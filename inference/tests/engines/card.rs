//! TensorRT and all that is below it, on a graphics card that is none: the driver and the vendor's library are replaced by
//! small ones ([`fakes`]) that do what their documentation demands, as late as it allows, and see what is done wrong.
//! Everything of ours is real: how engines are built and kept, the shim, memory and streams, slots and batches.
//!
//! Both are loaded as the real ones are, which a process does once: each test here that is ignored runs in a process
//! of its own, which another one starts.

mod fakes;
mod inside;
#[cfg(not(windows))]
mod make;

use std::path::{Path, PathBuf};

use starling_inference::Source;
use starling_inference::tensorrt::{Build, Capability, Options, Precision, build, memory};

use crate::subject::models;

/// Where the process of a test finds the two, and puts engines.
const FOLDER: &str = "STARLING_FAKES";

#[test]
fn every_promise_is_kept_on_a_card() {
    fakes::run(&["card_model::"], 16);
}

#[test]
fn everything_that_a_card_can_do_wrong_is_borne() {
    fakes::run(&["card::inside::"], 8);
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os(FOLDER).expect("this test is started by another one"))
}

pub(crate) fn options(folder: &Path, precision: Precision) -> Options {
    Options {
        library: self::folder(),
        engines: folder.join("engines"),
        precision,
        workspace: memory::WORKSPACE,
        share: memory::SHARE,
    }
}

/// What `file` is built as, in `folder`.
pub(crate) fn order(file: &str, folder: &Path, (slots, context_tokens): (u32, u32), precision: Precision) -> Build {
    let Options { library, engines, workspace, .. } = options(folder, precision);
    Build {
        model: models().join(file),
        precision,
        capability: Capability::ADA,
        context_tokens: Some(context_tokens),
        slots: Some(slots),
        workspace,
        engines,
        library,
        hashes: None,
    }
}

/// An engine of `file` that was built in `folder`.
pub(crate) fn built(file: &str, folder: &Path, (slots, context_tokens): (u32, u32), precision: Precision) -> Source {
    build(&order(file, folder, (slots, context_tokens), precision), &mut |_| true).unwrap();
    Source::TensorRt {
        path: models().join(file),
        context_tokens: Some(context_tokens),
        slots: Some(slots),
        hashes: None,
        options: Box::new(options(folder, precision)),
    }
}
