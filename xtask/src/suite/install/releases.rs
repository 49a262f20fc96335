//! Signed releases made of the programs here: the one that is, a newer one, and one that does not start.
//!
//! The newer one is the same program with another number in it: nothing is built for it, and no option lets a program
//! pretend to a version.

use std::cmp::Reverse;
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

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(in crate::suite) struct Releases {
    /// Where they lie: `first`, `next`, `broken`, `failing`.
    folder: PathBuf,
    /// The public key that has signed them.
    pub(in crate::suite) key: String,
    /// One that has signed nothing.
    other_key: String,
}

impl Releases {
    /// Of this system's program.
    pub(super) fn make(node: &Path, folder: &Path) -> Result<Self> {
        let program = stripped(node, "strip", folder)?;
        let failing = failing(&next(3));
        Self::of(System::Linux, program, failing, folder)
    }

    /// Of a program for Windows. The failing one looks for its membership where none is.
    #[cfg(target_os = "linux")]
    pub(in crate::suite) fn make_for_windows(node: &Path, folder: &Path) -> Result<Self> {
        let program = stripped(node, "x86_64-w64-mingw32-strip", folder)?;
        let failing = with_other(&with_other(&program, VERSION, &next(3)), "membership.cbor", "membership.none");
        Self::of(System::Windows, program, failing, folder)
    }

    fn of(system: System, program: Vec<u8>, failing: Vec<u8>, folder: &Path) -> Result<Self> {
        let (pair, other) = (KeyPair::generate_unencrypted_keypair()?, KeyPair::generate_unencrypted_keypair()?);
        let newer = with_other(&program, VERSION, &next(1));
        let broken = b"#!/bin/sh\nexit 1\n".to_vec();
        let all = [
            ("first", VERSION, program),
            ("next", &next(1), newer),
            ("broken", &next(2), broken),
            ("failing", &next(3), failing),
        ];
        for (name, version, program) in all {
            release(&folder.join(name), system, version, &program, &pair.sk)?;
        }
        Ok(Self { folder: folder.to_owned(), key: pair.pk.to_base64(), other_key: other.pk.to_base64() })
    }

    /// Puts one of them before the gateway: `first`, `next`, `broken` or `failing`.
    pub(in crate::suite) fn serve(&self, name: &str, served: &Path) -> Result<()> {
        let entries = fs::read_dir(self.folder.join(name))?;
        let mut names: Vec<_> = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
        // The manifest last, its signature before it.
        names.sort_by_key(|file| (file.to_string_lossy().starts_with(MANIFEST), Reverse(file.len())));
        for file in names {
            let half = served.join("half");
            fs::copy(self.folder.join(name).join(&file), &half)?;
            fs::rename(half, served.join(file))?;
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

/// The version that comes after this one by so many.
#[cfg(target_os = "linux")]
pub(in crate::suite) fn version(by: u32) -> String {
    if by == 0 { VERSION.to_owned() } else { next(by) }
}

fn release(folder: &Path, system: System, version: &str, program: &[u8], key: &SecretKey) -> Result<()> {
    fs::create_dir_all(folder)?;
    let is_ours = |package: &&crate::dist::manifest::Package| {
        package.program == "starling-node" && package.system == system && package.kind == Kind::Archive
    };
    let package = PACKAGES.iter().find(is_ours).context("no package for this system")?;
    let file = File::create(folder.join(package.file_name(version)))?;
    match system {
        System::Linux => tar(file, version, program)?,
        System::Windows => zip(file, version, program)?,
    }
    Manifest::of(folder, version)?.write(folder)?;
    let signed = sign::sign(folder, key)?;
    ensure!(signed == version && folder.join(MANIFEST).is_file(), "{version} was not signed");
    Ok(())
}

fn tar(file: File, version: &str, program: &[u8]) -> Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    for (name, mode, bytes) in [("LICENSE", 0o644, &b"Apache-2.0\n"[..]), ("starling-node", 0o755, program)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        tar.append_data(&mut header, format!("starling-node-{version}/{name}"), bytes)?;
    }
    Ok(tar.into_inner()?.finish()?.flush()?)
}

fn zip(file: File, version: &str, program: &[u8]) -> Result<()> {
    let mut zip = zip::ZipWriter::new(file);
    let options = zip::write::SimpleFileOptions::default().compression_level(Some(1));
    for (name, bytes) in [("LICENSE", &b"Apache-2.0\n"[..]), ("starling-node.exe", program)] {
        zip.start_file(format!("starling-node-{version}/{name}"), options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.flush()?)
}

/// The program without what only a debugger reads, so that packing it is quick.
fn stripped(node: &Path, strip: &str, folder: &Path) -> Result<Vec<u8>> {
    fs::create_dir_all(folder)?;
    let small = folder.join("starling-node");
    let mut strip = process::command(strip);
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

/// With another text of the same length, so that nothing else in the program moves.
fn with_other(program: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "a text of as many bytes");
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
