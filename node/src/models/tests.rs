//! Which file a name means, and what the commands do to the files here.

use std::fs;

use sha2::{Digest, Sha256};

use super::*;

/// A place with one pulled model, `small`, whose content is `abc`.
fn stage() -> (tempfile::TempDir, Place, Entry) {
    let data = tempfile::tempdir().unwrap();
    let place = Place::new(data.path());
    let sha256 = Sha256::digest("abc").iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = Entry {
        name: "small".into(),
        file: "small.gguf".into(),
        bytes: 3,
        sha256,
        source: "hf:o/r/small.gguf".into(),
        pulled: "2026-11-22".into(),
    };
    place.store.add(entry.clone()).unwrap();
    fs::write(place.store.path(&entry), "abc").unwrap();
    (data, place, entry)
}

#[test]
fn a_model_is_a_path_or_what_was_pulled() {
    let (data, place, entry) = stage();
    let path = data.path().join("own file");
    fs::write(&path, "").unwrap();
    assert_eq!(place.resolve(&path).unwrap(), path);
    for name in ["small", "hf:o/r", "hf:o/r/small.gguf", &entry.sha256] {
        assert_eq!(place.resolve(name.as_ref()).unwrap(), place.store.path(&entry), "{name}");
    }
    // A path that is nowhere is the engine's to refuse.
    for path in ["nowhere.gguf", "no/where"] {
        assert_eq!(place.resolve(path.as_ref()).unwrap(), Path::new(path));
    }
    for (name, says) in [
        ("hf:o/other:Q8_0", "models pull hf:o/other:Q8_0"),
        ("https://example.org/a.gguf", "models pull https://example.org/a.gguf"),
        ("large", "models list"),
    ] {
        let Err(Exit::Usage { hint, .. }) = place.resolve(name.as_ref()) else { panic!("{name}") };
        assert!(hint.contains(says), "{hint}");
    }
}

#[test]
fn verify_reads_every_byte_and_trusts_no_memory() {
    let (_data, place, entry) = stage();
    let (store, hashes) = (&place.store, Hashes::new(place.hashes.clone()));
    let check = || verify::run(store, &hashes, &store.entries().unwrap());
    check().unwrap();
    let path = store.path(&entry);
    fs::write(&path, "abd").unwrap();
    hashes.remember_own(&path, &fs::metadata(&path).unwrap(), Sha256::digest("abc").into());
    for (content, says) in [(Some("abd"), "SHA-256"), (Some("ab"), "2 bytes, not 3"), (None, "cannot be read")] {
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let problem = verify::problem(&path, &entry, &hashes).expect("a problem");
        assert!(problem.contains(says), "{problem}");
        assert!(matches!(check(), Err(Exit::Failed(what)) if what.contains("1 of 1 models")));
    }
}

#[test]
fn what_is_removed_is_gone_and_what_is_unknown_is_named() {
    let (_data, place, entry) = stage();
    let store = &place.store;
    let Err(Exit::Usage { what, .. }) = here(store, &["small".into(), "other".into()]) else { panic!("found") };
    assert!(what.contains("other"), "{what}");
    remove(store, &here(store, &["small".into()]).unwrap(), false).unwrap();
    assert!(!store.path(&entry).exists() && store.entries().unwrap().is_empty());
}
