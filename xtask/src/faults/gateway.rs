//! What befalls the gateway. Whatever it has acknowledged is there when it is back.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::history::End;
use super::nodes::goes_on;
use super::plan::Tried;
use super::reader::Reader;
use super::rig::{GATEWAY, Ground, Rig, Shape};

const TOKENS: usize = 300;
const PER_SECOND: u32 = 100;
/// It is ready again within this.
const READY: Duration = Duration::from_secs(3);
/// One that was told to stop is gone within this.
const GONE: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(60);
/// Questions that are asked while it dies; a person has four answers at once.
const ASKERS: usize = 3;
/// Between them: so that the end of the gateway finds each at another point.
const BETWEEN: usize = 15;

pub(super) fn two<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    Rig::start(ground, name, Shape::of(2, TOKENS, PER_SECOND))
}

pub(super) fn kill(rig: &mut Rig) -> Result<Tried> {
    let readers = several(rig)?;
    let moment = rig.kill(GATEWAY)?;
    comes_back(rig, readers, moment)
}

pub(super) fn stop(rig: &mut Rig) -> Result<Tried> {
    let readers = several(rig)?;
    let moment = rig.ask_to_end(GATEWAY)?;
    let took = rig.wait_for_end(GATEWAY)?;
    let mut tried = comes_back(rig, readers, moment)?;
    if took > GONE {
        tried.broke.push(format!("it took {:.1} s to stop", took.as_secs_f64()));
    }
    Ok(tried)
}

/// One answer under way and others about to begin.
fn several(rig: &mut Rig) -> Result<Vec<Reader>> {
    rig.keep_nodes(2)?;
    let at = rig.random.between(1, TOKENS / 2);
    let mut readers = vec![rig.ask_up_to(at)?];
    for _ in 0..ASKERS {
        readers.push(rig.ask()?);
        let pause = rig.random.between(0, BETWEEN);
        rig.wait(Duration::from_millis(pause as u64))?;
    }
    Ok(readers)
}

fn comes_back(rig: &mut Rig, readers: Vec<Reader>, moment: Instant) -> Result<Tried> {
    let ready = rig.start_gateway()?;
    let mut tried = Tried::default();
    if ready > READY {
        tried.broke.push(format!("it took {:.1} s to be ready", ready.as_secs_f64()));
    }
    let (mut went_on, mut marked, mut never_taken) = (0, 0, 0);
    for reader in readers {
        let mut seen = reader.end(LIMIT, &rig.ground.stop)?;
        let is_marked = seen.ends == [End::Failed("interrupted".into())] && seen.accepted.is_some();
        if is_marked {
            rig.keep_nodes(2)?;
            marked += 1;
            seen = goes_on(rig, &seen)?;
        } else {
            rig.history.push((rig.trial, seen.clone()));
        }
        match (&seen.ends[..], &seen.accepted) {
            ([End::Done], _) if is_marked => {}
            // Nobody was told that it is taken: asked while there was no gateway, or before it had nodes again.
            ([] | [End::Failed(_)], None) => never_taken += 1,
            ([End::Done], _) => went_on += 1,
            (ends, _) => tried.broke.push(format!("ended with {ends:?}")),
        }
        tried.gap = tried.gap.max(seen.worst_gap());
        tried.next = tried.next.max(seen.next_after(moment + Duration::from_millis(50)));
    }
    tried.note = Some(format!("{went_on} went on, {marked} marked and gone on with, {never_taken} not taken"));
    Ok(tried)
}
