//! What befalls one of two gateways on one database, or the Redis between them. No answer fails.

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;

use super::history::End;
use super::plan::Tried;
use super::reader::Reader;
use super::rig::{GATEWAY, Ground, REDIS, Rig, Shape};

const TOKENS: usize = 300;
const PER_SECOND: u32 = 100;
/// A gateway that hands its answers over is gone within this.
const GONE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);
/// Questions that run while it happens; a person has four answers at once.
const ASKERS: usize = 3;

pub(super) fn two<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    let mut rig = Rig::new(ground, name, Shape::of(2, TOKENS, PER_SECOND))?;
    rig.start_bootstrap()?;
    rig.start_redis()?;
    rig.start_gateway()?;
    rig.keep_nodes(rig.shape.nodes)?;
    rig.start_second_gateway()?;
    Ok(rig)
}

/// SIGTERM of the one that gives the answers: the other goes on with them.
pub(super) fn stop(rig: &mut Rig) -> Result<Tried> {
    let readers = several(rig)?;
    let moment = rig.ask_to_end(GATEWAY)?;
    let took = rig.wait_for_end(GATEWAY)?;
    let mut tried = all_whole(rig, readers, moment)?;
    if took > GONE {
        tried.broke.push(format!("it took {:.1} s to stop", took.as_secs_f64()));
    }
    tried.note = Some(format!("the last one was gone after {:.1} s", took.as_secs_f64()));
    rig.start_gateway()?;
    Ok(tried)
}

/// Its death: the other one misses it.
pub(super) fn kill(rig: &mut Rig) -> Result<Tried> {
    let readers = several(rig)?;
    let moment = rig.kill(GATEWAY)?;
    let tried = all_whole(rig, readers, moment)?;
    rig.start_gateway()?;
    Ok(tried)
}

pub(super) fn redis_gone(rig: &mut Rig) -> Result<Tried> {
    let mut readers = several(rig)?;
    let moment = rig.kill(REDIS)?;
    readers.push(rig.ask()?);
    let tried = all_whole(rig, readers, moment)?;
    rig.start_redis()?;
    Ok(tried)
}

/// It still takes connections, and answers nothing.
pub(super) fn redis_hang(rig: &mut Rig) -> Result<Tried> {
    let mut readers = several(rig)?;
    rig.signal(REDIS, Signal::SIGSTOP)?;
    let moment = Instant::now();
    readers.push(rig.ask()?);
    let tried = all_whole(rig, readers, moment);
    rig.signal(REDIS, Signal::SIGCONT)?;
    tried
}

fn several(rig: &mut Rig) -> Result<Vec<Reader>> {
    rig.keep_nodes(2)?;
    let at = rig.random.between(1, TOKENS / 3);
    let mut readers = vec![];
    for _ in 1..ASKERS {
        readers.push(rig.ask()?);
    }
    readers.push(rig.ask_up_to(at)?);
    Ok(readers)
}

fn all_whole(rig: &mut Rig, readers: Vec<Reader>, moment: Instant) -> Result<Tried> {
    let mut tried = Tried::default();
    for reader in readers {
        let seen = rig.finish(reader, LIMIT)?;
        if seen.ends != [End::Done] || !seen.is_whole() {
            tried.broke.push(format!("ended with {:?}", seen.ends));
        }
        tried.gap = tried.gap.max(seen.worst_gap());
        tried.next = tried.next.max(seen.next_after(moment + Duration::from_millis(50)));
    }
    Ok(tried)
}
