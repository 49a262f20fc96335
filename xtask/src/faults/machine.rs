//! What befalls the machine: a disk that is full, a clock that is wrong.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::database::{answers_again, refused_or_taken};
use super::nodes::{under_way, whole};
use super::plan::{Skipped, Tried};
use super::rig::{GATEWAY, Ground, Rig, Shape};
use crate::process;

const TOKENS: usize = 400;
const PER_SECOND: u32 = 100;
const LIMIT: Duration = Duration::from_secs(60);
/// How long the disk is full; the gateway tries for some eight seconds to store an answer.
const FULL: Duration = Duration::from_secs(4);
/// A whole disk.
const DISK: &str = "size=8m";
/// Two clocks may be five minutes apart; and one that is ahead finds nothing that has not begun yet.
const TOLERATED: [&str; 2] = ["-4m", "+10m"];
const TOO_MUCH: &str = "-10m";
/// A node that is of use is in sight after this.
const SIGHT: Duration = Duration::from_secs(8);

/// A file system of its own. Dropping it removes it.
pub(super) struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(at);
        match process::output(&mut mount) {
            Some(_) => Ok(Self(at.to_owned())),
            None => Err(Skipped("a small file system can only be mounted by root".into()).into()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = process::output(std::process::Command::new("umount").arg("-l").arg(&self.0));
    }
}

/// A gateway whose folder is a small disk.
pub(super) fn small_disk<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    let disk = Disk::mount(&ground.data.join(name).join(GATEWAY))?;
    let mut rig = Rig::start(ground, name, Shape::of(2, TOKENS, PER_SECOND))?;
    rig.disk = Some(disk);
    Ok(rig)
}

pub(super) fn full_disk(rig: &mut Rig) -> Result<Tried> {
    let (reader, _) = under_way(rig, TOKENS / 4)?;
    let ballast = rig.data.join(GATEWAY).join("ballast");
    fill(&ballast)?;
    let moment = Instant::now();
    let meanwhile = rig.ask()?;
    rig.wait(FULL)?;
    std::fs::remove_file(&ballast)?;
    let told = rig.finish(meanwhile, LIMIT)?;
    let mut tried = whole(rig, reader, moment)?;
    tried.broke.extend(refused_or_taken(&told, moment));
    tried.broke.extend(answers_again(rig)?);
    Ok(tried)
}

/// Until not a byte more fits.
fn fill(file: &Path) -> Result<()> {
    use std::io::Write as _;
    let mut ballast = std::fs::File::create(file)?;
    for size in [64 << 10, 1 << 10, 1] {
        while ballast.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}

pub(super) fn no_node<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    faketime()?;
    Rig::start(ground, name, Shape::of(0, TOKENS / 4, PER_SECOND))
}

pub(super) fn one<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    faketime()?;
    Rig::start(ground, name, Shape::of(1, TOKENS / 4, PER_SECOND))
}

/// A clock that is a little wrong does no harm.
pub(super) fn clock(rig: &mut Rig) -> Result<Tried> {
    let node = start_with_clock(rig, TOLERATED[rig.trial % 2])?;
    rig.keep_nodes(1)?;
    let reader = rig.ask()?;
    let tried = whole(rig, reader, Instant::now());
    rig.kill(&node)?;
    tried.map(|tried| Tried { next: None, ..tried })
}

/// With one that is far off a node is of no use, says why, and is in nobody's way.
pub(super) fn wrong_clock(rig: &mut Rig) -> Result<Tried> {
    let node = start_with_clock(rig, TOO_MUCH)?;
    rig.wait(SIGHT)?;
    let used = rig.slots()?.iter().any(|slots| slots.node == node);
    let reader = rig.ask()?;
    let mut tried = Tried { next: None, ..whole(rig, reader, Instant::now())? };
    tried.broke.extend(used.then(|| format!("a node whose clock is {TOO_MUCH} off is used")));
    let log = std::fs::read_to_string(rig.data.join("logs").join(format!("{node}.log")))?;
    tried.broke.extend((!log.contains("clock")).then(|| "the node's log says nothing of its clock".to_owned()));
    rig.kill(&node)?;
    Ok(tried)
}

fn start_with_clock(rig: &mut Rig, offset: &str) -> Result<String> {
    // Two times are one and the same clock else: what waits must not wait for the wrong one.
    rig.environment = vec![
        format!("LD_PRELOAD={}", faketime()?.display()),
        format!("FAKETIME={offset}"),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
        "DONT_FAKE_MONOTONIC=1".into(),
    ];
    let scripted = rig.shape.scripted.clone();
    let started = rig.start_node(&scripted, &[]);
    rig.environment.clear();
    started
}

/// The library that shows a program another time.
fn faketime() -> Result<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").context("no /usr/lib")?.flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let missing = || Skipped("libfaketime is not there: apt-get install libfaketime".into());
    Ok(found.find(|library| library.is_file()).ok_or_else(missing)?)
}
