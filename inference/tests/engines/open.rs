//! What cannot be opened says so in one line, with a next step.

use std::path::{Path, PathBuf};

use starling_inference::{DeviceChoice, OpenError, Source, open};

use crate::subject::{gguf, models};

fn error(source: &Source) -> OpenError {
    match open(source) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

fn check(source: &Source, part: &str) {
    let error = error(source);
    let line = error.to_string();
    assert!(line.contains(part) && !line.contains('\n'), "{line}");
    assert!(!error.hint().is_empty());
}

fn file(path: PathBuf) -> Source {
    Source::Gguf {
        path,
        context_tokens: None,
        slots: None,
        threads: None,
        saved_bytes: None,
        hashes: None,
        device: DeviceChoice::Auto,
    }
}

fn written(folder: &Path, bytes: &[u8]) -> Source {
    let path = folder.join("bad.gguf");
    std::fs::write(&path, bytes).unwrap();
    file(path)
}

#[test]
fn files_that_are_missing_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(models().join("stories260K.gguf")).unwrap();
    check(&file("nowhere.gguf".into()), "there is no model file at nowhere.gguf");
    check(&file(folder.path().into()), "cannot read the model file");
    check(&written(folder.path(), b""), "ends too early");
    check(&written(folder.path(), b"not a model at all"), "does not start with GGUF");
    check(&written(folder.path(), &good[..good.len() - 100]), "ends too early");
    let demo = Source::Demo {
        cache_dir: models().join("README.md/x"),
        context_tokens: None,
        slots: None,
        threads: None,
        saved_bytes: None,
        device: DeviceChoice::Auto,
    };
    check(&demo, "cannot write the demo model to");
}

#[test]
fn options_that_do_not_fit() {
    check(&gguf("stories260K.gguf", 1, 5000), "context: must be from 16 to 512 for this model, is 5000");
    check(&gguf("stories260K.gguf", 0, 512), "slots: must be from 1 to 256");
    let (path, threads) = (models().join("stories260K.gguf"), Some(0));
    check(
        &Source::Gguf {
            path,
            context_tokens: None,
            slots: None,
            threads,
            saved_bytes: None,
            hashes: None,
            device: DeviceChoice::Auto,
        },
        "threads: must be from 1",
    );
}

#[test]
fn two_engines_in_one_process() {
    let (first, _runner) = open(&gguf("stories260K.gguf", 1, 512)).unwrap();
    let (second, _other) = open(&gguf("swarm-demo-3M-q8_0.gguf", 2, 512)).unwrap();
    assert_ne!(first.info().id, second.info().id);
}
