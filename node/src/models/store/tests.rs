//! The index: what it finds, what it refuses, and who may change it.

use super::*;
use crate::models::name::HUB;

fn entry(file: &str, source: &str) -> Entry {
    let name = file.trim_end_matches(".gguf").to_owned();
    let sha256 = format!("{:02x}", file.len()).repeat(32);
    Entry { name, file: file.into(), bytes: 3, sha256, source: source.into(), pulled: "2026-11-22".into() }
}

fn stage() -> (tempfile::TempDir, Store) {
    let data = tempfile::tempdir().unwrap();
    let store = Store::new(data.path());
    (data, store)
}

#[test]
fn models_come_and_go() {
    let (_data, store) = stage();
    assert_eq!(store.entries().unwrap(), []);
    let (one, two) = (entry("one.gguf", "hf:o/r/one.gguf"), entry("other.gguf", "https://example.org/other.gguf"));
    store.add(one.clone()).unwrap();
    store.add(two.clone()).unwrap();
    store.add(one.clone()).unwrap();
    assert_eq!(store.entries().unwrap(), [two.clone(), one.clone()]);
    fs::write(store.path(&one), "abc").unwrap();
    store.remove(&one).unwrap();
    assert!(!store.path(&one).exists());
    store.remove(&two).unwrap();
    assert_eq!(store.entries().unwrap(), []);
}

#[test]
fn a_model_is_found_by_any_of_its_names() {
    let (_data, store) = stage();
    let names = ["m-Q8_0.gguf", "m-Q4_K_M.gguf"];
    for file in names {
        store.add(entry(file, &format!("hf:Owner/Repo/{file}"))).unwrap();
    }
    store.add(entry("url.gguf", "https://example.org/url.gguf")).unwrap();
    let hub = HUB.parse().unwrap();
    for (text, file) in [
        ("M-q8_0", Some(names[0])),
        ("m-Q8_0.gguf", Some(names[0])),
        (&"0b".repeat(32), Some(names[0])),
        ("0b0b0b0b0b0b", Some(names[0])),
        ("0b0b", None),
        ("hf:owner/repo:q8_0", Some(names[0])),
        ("hf:Owner/Repo/m-Q8_0.gguf", Some(names[0])),
        ("hf:Owner/Repo@v2/m-Q8_0.gguf", None),
        ("hf:Owner/Repo", Some(names[1])),
        ("hf:Owner/Repo:Q5_K_M", None),
        ("https://example.org/url.gguf?key=1", Some("url.gguf")),
        ("m", None),
    ] {
        let found = store.find(text, &hub).unwrap();
        assert_eq!(found.map(|entry| entry.file).as_deref(), file, "{text}");
    }
    for file in ["a.gguf", "b.gguf"] {
        store.add(entry(file, &format!("hf:o/two/{file}"))).unwrap();
    }
    let Err(Exit::Usage { hint, .. }) = store.find("hf:o/two", &hub) else { panic!("it chose one") };
    assert_eq!(hint, "say which: a, b");
}

#[test]
fn one_program_at_a_time_has_a_model() {
    let (_data, store) = stage();
    let lock = store.lock("one.gguf").unwrap();
    let Err(Exit::Usage { what, .. }) = store.lock("one.gguf") else { panic!("locked twice") };
    assert!(what.contains("one.gguf"), "{what}");
    assert!(store.remove(&entry("one.gguf", "")).is_err());
    store.lock("two.gguf").unwrap();
    drop(lock);
    store.lock("one.gguf").unwrap();
}

#[test]
fn a_damaged_index_is_named_and_leads_nowhere() {
    let (_data, store) = stage();
    fs::create_dir_all(store.folder()).unwrap();
    let mut lost = entry("one.gguf", "");
    lost.file = "../one.gguf".into();
    let mut unknown = entry("one.gguf", "");
    unknown.sha256 = "1".into();
    let text = |entry| toml::to_string(&Index { models: vec![entry] }).unwrap();
    for text in ["[[model]]\nname = 1", "model = ", &text(lost), &text(unknown)] {
        fs::write(store.folder().join(INDEX), text).unwrap();
        let Err(Exit::Usage { what, .. }) = store.entries() else { panic!("{text}") };
        assert!(what.contains("index.toml cannot be used"), "{what}");
        assert!(store.add(entry("two.gguf", "")).is_err(), "what cannot be read is not replaced");
    }
}
