//! Folders as operators fill them, and as others would.

use std::io::Cursor;

use minisign::KeyPair;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

/// What the packages of a made-up release hold.
pub(crate) const PROGRAM: &[u8] = b"a program for Linux, some hundred megabytes of it";

/// A folder of the operator's.
pub(crate) struct Folder {
    dir: TempDir,
    pair: KeyPair,
}

impl Folder {
    /// With a whole release in it.
    pub(crate) fn new() -> Self {
        let folder = Self { dir: TempDir::new().unwrap(), pair: KeyPair::generate_unencrypted_keypair().unwrap() };
        folder.write("node.tar.gz", PROGRAM);
        folder.sign("1.2.3", PROGRAM.len() as u64);
        folder
    }

    pub(crate) fn options(&self) -> Options {
        let key = self.pair.pk.to_base64().parse().unwrap();
        Options { releases: Some(self.dir.path().to_owned()), release_key: Some(key) }
    }

    pub(crate) fn key(&self) -> String {
        self.pair.pk.to_base64()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.path().join(name), bytes).unwrap();
    }

    /// Writes a manifest that claims so many bytes, and signs it.
    pub(crate) fn sign(&self, version: &str, bytes: u64) {
        let sum: String = Sha256::digest(PROGRAM).iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!(
            r#"{{"version":"{version}","files":[{{"name":"node.tar.gz","program":"starling-node","system":"linux","arch":"x86_64","kind":"archive","bytes":{bytes},"sha256":"{sum}"}}]}}"#
        ) + "\n";
        let signature = minisign::sign(Some(&self.pair.pk), &self.pair.sk, Cursor::new(&text), None, None).unwrap();
        self.write(MANIFEST, text.as_bytes());
        self.write(SIGNATURE, signature.to_string().as_bytes());
    }
}

fn refused(releases: &Releases) -> String {
    match releases.current() {
        Err(NoRelease::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_release_is_served_and_a_new_one_takes_its_place() {
    let folder = Folder::new();
    let (releases, mut keeper) = Releases::new(&folder.options(), Some("https://chat.example".to_owned()));
    assert_eq!(releases.current(), Err(NoRelease::Looking));
    keeper.look();
    assert_eq!(releases.current().unwrap().manifest.version.to_string(), "1.2.3");
    let installs = releases.installs().unwrap();
    assert_eq!((installs.origin.as_str(), installs.linux, installs.windows), ("https://chat.example", true, false));
    let script = releases.script(Script::Sh).unwrap();
    assert!(script.contains(&folder.key()) && script.contains("'https://chat.example'"));

    let before = releases.current().unwrap();
    keeper.look();
    assert!(Arc::ptr_eq(&before, &releases.current().unwrap()), "nothing has changed, and nothing was read");
    folder.sign("1.2.4", PROGRAM.len() as u64);
    keeper.look();
    assert_eq!(releases.current().unwrap().manifest.version.to_string(), "1.2.4");
    assert_eq!(keeper.sums.len(), 1, "a file is hashed once");
}

#[test]
fn nothing_of_a_folder_is_served_that_does_not_hold() {
    let folder = Folder::new();
    let (releases, mut keeper) = Releases::new(&folder.options(), None);
    let mut says = |change: &dyn Fn(), why: &str| {
        change();
        keeper.look();
        let said = refused(&releases);
        assert!(said.contains(why), "{said}");
        assert!(!said.contains(folder.dir.path().to_str().unwrap()), "{said}");
    };
    says(&|| folder.write("node.tar.gz", b"short"), "has 5 bytes");
    let other: Vec<u8> = PROGRAM.iter().map(|byte| byte ^ 1).collect();
    says(&|| folder.write("node.tar.gz", &other), "SHA-256");
    says(&|| fs::remove_file(folder.dir.path().join("node.tar.gz")).unwrap(), "is not there");
    folder.write("node.tar.gz", PROGRAM);
    // Beyond what may be, and within it: neither has ten gigabytes read.
    says(&|| folder.sign("1.2.3", 10 << 30), "10737418240 bytes");
    says(&|| folder.sign("1.2.3", 3 << 30), "were signed");
    says(&|| folder.write(SIGNATURE, b"nonsense"), "no signature");
    let stranger = Folder::new();
    let signed = fs::read(stranger.dir.path().join(SIGNATURE)).unwrap();
    says(&|| folder.write(SIGNATURE, &signed), "does not hold");
    folder.sign("1.2.3", PROGRAM.len() as u64);
    let stale = fs::read(folder.dir.path().join(SIGNATURE)).unwrap();
    folder.sign("1.2.4", PROGRAM.len() as u64);
    says(&|| folder.write(SIGNATURE, &stale), "does not hold");
    says(&|| folder.write(MANIFEST, &vec![b' '; 1 << 20]), "over 65536 bytes");
    folder.sign("1.2.5", PROGRAM.len() as u64);
    keeper.look();
    assert!(releases.current().is_ok(), "and when it is mended it is served");
    assert_eq!(releases.script(Script::Sh), Err(NoRelease::NoOrigin));
    assert_eq!(releases.installs(), None);
}

#[test]
fn a_file_that_has_changed_since_is_not_given_out() {
    let folder = Folder::new();
    let (releases, mut keeper) = Releases::new(&folder.options(), None);
    keeper.look();
    let release = releases.current().unwrap();
    assert!(release.open("node.tar.gz").unwrap().is_some());
    for name in ["", "..", "../node.tar.gz", "/etc/passwd", "NODE.TAR.GZ", MANIFEST] {
        assert!(release.open(name).unwrap().is_none(), "{name}");
    }
    folder.write("node.tar.gz", b"another file altogether");
    assert!(release.open("node.tar.gz").is_err());
}

#[test]
fn without_a_folder_there_is_nothing() {
    let (releases, mut keeper) = Releases::new(&Options::default(), Some("https://chat.example".to_owned()));
    keeper.look();
    assert_eq!(releases.current(), Err(NoRelease::None));
}
