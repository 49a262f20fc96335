//! What befalls nodes and their engines. The reader should not notice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::history::{End, Seen};
use super::plan::Tried;
use super::reader::Reader;
use super::rig::{BOOTSTRAP, Ground, Rig, Shape, send};

/// Answers take two seconds.
const TOKENS: usize = 200;
const PER_SECOND: u32 = 100;
/// Where a hang has to be noticed first, they take longer than that.
const LONG: usize = 800;
/// An answer that is not over by then never will be.
const LIMIT: Duration = Duration::from_secs(60);
/// A node that was told to stop hands over within a second, and leaves.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

pub(super) fn one<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    Rig::start(ground, name, Shape::of(1, TOKENS, PER_SECOND))
}

pub(super) fn three<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    Rig::start(ground, name, Shape::of(3, TOKENS, PER_SECOND))
}

pub(super) fn three_long<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    Rig::start(ground, name, Shape::of(3, LONG, PER_SECOND))
}

/// With engines in processes of their own.
pub(super) fn apart<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    let mut shape = Shape::of(3, LONG, PER_SECOND);
    shape.node = vec!["--isolate".into()];
    Rig::start(ground, name, shape)
}

pub(super) fn kill(rig: &mut Rig) -> Result<Tried> {
    rig.keep_nodes(3)?;
    let (reader, node) = under_way(rig, TOKENS)?;
    let moment = rig.kill(&node)?;
    whole(rig, reader, moment)
}

pub(super) fn hang(rig: &mut Rig) -> Result<Tried> {
    rig.keep_nodes(3)?;
    // Early, so that there is something left when it is noticed.
    let (reader, node) = under_way(rig, LONG / 4)?;
    rig.signal(&node, Signal::SIGSTOP)?;
    let moment = Instant::now();
    let stop = rig.ground.stop.clone();
    reader.wait(LIMIT, &stop, |seen| seen.next_after(moment + IN_FLIGHT).is_some())?;
    rig.signal(&node, Signal::SIGCONT)?;
    let tried = whole(rig, reader, moment);
    // It has failed, and would be left alone for a while.
    rig.kill(&node)?;
    tried
}

/// What was on its way when the fault came.
const IN_FLIGHT: Duration = Duration::from_millis(50);

pub(super) fn stop(rig: &mut Rig) -> Result<Tried> {
    rig.keep_nodes(3)?;
    let (reader, node) = under_way(rig, LONG / 4)?;
    let moment = rig.ask_to_end(&node)?;
    let gone = rig.wait_for_end(&node)?;
    let mut tried = whole(rig, reader, moment)?;
    if gone > LEAVE_LIMIT {
        tried.broke.push(format!("the node took {:.1} s to leave", gone.as_secs_f64()));
    }
    Ok(tried)
}

pub(super) fn kill_engine(rig: &mut Rig) -> Result<Tried> {
    signal_engine(rig, Signal::SIGKILL)
}

pub(super) fn hang_engine(rig: &mut Rig) -> Result<Tried> {
    signal_engine(rig, Signal::SIGSTOP)
}

fn signal_engine(rig: &mut Rig, signal: Signal) -> Result<Tried> {
    rig.keep_nodes(3)?;
    let (reader, node) = under_way(rig, LONG / 4)?;
    send(rig.engine_of(&node)?, signal)?;
    let tried = whole(rig, reader, Instant::now());
    rig.kill(&node)?;
    tried
}

pub(super) fn out_of_memory(rig: &mut Rig) -> Result<Tried> {
    let at = rig.random.between(1, TOKENS - 1);
    let scripted = format!("{},fault=oom@{at}", rig.shape.scripted);
    let poor = rig.start_node(&scripted, &[])?;
    rig.keep_nodes(2)?;
    // Nobody says which of the two is asked; with several questions it is both.
    let readers = (0..4).map(|_| rig.ask()).collect::<Result<Vec<Reader>>>()?;
    let mut all = Tried::default();
    let mut met = 0;
    for reader in readers {
        let seen = rig.finish(reader, LIMIT)?;
        met += usize::from(seen.starts.first().is_some_and(|(_, name)| *name == poor));
        let moment = seen.pieces.get(at.saturating_sub(1)).map(|(at, _)| *at);
        let tried = judge(&seen, moment.unwrap_or_else(Instant::now));
        all.gap = all.gap.max(tried.gap);
        if seen.starts.len() > 1 {
            all.next = all.next.max(Some(seen.worst_gap()));
        }
        all.broke.extend(tried.broke);
    }
    rig.kill(&poor)?;
    anyhow::ensure!(met > 0, "no question went to the node without memory");
    Ok(all)
}

pub(super) fn last(rig: &mut Rig) -> Result<Tried> {
    rig.keep_nodes(1)?;
    let (reader, node) = under_way(rig, TOKENS - 20)?;
    let had = reader.look(Seen::tokens);
    rig.kill(&node)?;
    let seen = reader.end(LIMIT, &rig.ground.stop)?;
    let mut tried = Tried { gap: seen.worst_gap(), ..Tried::default() };
    match &seen.ends[..] {
        [End::Failed(_)] if seen.tokens() >= had => {}
        ends => tried.broke.push(format!("{} of {had} tokens, then {ends:?}", seen.tokens())),
    }
    rig.keep_nodes(1)?;
    let more = goes_on(rig, &seen)?;
    tried.broke.extend((!more.is_whole()).then(|| format!("\"go on\" ended with {:?}", more.ends)));
    Ok(tried)
}

/// More of an answer that was cut short, to its end.
pub(super) fn goes_on(rig: &mut Rig, seen: &Seen) -> Result<Seen> {
    let reader = Reader::go_on(&rig.door()?, seen);
    rig.finish(reader, LIMIT)
}

pub(super) fn restart_bootstrap(rig: &mut Rig) -> Result<Tried> {
    rig.keep_nodes(3)?;
    let (reader, _) = under_way(rig, TOKENS / 4)?;
    let moment = rig.kill(BOOTSTRAP)?;
    rig.start_bootstrap()?;
    whole(rig, reader, moment)
}

/// An answer of which a random number of tokens has come, and who gives it.
pub(super) fn under_way(rig: &mut Rig, below: usize) -> Result<(Reader, String)> {
    let at = rig.random.between(1, below.saturating_sub(10));
    let reader = rig.ask_up_to(at)?;
    let node = rig.node_of(&reader).context("an answer that nobody gives")?;
    Ok((reader, node))
}

/// The answer goes on to its end.
pub(super) fn whole(rig: &mut Rig, reader: Reader, moment: Instant) -> Result<Tried> {
    let seen = rig.finish(reader, LIMIT)?;
    Ok(judge(&seen, moment))
}

/// What came of an answer that should be whole.
pub(super) fn judge(seen: &Seen, moment: Instant) -> Tried {
    let mut tried = Tried { gap: seen.worst_gap(), ..Tried::default() };
    if seen.is_whole() {
        // The first token behind the longest silence since then: what was on its way still came.
        let since = seen.pieces.windows(2).filter(|two| two[1].0 > moment);
        let longest = since.max_by_key(|two| two[1].0 - two[0].0);
        tried.next = longest.map(|two| two[1].0 - two[0].0.max(moment));
    } else {
        let end = match seen.ends.last() {
            Some(End::Failed(code)) => format!("broke off: {code}"),
            Some(End::Done) => "ended too early".to_owned(),
            None => "stands still".to_owned(),
        };
        tried.broke.push(end);
    }
    tried
}
