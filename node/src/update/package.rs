//! What is in a package: one folder, and in it the program, perhaps libraries, and papers for people.
//!
//! Its checksum was signed, and still nothing of it is written but plain files whose names we know, each within a bound.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use flate2::read::GzDecoder;
use semver::Version;
use starling_protocol::release::MAX_FILE_BYTES;

/// Most files of a package.
const MAX_FILES: usize = 256;
/// Longest name of a library, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Why a package is not unpacked.
#[derive(Debug)]
pub(super) enum Bad {
    Disk(io::Error),
    Package(String),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Writes the program and its libraries where `to` says for each name.
///
/// # Errors
/// When the package is not what it should be, or the disk refuses.
pub(super) fn unpack(
    package: &Path,
    version: &Version,
    program: &str,
    to: impl Fn(&str) -> PathBuf,
) -> Result<(), Bad> {
    let folder = format!("starling-node-{version}");
    let mut writer = Writer { folder, program: program.to_owned(), to: &to, files: 0, bytes: 0, found: false };
    let file = File::open(package)?;
    if package.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip")) {
        unzip(file, &mut writer)?;
    } else {
        untar(file, &mut writer)?;
    }
    if writer.found { Ok(()) } else { Err(Bad::Package(format!("it holds no {program}"))) }
}

fn untar(file: File, writer: &mut Writer<'_>) -> Result<(), Bad> {
    let broken = |error: io::Error| Bad::Package(format!("it is no archive: {error}"));
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let (path, kind, size) =
            (entry.path().map_err(broken)?.into_owned(), entry.header().entry_type(), entry.size());
        if !kind.is_dir() {
            writer.take(&path, kind.is_file(), size, &mut entry)?;
        }
    }
    Ok(())
}

fn unzip(file: File, writer: &mut Writer<'_>) -> Result<(), Bad> {
    let broken = |error: zip::result::ZipError| Bad::Package(format!("it is no archive: {error}"));
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    for index in 0..archive.len().min(MAX_FILES + 1) {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let (path, size) = (PathBuf::from(entry.name().map_err(broken)?.into_owned()), entry.size());
        if !entry.is_dir() {
            let is_file = entry.is_file();
            writer.take(&path, is_file, size, &mut entry)?;
        }
    }
    Ok(())
}

struct Writer<'a> {
    folder: String,
    program: String,
    to: &'a dyn Fn(&str) -> PathBuf,
    files: usize,
    bytes: u64,
    found: bool,
}

impl Writer<'_> {
    fn take(&mut self, path: &Path, is_file: bool, size: u64, from: &mut dyn Read) -> Result<(), Bad> {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.files > MAX_FILES || self.bytes > MAX_FILE_BYTES {
            return Err(Bad::Package("it holds too much".to_owned()));
        }
        let Some(name) = plain_name(path, &self.folder).filter(|_| is_file) else {
            return Err(Bad::Package(format!("it holds {path:?}, which belongs to no package")));
        };
        let is_program = name == self.program;
        if !is_program && !is_library(name) {
            return Ok(());
        }
        write(&(self.to)(name), size, from)?;
        self.found |= is_program;
        Ok(())
    }
}

fn write(path: &Path, size: u64, from: &mut dyn Read) -> Result<(), Bad> {
    let mut file = File::create(path)?;
    let mut chunk = vec![0; 256 << 10];
    let mut written = 0;
    loop {
        let length = from.read(&mut chunk).map_err(|error| Bad::Package(format!("it is damaged: {error}")))?;
        written += length as u64;
        if written > size || (length == 0 && written < size) {
            return Err(Bad::Package("it is not as long as it says".to_owned()));
        }
        if length == 0 {
            break;
        }
        file.write_all(&chunk[..length])?;
    }
    // Whatever the mask of whoever runs us; on Windows a file's name says that it can be run.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(file.sync_all()?)
}

/// The name of a file that lies right in the package's one folder.
fn plain_name<'a>(path: &'a Path, folder: &str) -> Option<&'a str> {
    let mut parts = path.components();
    let (first, second, none) = (parts.next()?, parts.next()?, parts.next());
    let (Component::Normal(first), Component::Normal(name), None) = (first, second, none) else { return None };
    let name = name.to_str().filter(|_| first == folder)?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    (name.len() <= MAX_NAME_BYTES && name.bytes().all(good)).then_some(name)
}

/// Whether it is one that belongs beside the program: `.dll`, `.so`, `.so.1`.
pub(super) fn is_library(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_version = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    lower.ends_with(".dll") || lower.rsplit_once(".so").is_some_and(|(stem, rest)| !stem.is_empty() && is_version(rest))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// Packs these, and unpacks what may be; what was written, by name.
    fn unpacked(files: &[(&str, &str)], change: impl Fn(&mut tar::Header)) -> Result<BTreeMap<String, String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("p.tar.gz");
        let mut tar = tar::Builder::new(GzEncoder::new(File::create(&package).unwrap(), Compression::fast()));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            // As a hostile packer would: without a look at the name.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            change(&mut header);
            header.set_cksum();
            tar.append(&header, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        let out = tempfile::tempdir().unwrap();
        let to = |name: &str| out.path().join(format!("{name}.new"));
        unpack(&package, &Version::new(1, 2, 3), "starling-node", to).map_err(|bad| match bad {
            Bad::Disk(error) => error.to_string(),
            Bad::Package(why) => why,
        })?;
        let read = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).unwrap())
        };
        Ok(fs::read_dir(out.path()).unwrap().map(read).collect())
    }

    #[test]
    fn program_and_libraries_are_taken_and_papers_left() {
        let files = [
            ("starling-node-1.2.3/LICENSE", "l"),
            ("starling-node-1.2.3/libggml.so.1", "g"),
            ("starling-node-1.2.3/starling-node", "p"),
            ("starling-node-1.2.3/README.txt", "r"),
        ];
        let names: Vec<_> = unpacked(&files, |_| {}).unwrap().into_iter().collect();
        let expected =
            [("libggml.so.1.new", "g"), ("starling-node.new", "p")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(names, expected);
    }

    #[test]
    fn what_belongs_to_no_package_is_refused() {
        let program = ("starling-node-1.2.3/starling-node", "p");
        for name in [
            "../outside",
            "/etc/passwd",
            "starling-node-1.2.3/../x.so",
            "starling-node-1.2.3/a/x.so",
            "starling-node-9.9.9/starling-node",
            "starling-node",
            "starling-node-1.2.3/a b.so",
        ] {
            let why = unpacked(&[program, (name, "x")], |_| {}).unwrap_err();
            assert!(why.contains("belongs to no package"), "{name}: {why}");
        }
        assert!(unpacked(&[("starling-node-1.2.3/LICENSE", "l")], |_| {}).unwrap_err().contains("no starling-node"));
        let link = |header: &mut tar::Header| header.set_entry_type(tar::EntryType::Symlink);
        assert!(unpacked(&[("starling-node-1.2.3/starling-node", "")], link).is_err());
        let huge = |header: &mut tar::Header| header.set_size(10 << 30);
        assert!(unpacked(&[program], huge).unwrap_err().contains("too much"));
        let longer = |header: &mut tar::Header| header.set_size(2000);
        assert!(unpacked(&[program], longer).is_err());
    }

    #[test]
    fn libraries_are_known_by_their_names() {
        for (name, is) in [
            ("a.dll", true),
            ("A.DLL", true),
            ("liba.so", true),
            ("liba.so.1.2", true),
            ("a.sock", false),
            (".so", false),
            ("a.exe", false),
            ("starling-node", false),
        ] {
            assert_eq!(is_library(name), is, "{name}");
        }
    }
}
