//! Signed releases made of the programs here: the one that is, a newer one, and one that does not start.
//!
//! The newer one is the same program with another number in it: nothing is built for it, and no option lets a program
//! pretend to a version.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use minisign::{KeyPair, SecretKey};

use crate::dist::manifest::{Kind, MANIFEST, Manifest, PACKAGES, System};
use crate::process;
use crate::sign;
use crate::stop::Stop;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) struct Releases {
    /// Where they lie: `first`, `next`, `broken`, `failing`.
    folder: PathBuf,
    /// The public key that has signed them.
    pub(super) key: String,
    /// One that has signed nothing.
    other_key: String,
}

impl Releases {
    pub(super) fn make(node: &Path, folder: &Path, _: &Stop) -> Result<Self> {
        let (pair, other) = (KeyPair::generate_unencrypted_keypair()?, KeyPair::generate_unencrypted_keypair()?);
        let program = stripped(node, folder)?;
        let newer = with_number(&program, VERSION, &next(1));
        let broken = b"#!/bin/sh\nexit 1\n".to_vec();
        let all = [
            ("first", VERSION, program),
            ("next", &next(1), newer),
            ("broken", &next(2), broken),
            ("failing", &next(3), failing(&next(3))),
        ];
        for (name, version, program) in all {
            release(&folder.join(name), version, &program, &pair.sk)?;
        }
        Ok(Self { folder: folder.to_owned(), key: pair.pk.to_base64(), other_key: other.pk.to_base64() })
    }

    /// Puts the first before the gateway.
    pub(super) fn serve(&self, served: &Path) -> Result<()> {
        for entry in fs::read_dir(self.folder.join("first"))? {
            let entry = entry?;
            fs::copy(entry.path(), served.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// What the scenario has to know of them.
    pub(super) fn env(&self) -> String {
        format!("OLD={VERSION}\nNEW={}\nOTHER_KEY='{}'\n", next(1), self.other_key)
    }
}

/// The arguments of the verifier's test: key, document, signature, and whether that holds.
pub(super) fn vectors(dir: &Path) -> Result<Vec<String>> {
    let (ours, others) = (KeyPair::generate_unencrypted_keypair()?, KeyPair::generate_unencrypted_keypair()?);
    let key = ours.pk.to_base64();
    let mut arguments = vec![];
    // Lengths around the blocks of BLAKE2b.
    for length in [0, 1, 127, 128, 129, 1000] {
        let document = dir.join(format!("d{length}"));
        fs::write(&document, "x".repeat(length))?;
        for (pair, holds) in [(&ours, "yes"), (&others, "no")] {
            let signed = minisign::sign(None, &pair.sk, File::open(&document)?, Some("starling ü"), None)?.to_string();
            let files =
                [("as it is", signed.clone(), holds), ("another comment", signed.replace("starling", "sparrow"), "no")];
            for (what, text, holds) in files {
                let signature = dir.join(format!("d{length} {holds} {what} {}", arguments.len()));
                fs::write(&signature, text)?;
                let [document, signature] = [&document, &signature].map(|path| path.to_string_lossy().into_owned());
                arguments.extend([key.clone(), document, signature, holds.to_owned()]);
            }
        }
    }
    Ok(arguments)
}

fn release(folder: &Path, version: &str, program: &[u8], key: &SecretKey) -> Result<()> {
    fs::create_dir_all(folder)?;
    let is_ours = |package: &&crate::dist::manifest::Package| {
        package.program == "starling-node" && package.system == System::Linux && package.kind == Kind::Archive
    };
    let package = PACKAGES.iter().find(is_ours).context("no package for Linux")?;
    let file = File::create(folder.join(package.file_name(version)))?;
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    for (name, mode, bytes) in [("LICENSE", 0o644, &b"Apache-2.0\n"[..]), ("starling-node", 0o755, program)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        tar.append_data(&mut header, format!("starling-node-{version}/{name}"), bytes)?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Manifest::of(folder, version)?.write(folder)?;
    let signed = sign::sign(folder, key)?;
    ensure!(signed == version && folder.join(MANIFEST).is_file(), "{version} was not signed");
    Ok(())
}

/// The program without what only a debugger reads, so that packing it is quick.
fn stripped(node: &Path, folder: &Path) -> Result<Vec<u8>> {
    fs::create_dir_all(folder)?;
    let small = folder.join("starling-node");
    let mut strip = process::command("strip");
    strip.arg("-o").arg(&small).arg(node).stderr(Stdio::null());
    let from = if strip.status().is_ok_and(|status| status.success()) { &small } else { node };
    fs::read(from).with_context(|| format!("cannot read {}", from.display()))
}

/// Knows its version and its service, and ends as soon as it is to serve.
fn failing(version: &str) -> Vec<u8> {
    let lines = [
        "#!/bin/sh",
        "case $1 in",
        &format!("--version) echo starling-node {version} ;;"),
        "service) exec /usr/local/bin/starling-node.old \"$@\" ;;",
        "*) exit 1 ;;",
        "esac",
        "",
    ];
    lines.join("\n").into_bytes()
}

/// The same length, so that nothing else in the program moves.
fn with_number(program: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "a version of as many signs");
    let mut changed = program.to_vec();
    let places: Vec<usize> = program
        .windows(old.len())
        .enumerate()
        .filter(|(_, window)| *window == old.as_bytes())
        .map(|(at, _)| at)
        .collect();
    places.into_iter().for_each(|at| changed[at..at + new.len()].copy_from_slice(new.as_bytes()));
    changed
}

/// The version that is so many numbers on, at its last place, which has one digit still.
fn next(by: u32) -> String {
    let (start, last) = VERSION.rsplit_once('.').unwrap_or(("", VERSION));
    let last: u32 = last.parse().unwrap_or_default();
    format!("{start}.{}", (last + by) % 10)
}
