//! What befalls the gateway's database. Answers go on, and what was acknowledged is there afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::history::{End, Seen};
use super::nodes::{under_way, whole};
use super::plan::Tried;
use super::rig::{GATEWAY, Ground, Rig, Shape, words};

const TOKENS: usize = 400;
const PER_SECOND: u32 = 100;
const LIMIT: Duration = Duration::from_secs(60);
/// Longer than the gateway waits for the lock (3 s), and shorter than it tries to store an answer (8 s).
const LOCKED: Duration = Duration::from_secs(5);
/// How long its file is elsewhere.
const GONE: Duration = Duration::from_secs(2);
/// Whoever asks meanwhile is told within this.
const TOLD: Duration = Duration::from_secs(10);
const LOCKER: &str = "locker";
/// The database's files, by their ends.
const FILES: [&str; 3] = ["", "-wal", "-shm"];

pub(super) fn two<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    Rig::start(ground, name, Shape::of(2, TOKENS, PER_SECOND))
}

pub(super) fn locked(rig: &mut Rig) -> Result<Tried> {
    let (reader, _) = under_way(rig, TOKENS / 4)?;
    let file = rig.database();
    rig.launch_helper(LOCKER, &[words(&["lock"]), vec![file.into()]].concat())?;
    rig.wait_for_word(LOCKER, "locked")?;
    let moment = Instant::now();
    let meanwhile = rig.ask()?;
    rig.wait(LOCKED)?;
    rig.kill(LOCKER)?;
    let told = rig.finish(meanwhile, LIMIT)?;
    let mut tried = whole(rig, reader, moment)?;
    tried.broke.extend(refused_or_taken(&told, moment));
    tried.broke.extend(answers_again(rig)?);
    Ok(tried)
}

/// The folder is moved and comes back, as a disk that is taken out.
pub(super) fn gone(rig: &mut Rig) -> Result<Tried> {
    let (reader, _) = under_way(rig, TOKENS / 4)?;
    std::fs::create_dir_all(rig.data.join("elsewhere"))?;
    move_files(rig, GATEWAY, "elsewhere").context("the database cannot be moved")?;
    let moment = Instant::now();
    let meanwhile = rig.ask()?;
    rig.wait(GONE)?;
    move_files(rig, "elsewhere", GATEWAY).context("the database cannot be moved back")?;
    let told = rig.finish(meanwhile, LIMIT)?;
    let mut tried = whole(rig, reader, moment)?;
    tried.broke.extend(refused_or_taken(&told, moment));
    tried.broke.extend(answers_again(rig)?);
    Ok(tried)
}

/// Some of the files may not be there.
fn move_files(rig: &Rig, from: &str, to: &str) -> Result<()> {
    for end in FILES {
        let name = |folder: &str| rig.data.join(folder).join(format!("starling.db{end}"));
        if name(from).exists() {
            std::fs::rename(name(from), name(to))?;
        }
    }
    Ok(())
}

/// Whoever asked while the database was not there was told so in time, or got an answer.
pub(super) fn refused_or_taken(seen: &Seen, moment: Instant) -> Option<String> {
    let first = seen.starts.first().map(|(at, _)| *at).or(seen.pieces.first().map(|(at, _)| *at));
    match (&seen.ends[..], &seen.accepted) {
        ([End::Failed(_)], None) => None,
        ([End::Done], Some(_)) if first.is_some_and(|first| first - moment <= TOLD) => None,
        (ends, accepted) => Some(format!("asked meanwhile: taken {}, ended {ends:?}", accepted.is_some())),
    }
}

/// What is asked afterwards is answered as ever.
pub(super) fn answers_again(rig: &mut Rig) -> Result<Option<String>> {
    let reader = rig.ask()?;
    let seen = rig.finish(reader, LIMIT)?;
    Ok((!seen.is_whole()).then(|| format!("asked afterwards: ended {:?}", seen.ends)))
}
