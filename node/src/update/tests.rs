//! A gateway on loopback that has a release, and what is taken of it.

use std::io::Cursor;

use axum::{Router, http::StatusCode, routing::get};
use minisign::KeyPair;
use starling_protocol::release::{MANIFEST, SIGNATURE};

use super::{offer::Source, settings::Settings, *};

/// Serves these at /releases/…
async fn gateway(files: Vec<(&'static str, String)>) -> reqwest::Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let router = files.into_iter().fold(Router::new(), |router, (name, text)| {
        router.route(&format!("/releases/{name}"), get(move || async move { text }))
    });
    let router = router.fallback(|| async { StatusCode::NOT_FOUND });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn signed(pair: &KeyPair, document: &str) -> String {
    minisign::sign(Some(&pair.pk), &pair.sk, Cursor::new(document), None, None).unwrap().to_string()
}

/// What comes of asking, with the key of `pair`.
async fn fetched(pair: &KeyPair, files: Vec<(&'static str, String)>) -> Result<Source, String> {
    let url = gateway(files).await;
    let settings = Settings { url: url.clone(), key: pair.pk.to_base64().parse().unwrap(), data: PathBuf::new() };
    Source::fetch(&Client::of(&url).unwrap(), &settings).await.map_err(|exit| match exit {
        Exit::Usage { what, .. } | Exit::Failed(what) => what,
    })
}

#[tokio::test]
async fn only_what_our_key_has_signed_is_looked_at() {
    let (ours, others) =
        (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
    let document = r#"{"version":"9.9.9","files":[]}"#.to_owned();
    let good = signed(&ours, &document);
    assert!(fetched(&ours, vec![(MANIFEST, document.clone()), (SIGNATURE, good.clone())]).await.is_ok());
    let refused = async |files, says: &str| {
        let why = fetched(&ours, files).await.err().expect("it is refused");
        assert!(why.contains(says), "{why}");
    };
    refused(vec![(MANIFEST, document.clone()), (SIGNATURE, signed(&others, &document))], "does not hold").await;
    refused(vec![(MANIFEST, document.replace('9', "8")), (SIGNATURE, good.clone())], "does not hold").await;
    refused(vec![(MANIFEST, document.clone()), (SIGNATURE, "x".to_owned())], "no signature").await;
    refused(vec![(SIGNATURE, good.clone())], "has no /releases/release.json").await;
    refused(vec![(MANIFEST, " ".repeat(100_000)), (SIGNATURE, good)], "over 65536 bytes").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_says_its_version_or_is_not_taken() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    let wanted = Version::new(1, 2, 3);
    for (script, good) in [
        ("#!/bin/sh\necho starling-node 1.2.3\n", true),
        ("#!/bin/sh\necho starling-node 1.2.4\n", false),
        ("#!/bin/sh\necho starling-node 1.2.3\nexit 1\n", false),
        ("not a program", false),
    ] {
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(says_version(&path, &wanted).await.is_ok(), good, "{script}");
    }
    assert!(says_version(&dir.path().join("none"), &wanted).await.is_err());
}
