//! What a new machine gets, and what nobody gets.

use axum::http::{Method, header};

use super::{Guest, Site};
use crate::{
    accounts::AccountOptions,
    releases::{
        Keeper, Releases,
        tests::{Folder, PROGRAM},
    },
};

const PACKAGE: &str = "/releases/node.tar.gz";

async fn site(folder: &Folder) -> (Site, Keeper) {
    let (releases, keeper) = Releases::new(&folder.options(), Some("https://chat.example".to_owned()));
    (Site::of(Some("https://chat.example"), AccountOptions::default(), releases).await, keeper)
}

#[tokio::test]
async fn a_new_machine_gets_scripts_manifest_and_packages() {
    let folder = Folder::new();
    let (site, mut keeper) = site(&folder).await;
    let nobody = Guest::default();
    let early = site.get("/install.sh", &nobody).await;
    assert_eq!((early.status.as_u16(), early.headers[header::RETRY_AFTER].to_str().unwrap()), (503, "5"));
    keeper.look();

    // Whatever a request calls us, the script has the address that the operator has given.
    let script = site.get("/install.sh", &nobody.with("host", "evil.example")).await;
    assert_eq!(script.status.as_u16(), 200);
    assert_eq!(script.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert!(script.text.contains("'https://chat.example'") && !script.text.contains("evil"));
    assert!(script.text.contains(&folder.key()) && script.text.contains("'1.2.3'"));
    assert!(site.get("/install.ps1", &nobody).await.text.contains(&folder.key()));

    assert_eq!(site.get("/releases/release.json", &nobody).await.body["version"], "1.2.3");
    assert!(site.get("/releases/release.json.minisig", &nobody).await.text.starts_with("untrusted comment:"));
    let package = site.get(PACKAGE, &nobody).await;
    assert_eq!(package.text.as_bytes(), PROGRAM);
    assert_eq!(package.headers[header::CONTENT_LENGTH], PROGRAM.len().to_string().as_str());
    assert_eq!(package.headers["x-content-type-options"], "nosniff");
    assert!(package.headers.contains_key("ratelimit"), "it is counted");
}

#[tokio::test]
async fn a_download_goes_on_from_where_it_broke_off() {
    let folder = Folder::new();
    let (site, mut keeper) = site(&folder).await;
    keeper.look();
    let nobody = Guest::default();
    let whole = site.get(PACKAGE, &nobody).await;
    let tag = whole.headers[header::ETAG].to_str().unwrap().to_owned();
    let part = site.get(PACKAGE, &nobody.with("range", "bytes=10-").with("if-range", &tag)).await;
    assert_eq!((part.status.as_u16(), part.text.as_bytes()), (206, &PROGRAM[10..]));
    assert_eq!(
        part.headers[header::CONTENT_RANGE],
        format!("bytes 10-{0}/{1}", PROGRAM.len() - 1, PROGRAM.len()).as_str()
    );
    let other = site.get(PACKAGE, &nobody.with("range", "bytes=10-").with("if-range", "\"other\"")).await;
    assert_eq!((other.status.as_u16(), other.text.len()), (200, PROGRAM.len()));
    assert_eq!(site.get(PACKAGE, &nobody.with("range", "bytes=1000-")).await.status.as_u16(), 416);
    assert_eq!(site.get(PACKAGE, &nobody.with("if-none-match", &tag)).await.status.as_u16(), 304);
    let head = site.send(Method::HEAD, PACKAGE, &nobody, None).await;
    assert_eq!((head.status.as_u16(), head.text.len()), (200, 0));
    assert_eq!(head.headers[header::CONTENT_LENGTH], PROGRAM.len().to_string().as_str());
}

#[tokio::test]
async fn nothing_else_is_given_out() {
    let folder = Folder::new();
    folder.write("secret.txt", b"of the operator's");
    let (site, mut keeper) = site(&folder).await;
    keeper.look();
    for path in [
        "/releases/secret.txt",
        "/releases/..%2fsecret.txt",
        "/releases/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/releases/NODE.tar.gz",
        "/releases/node.tar.gz%00",
        "/releases/",
        "/releases/a/b.txt",
    ] {
        let answer = site.get(path, &Guest::default()).await;
        assert!(!answer.text.contains("of the operator's") && !answer.text.contains("root:"), "{path}");
        let built_page = answer.status.as_u16() == 200 && answer.text.contains("<html");
        assert!(built_page || matches!(answer.status.as_u16(), 400 | 404 | 503), "{path}: {}", answer.status);
    }
    assert_eq!(site.post(PACKAGE, &Guest::default(), serde_json::json!({})).await.status.as_u16(), 405);
}

#[tokio::test]
async fn a_broken_release_is_not_served_and_its_words_run_nothing() {
    let folder = Folder::new();
    let (site, mut keeper) = site(&folder).await;
    folder.write("node.tar.gz", b"changed");
    keeper.look();
    for path in ["/install.sh", "/install.ps1", "/releases/release.json", PACKAGE] {
        let answer = site.get(path, &Guest::default()).await;
        assert_eq!(answer.status.as_u16(), 404, "{path}");
        assert!(
            answer.text.lines().all(|line| line.starts_with("# ")) && answer.text.contains("were signed"),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn one_network_has_only_so_many_downloads_at_once() {
    let folder = Folder::new();
    let (site, mut keeper) = site(&folder).await;
    keeper.look();
    let from = std::net::IpAddr::from([192, 0, 2, 1]);
    let places: Vec<_> = (0..8).map(|_| site.app.downloads.place(from).unwrap()).collect();
    assert!(site.app.downloads.place(from).is_err());
    assert!(site.app.downloads.place([192, 0, 2, 2].into()).is_ok(), "another network");
    drop(places);
    assert!(site.app.downloads.place(from).is_ok());
}
