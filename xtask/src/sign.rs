//! `cargo xtask sign`: signs a release, and makes the key for that.
//!
//! Signed is `release.json` alone, which holds the checksum of every other file. The format is minisign's, so that the
//! signature can be made and checked without us too: `minisign -S`, `minisign -V`.

use std::fs::{self, File};
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};

use crate::blocked::Blocked;
use crate::dist::manifest::{MANIFEST, Manifest};
use crate::say;

/// Where the password stands for machines that sign; without it a person is asked.
const PASSWORD: &str = "STARLING_RELEASE_PASSWORD";
/// A secret key file has two short lines.
const MAX_KEY_BYTES: u64 = 4096;

#[derive(Args)]
pub(crate) struct Options {
    /// The folder that `cargo xtask dist` has filled.
    #[arg(required_unless_present = "new_key")]
    dir: Option<PathBuf>,
    /// The secret key, in minisign's format.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Make that key first; its public half is printed and written beside it.
    #[arg(long)]
    new_key: bool,
    /// Make it without a password: for a machine that signs alone, on a disk that nobody else reads.
    #[arg(long, requires = "new_key")]
    no_password: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let password = std::env::var(PASSWORD).ok();
    if options.new_key {
        let public = make_key(&options.key, password.clone(), options.no_password)?;
        say::fact(&format!("key {}", public.to_base64()));
    }
    let Some(dir) = &options.dir else { return Ok(()) };
    let version = sign(dir, &read_key(&options.key, password)?)?;
    say::fact(&format!("signed {version}"));
    Ok(())
}

/// Signs the manifest of a folder, once it fits what lies there; the version that it names.
pub(crate) fn sign(dir: &Path, secret: &SecretKey) -> Result<String> {
    let manifest = Manifest::check(dir)
        .map_err(|error| Blocked::error(format!("{error:#}"), "make the folder with cargo xtask dist"))?;
    let text = fs::read(dir.join(MANIFEST))?;
    let public = PublicKey::from_secret_key(secret)?;
    let comment = format!("starling {}", manifest.version);
    let signature = minisign::sign(Some(&public), secret, Cursor::new(text), Some(&comment), Some("Starling release"))?;
    replace(&dir.join(format!("{MANIFEST}.minisig")), &signature.to_string())?;
    Ok(manifest.version)
}

fn make_key(path: &Path, password: Option<String>, without: bool) -> Result<PublicKey> {
    let pair =
        if without { KeyPair::generate_unencrypted_keypair()? } else { KeyPair::generate_encrypted_keypair(password)? };
    write_secret(path, &pair.sk.to_box(Some("Starling release secret key"))?.into_string())?;
    let public = path.with_added_extension("pub");
    replace(&public, &pair.pk.to_box()?.into_string())?;
    Ok(pair.pk)
}

/// For its owner alone, and never over one that is there.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| {
        Blocked::error(format!("cannot make {}: {error}", path.display()), "name a file that is not there yet")
    })?;
    file.write_all(text.as_bytes())?;
    file.sync_all().context("the key may not be on the disk")
}

fn read_key(path: &Path, password: Option<String>) -> Result<SecretKey> {
    let unreadable = |why: &dyn std::fmt::Display| {
        let hint = "give minisign's secret key file with --key, or make one with --new-key";
        Blocked::error(format!("{} is no secret key: {why}", path.display()), hint)
    };
    let length = fs::metadata(path).map_err(|error| unreadable(&error))?.len();
    if length > MAX_KEY_BYTES {
        return Err(unreadable(&"it is too long"));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let boxed = || SecretKeyBox::from_string(&text);
    // One without a password says so at once.
    if let Ok(key) = boxed().and_then(SecretKeyBox::into_unencrypted_secret_key) {
        return Ok(key);
    }
    boxed().and_then(|secret| secret.into_secret_key(password)).map_err(|error| {
        anyhow!(Blocked {
            message: format!("{} cannot be opened: {error}", path.display()),
            hint: format!("check the password; {PASSWORD} holds it for machines"),
        })
    })
}

/// Beside it first, so that nobody reads half of one.
fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_added_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use minisign::SignatureBox;

    use super::*;
    use crate::dist::manifest::PACKAGES;

    fn release(dir: &Path) {
        fs::write(dir.join(PACKAGES[3].file_name("1.2.3")), "a program").unwrap();
        Manifest::of(dir, "1.2.3").unwrap().write(dir).unwrap();
    }

    /// The manifest is signed with this key, and its trusted comment says so.
    #[track_caller]
    fn check(dir: &Path, public: &PublicKey) {
        let signature = SignatureBox::from_file(dir.join("release.json.minisig")).unwrap();
        let text = fs::read(dir.join(MANIFEST)).unwrap();
        minisign::verify(public, &signature, Cursor::new(text), true, false, false).unwrap();
        assert!(signature.is_prehashed());
        assert_eq!(signature.trusted_comment().unwrap(), "starling 1.2.3");
    }

    #[test]
    fn a_release_is_signed_by_either_kind_of_key() {
        let dir = tempfile::tempdir().unwrap();
        release(dir.path());
        for (name, password) in [("open", None), ("locked", Some("a password".to_owned()))] {
            let path = dir.path().join(name);
            let public = make_key(&path, password.clone(), password.is_none()).unwrap();
            assert!(fs::read_to_string(path.with_added_extension("pub")).unwrap().contains(&public.to_base64()));
            assert_eq!(sign(dir.path(), &read_key(&path, password).unwrap()).unwrap(), "1.2.3");
            check(dir.path(), &public);
        }
        let wrong = read_key(&dir.path().join("locked"), Some("another".to_owned())).unwrap_err().to_string();
        assert!(wrong.contains("cannot be opened"), "{wrong}");
    }

    #[test]
    fn keys_are_never_overwritten_and_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        make_key(&path, None, true).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        assert!(make_key(&path, None, true).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_signed() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate_unencrypted_keypair().unwrap().sk;
        assert!(sign(dir.path(), &key).is_err(), "there is nothing");
        release(dir.path());
        fs::write(dir.path().join(PACKAGES[3].file_name("1.2.3")), "another").unwrap();
        assert!(sign(dir.path(), &key).is_err());
        assert!(!dir.path().join("release.json.minisig").exists());
        for text in ["", "not a key", &"x".repeat(5000)] {
            fs::write(dir.path().join("key"), text).unwrap();
            assert!(read_key(&dir.path().join("key"), Some(String::new())).is_err());
        }
    }
}
