//! Pulls from a server on loopback that does what servers do on a bad day.

mod refused;
mod server;

use std::{path::PathBuf, time::Duration};

use axum::http::StatusCode;

use self::server::{Server, hex};
use super::*;
use crate::models::client::Patience;

const TOKEN: &str = "hf_secret";

/// A node's folder, and one server to pull from.
struct Stage {
    data: tempfile::TempDir,
    server: Server,
    room: Room,
    attempts: u32,
}

/// What a failed pull says.
struct Refused {
    what: String,
    hint: String,
}

impl Stage {
    async fn set() -> Self {
        let content = fs::read(models().join("swarm-demo-3M-q8_0.gguf")).unwrap();
        let server = Server::start(content).await;
        let room = Room { free: |_| Ok(u64::MAX), fits: |_, _| Ok(()), anyway: false };
        Self { data: tempfile::tempdir().unwrap(), server, room, attempts: 3 }
    }

    fn store(&self) -> Store {
        Store::new(self.data.path())
    }

    /// Without the lists, the names of the files that lie in the store.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store().folder()).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "locks" && name != "index.toml").collect();
        names.sort();
        names
    }

    async fn pull_with(&self, name: &str, sha256: Option<&str>) -> Result<(), Exit> {
        let patience =
            Patience { silence: Duration::from_millis(500), pause: Duration::from_millis(1), attempts: self.attempts };
        let client = Client::new(self.server.url.clone(), Some(TOKEN), patience).unwrap();
        let (store, hashes) = (self.store(), Hashes::new(self.data.path().join("hashes.json")));
        let pull = Pull { store: &store, hashes: &hashes, client: &client, room: &self.room };
        let sha256 = sha256.map(|digits| digits.parse().unwrap());
        pull.run(&Options { name: name.to_owned(), sha256, anyway: false }).await
    }

    async fn pull(&self, name: &str) -> Result<(), Exit> {
        self.pull_with(name, None).await
    }

    async fn refused(&self, name: &str) -> Refused {
        match self.pull(name).await {
            Err(Exit::Usage { what, hint }) => Refused { what, hint },
            other => panic!("{other:?}"),
        }
    }

    /// The only model here is what the server has, and nothing else is left.
    fn check_whole(&self) {
        let entries = self.store().entries().unwrap();
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!(self.files(), std::slice::from_ref(&entry.file));
        let content = fs::read(self.store().path(entry)).unwrap();
        self.server.set(|manners| assert!(manners.content == content[..], "other bytes"));
        assert_eq!((entry.bytes, &entry.sha256), (content.len() as u64, &hex(&content)));
    }

    fn address(&self, file: &str) -> String {
        format!("{}files/{file}", self.server.url)
    }
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../inference/models")
}

const NAME: &str = "hf:o/r:Q8_0";
const MIDDLE: usize = 2 << 20;

#[tokio::test]
async fn a_model_comes_from_the_hub_once() {
    let stage = Stage::set().await;
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
    assert_eq!(stage.files(), ["m-Q8_0.gguf"]);
    let hashes = Hashes::new(stage.data.path().join("hashes.json"));
    assert!(hashes.get(&stage.store().folder().join("m-Q8_0.gguf")).is_some(), "a node need not hash it again");
    let sent = stage.server.sent();
    stage.pull(NAME).await.unwrap();
    stage.pull("hf:o/r/m-Q8_0.gguf").await.unwrap();
    assert_eq!(stage.server.sent(), sent, "it was loaded again");
    // The usual one is another file.
    stage.pull("hf:o/r").await.unwrap();
    assert_eq!(stage.files(), ["m-Q4_K_M.gguf", "m-Q8_0.gguf"]);
}

#[tokio::test]
async fn a_damaged_or_forgotten_file_is_mended() {
    let stage = Stage::set().await;
    stage.pull(NAME).await.unwrap();
    let path = stage.store().folder().join("m-Q8_0.gguf");
    fs::write(&path, "damaged").unwrap();
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
    let sent = stage.server.sent();
    fs::remove_file(stage.store().folder().join("index.toml")).unwrap();
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
    assert_eq!(stage.server.sent(), sent, "it was loaded again");
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let stage = Stage::set().await;
    stage.server.set(|manners| manners.cut = Some(MIDDLE));
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
    let asked = stage.server.asked();
    assert_eq!(asked[2].range.as_deref(), Some(format!("bytes={MIDDLE}-").as_str()), "{asked:?}");
    assert_eq!(asked[2].if_range.as_deref(), Some("\"one\""));
}

#[tokio::test]
async fn a_stopped_download_goes_on_the_next_time() {
    let mut stage = Stage::set().await;
    stage.attempts = 1;
    stage.server.set(|manners| manners.cut = Some(MIDDLE));
    let refused = stage.refused(NAME).await;
    assert!(refused.what.contains("broke off") && refused.hint.contains("2.1 MB are here"), "{}", refused.hint);
    assert_eq!(stage.files(), ["m-Q8_0.gguf.part", "m-Q8_0.gguf.part.json"]);
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
    assert!(stage.server.asked().last().unwrap().range.is_some(), "it started again");
}

#[tokio::test]
async fn a_server_without_ranges_is_asked_for_all_of_it() {
    let stage = Stage::set().await;
    stage.server.set(|manners| (manners.cut, manners.ranges) = (Some(MIDDLE), false));
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
}

#[tokio::test]
async fn a_file_that_changes_in_between_is_started_again() {
    let mut stage = Stage::set().await;
    let other = fs::read(models().join("stories260K.gguf")).unwrap();
    let address = stage.address("changing.gguf");
    stage.attempts = 1;
    stage.server.set(|manners| manners.cut = Some(MIDDLE));
    stage.refused(&address).await;
    stage.server.set(|manners| (manners.content, manners.etag) = (other.into(), Some("\"two\"")));
    stage.pull(&address).await.unwrap();
    stage.check_whole();
    assert!(stage.server.asked().last().unwrap().if_range.is_some());
}

#[tokio::test]
async fn without_a_mark_of_the_version_nothing_is_joined() {
    let mut stage = Stage::set().await;
    let address = stage.address("unmarked.gguf");
    stage.attempts = 1;
    stage.server.set(|manners| (manners.cut, manners.etag) = (Some(MIDDLE), None));
    stage.refused(&address).await;
    stage.pull(&address).await.unwrap();
    stage.check_whole();
    assert_eq!(stage.server.asked().last().unwrap().range, None);
}

#[tokio::test]
async fn a_hash_may_be_given_with_an_address() {
    let stage = Stage::set().await;
    let sha256 = hex(&fs::read(models().join("swarm-demo-3M-q8_0.gguf")).unwrap());
    stage.pull(&format!("{}#sha256={sha256}", stage.address("a.gguf"))).await.unwrap();
    stage.pull_with(&stage.address("b.gguf?key=secret"), Some(&sha256)).await.unwrap();
    assert_eq!(stage.files(), ["a.gguf", "b.gguf"]);
    let sources: Vec<String> = stage.store().entries().unwrap().into_iter().map(|entry| entry.source).collect();
    assert_eq!(sources, [stage.address("a.gguf"), stage.address("b.gguf")], "no key is written down");
    let Err(Exit::Usage { what, .. }) = stage.pull_with(NAME, Some(&"ab".repeat(32))).await else { panic!("taken") };
    assert!(what.contains("not abab"), "{what}");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_silent_one_given_up() {
    let stage = Stage::set().await;
    stage.server.set(|manners| manners.status = Some(StatusCode::SERVICE_UNAVAILABLE));
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
    stage.server.set(|manners| manners.silent_after = Some(100_000));
    let refused = stage.refused("hf:o/r:Q4_K_M").await;
    assert!(refused.what.contains("silent"), "{}", refused.what);
}

#[tokio::test]
async fn the_token_is_for_the_hub_alone() {
    let stage = Stage::set().await;
    let other = Server::start(fs::read(models().join("swarm-demo-3M-q8_0.gguf")).unwrap()).await;
    stage.server.set(|manners| manners.redirect = Some(format!("{}files/", other.url)));
    stage.server.set(|manners| manners.etag = None);
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
    let token = Some(format!("Bearer {TOKEN}"));
    assert!(stage.server.asked().iter().all(|asked| asked.token == token), "{:?}", stage.server.asked());
    let asked = other.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.token.is_none()), "{asked:?}");
    stage.pull(&format!("{}files/own.gguf", other.url)).await.unwrap();
    assert!(other.asked().iter().all(|asked| asked.token.is_none()));
}

#[tokio::test]
async fn two_models_of_one_file_name_lie_side_by_side() {
    let stage = Stage::set().await;
    stage.pull(NAME).await.unwrap();
    let address = stage.address("m-Q8_0.gguf");
    stage.pull(&address).await.unwrap();
    stage.pull(&address).await.unwrap();
    assert_eq!(stage.store().entries().unwrap().len(), 2);
    assert_eq!(stage.files().len(), 2);
}

#[test]
fn file_names_suit_every_file_system() {
    for (given, plain_name) in [
        ("Qwen3-8B-Q5_K_M.gguf", "Qwen3-8B-Q5_K_M.gguf"),
        ("a b%20/ü.GGUF", "a_b_20__.gguf"),
        ("..gguf", "model-.gguf"),
        ("", "model-.gguf"),
        ("con.gguf", "model-con.gguf"),
        ("download", "download.gguf"),
        (&"x".repeat(300), &format!("{}.gguf", "x".repeat(200))),
    ] {
        assert_eq!(plain(given), plain_name, "{given}");
    }
}
