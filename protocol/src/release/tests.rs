//! Releases as they are signed, and as hostile ones would be.

use std::io::Cursor;

use minisign::KeyPair;

use super::*;

const SUM: &str = "77e22800726c0dd48b414715b26f160fa20fb3779f4c6f17c0462237d28e9304";

fn pair() -> (KeyPair, ReleaseKey) {
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let key = pair.pk.to_base64().parse().unwrap();
    (pair, key)
}

fn signed(pair: &KeyPair, document: &str) -> String {
    minisign::sign(Some(&pair.pk), &pair.sk, Cursor::new(document), Some("starling 1.2.3"), None).unwrap().to_string()
}

fn file(name: &str, bytes: &str, sha256: &str) -> String {
    format!(
        r#"{{"name":"{name}","program":"starling-node","system":"linux","arch":"x86_64","kind":"archive","bytes":{bytes},"sha256":"{sha256}","later":1}}"#
    )
}

fn document(version: &str, files: &[String]) -> String {
    format!(r#"{{"version":"{version}","files":[{}],"later":true}}"#, files.join(","))
}

#[test]
fn a_signed_release_is_read() {
    let (pair, key) = pair();
    let text = document("1.2.3", &[file("node-1.2.3.tar.gz", "13", SUM)]) + "\n";
    let manifest = Manifest::open(text.as_bytes(), &signed(&pair, &text), &key).unwrap();
    assert_eq!(manifest.version.to_string(), "1.2.3");
    let package = manifest.package("starling-node", "linux", "x86_64", "archive").unwrap();
    assert_eq!((package.name.as_str(), package.bytes, package.sha256[0]), ("node-1.2.3.tar.gz", 13, 0x77));
    assert_eq!(manifest.package("starling-node", "windows", "x86_64", "archive"), None);
}

#[test]
fn nothing_is_read_that_this_key_has_not_signed() {
    let ((ours, key), (others, _)) = (pair(), pair());
    let text = document("1.2.3", &[file("a.tar.gz", "13", SUM)]);
    let good = signed(&ours, &text);
    let open = |text: &str, signature: &str| Manifest::open(text.as_bytes(), signature, &key);
    assert!(open(&text, &good).is_ok());
    assert_eq!(open(&text, &signed(&others, &text)), Err(ReleaseError::Signature), "another key");
    assert_eq!(open(&text.replace("13", "14"), &good), Err(ReleaseError::Signature), "another document");
    assert_eq!(open(&document("1.2.4", &[]), &good), Err(ReleaseError::Signature), "an older signature");
    assert_eq!(open("not JSON", &good), Err(ReleaseError::Signature), "the signature comes first");
    assert_eq!(open(&text, &good.replace("starling 1.2.3", "starling 9.9.9")), Err(ReleaseError::Signature));
    let short = good.rsplit_once('=').unwrap().0;
    assert!(open(&text, short).is_err());
    for none in ["", "untrusted comment: x\n", "a\nb\nc\nd\n", &"x".repeat(MAX_SIGNATURE_BYTES + 1)] {
        assert_eq!(open(&text, none), Err(ReleaseError::NoSignature), "{none:.20}");
    }
}

#[test]
fn what_is_signed_is_within_bounds_all_the_same() {
    let (pair, key) = pair();
    let check = |text: &str, says: &str| {
        let error = Manifest::open(text.as_bytes(), &signed(&pair, text), &key).unwrap_err();
        assert!(matches!(error, ReleaseError::Malformed(_)) && error.to_string().contains(says), "{text:.80}: {error}");
    };
    let one = |name: &str, bytes: &str, sum: &str| document("1.2.3", &[file(name, bytes, sum)]);
    for name in
        ["..", "../a", "/etc/passwd", "a/b", "a\\\\b", "", ".hidden", "-rf", "a b", "a;b", "a\\nb", "C:a", "a..b", "a."]
    {
        check(&one(name, "13", SUM), "no plain name");
    }
    check(&one(&"a".repeat(MAX_NAME_BYTES + 1), "13", SUM), "no plain name");
    check(&one("a", "0", SUM), "0 bytes");
    check(&one("a", &(10_u64 << 30).to_string(), SUM), "10737418240 bytes");
    check(&one("a", "-1", SUM), "invalid");
    for sum in ["", "12", &SUM.replace('7', "g"), &format!("{SUM}0"), &"ü".repeat(32)] {
        check(&one("a", "13", sum), "no SHA-256");
    }
    check(&document("1.2.3", &[file("a", "1", SUM), file("A", "1", SUM)]), "twice");
    check(&one(MANIFEST, "1", SUM), "twice");
    let many: Vec<String> = (0..=MAX_FILES).map(|index| file(&format!("f{index}"), "1", SUM)).collect();
    check(&document("1.2.3", &many), "files");
    for version in ["", "1", "1.2", "v1.2.3", "1.2.3/..", "1.2.3 ", &format!("1.2.3-{}", "a".repeat(MAX_VERSION_BYTES))]
    {
        check(&document(version, &[]), "its version is none");
    }
    check("[]", "invalid");
    let long = document("1.2.3", &[]) + &" ".repeat(MAX_MANIFEST_BYTES);
    check(&long, "bytes");
}

#[test]
fn a_key_is_one_line_of_base64() {
    let (_, key) = pair();
    assert_eq!(format!(" {key}\n").parse::<ReleaseKey>().unwrap(), key);
    for none in ["", "RWS", &format!("{key}'"), &key.to_string().replace('R', "'"), &format!("x\n{key}")] {
        assert!(none.parse::<ReleaseKey>().is_err(), "{none}");
    }
}
