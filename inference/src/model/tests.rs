//! Good files are read, damaged ones refused, and none of them brings the reader down.

use std::path::PathBuf;

use super::*;
use crate::model::reader::HeaderError;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

fn demo() -> Vec<u8> {
    std::fs::read(models().join("swarm-demo-3M-q8_0.gguf")).unwrap()
}

fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    Header::read(bytes, bytes.len() as u64)
}

/// The demo model's header ends before this; its tensors begin there.
const HEADER: usize = 100_000;

#[test]
fn the_models_here_are_good() {
    let demo = ModelFile::open(&models().join("swarm-demo-3M-q8_0.gguf")).unwrap();
    assert_eq!((demo.header.architecture(), demo.header.context_tokens()), ("qwen3", Some(1024)));
    assert!(demo.header.chat_template().unwrap().contains("<|im_start|>"));
    assert_eq!(demo.name(), "swarm-demo-3M-q8_0");
    assert_eq!(demo.sha256(None).unwrap()[..4], [0xf1, 0x13, 0xd6, 0x57]);
    let stories = ModelFile::open(&models().join("stories260K.gguf")).unwrap();
    assert_eq!((stories.header.architecture(), stories.header.chat_template()), ("llama", None));
}

#[test]
fn a_missing_file_and_a_folder_are_told_apart() {
    let missing = ModelFile::open(Path::new("no/such/file.gguf")).unwrap_err();
    assert_eq!(missing.to_string(), "there is no model file at no/such/file.gguf");
    assert!(matches!(ModelFile::open(&models()), Err(OpenError::Unreadable { .. })));
    let readme = ModelFile::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap_err();
    assert!(readme.to_string().ends_with("it does not start with GGUF"), "{readme}");
}

#[test]
fn every_cut_is_noticed() {
    let bytes = demo();
    let near = (0..60).map(|at| at * 7);
    let far = (1..60).map(|part| bytes.len() * part / 60);
    for length in near.chain(far).chain([bytes.len() - 1]) {
        assert!(read(&bytes[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn no_flip_of_the_header_brings_the_reader_down() {
    let good = demo();
    let mut refused = 0;
    for number in 0..600_u64 {
        let mut bytes = good.clone();
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        // Half of them in the first entries, where most structure is.
        let range = if number % 2 == 0 { 600 } else { HEADER as u64 };
        let (at, bit) = (usize::try_from(random % range).unwrap(), (random >> 40) % 8);
        bytes[at] ^= 1 << bit;
        refused += usize::from(read(&bytes).is_err());
    }
    assert!(refused > 100, "{refused} of 600");
}

#[test]
fn structure_that_lies_is_refused() {
    let good = demo();
    // Magic, version, number of tensors, number of entries, length of the first key: each byte of each.
    for at in 0..32 {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let version_2 = at == 4 && bit == 0;
            assert_eq!(read(&bytes).is_ok(), version_2, "byte {at} bit {bit}");
        }
    }
}

#[test]
fn entries_that_would_abort_the_engine_are_refused() {
    check_patched("qwen3.block_count", 0, "block_count");
    check_patched("qwen3.block_count", 513, "block_count");
    check_patched("qwen3.embedding_length", 0, "embedding_length");
    check_patched("qwen3.context_length", 0, "context_length");
    check_patched("qwen3.attention.head_count", 0, "head_count");
    check_patched("qwen3.attention.head_count_kv", 3, "multiple");
}

/// Sets a number of the demo model's header and expects an error that names it.
fn check_patched(key: &str, value: u32, part: &str) {
    let mut bytes = demo();
    let key_at = bytes.windows(key.len()).position(|window| window == key.as_bytes()).unwrap();
    let value_at = key_at + key.len() + 4;
    bytes[value_at..value_at + 4].copy_from_slice(&value.to_le_bytes());
    let error = read(&bytes).expect_err(key).to_string();
    assert!(error.contains(part), "{error}");
}
