//! Too many questions, one who asks far too often, readers who do not read, readers who leave.

use std::io::{BufRead as _, BufReader};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::nodes::whole;
use super::plan::Tried;
use super::rig::{GATEWAY, Ground, Rig, Shape};
use crate::api;
use crate::process;
use crate::scripted;

const PER_SECOND: u32 = 100;
/// A stream that gives nothing for so long is broken.
const LIMIT: Duration = Duration::from_secs(60);
/// A refusal takes no longer.
const REFUSED: Duration = Duration::from_millis(100);
/// After an overload all is as before within this.
const NORMAL: Duration = Duration::from_secs(5);
/// An answer begins within this where nobody else asks.
const PROMPT: Duration = Duration::from_secs(1);
/// Whoever leaves gives the slot back within this.
const FREE: Duration = Duration::from_secs(1);
/// What the gateway may hold of a stream that nobody reads.
const UNREAD_MB: f64 = 1.0;
const SLOW: usize = 30;

/// What askers have seen together.
#[derive(Default)]
struct Tally {
    tokens: AtomicU64,
    refused: AtomicU64,
    /// Refusals without a word on when to come again.
    blunt: AtomicU64,
    /// How long each refusal took.
    refusals: Mutex<Vec<Duration>>,
    /// Whatever else went wrong.
    broke: Mutex<Vec<String>>,
}

/// Who asks again and again.
struct Askers<'a> {
    url: String,
    key: &'a str,
    count: usize,
    /// Tokens of each answer.
    tokens: usize,
    /// How long one waits after a refusal.
    pause: Duration,
}

pub(super) fn crowd<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    Rig::start(ground, name, Shape::of(2, 400, PER_SECOND))
}

/// A node with two slots.
pub(super) fn narrow<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    let mut shape = Shape::of(1, 100, PER_SECOND);
    shape.scripted = shape.scripted.replace("slots=4", "slots=2");
    Rig::start(ground, name, shape)
}

/// A node that is fast and has room for all.
pub(super) fn fast<'a>(ground: &'a Ground, name: &str) -> Result<Rig<'a>> {
    let mut shape = Shape::of(1, 8_000, 2_000);
    shape.scripted = shape.scripted.replace("slots=4", &format!("slots={}", SLOW + 8));
    Rig::start(ground, name, shape)
}

pub(super) fn overload(rig: &mut Rig) -> Result<Tried> {
    const SLOTS: usize = 8;
    let key = person(rig, "crowd")?;
    let askers = |count| Askers { url: rig.url(), key: &key, count, tokens: 400, pause: REFUSED };
    let normal = rate(rig, &[askers(SLOTS)], Duration::from_secs(8))?;
    let crowded = rate(rig, &[askers(10 * SLOTS)], Duration::from_secs(20))?;
    let back = Instant::now();
    let mut tried = Tried::default();
    // Not until all is over, but until a question is answered as ever.
    let again = rig.wait_until("an answer that begins at once", 4 * NORMAL, |rig| prompt(rig, &key))?;
    let (normal, crowded) = (&normal[0], &crowded[0]);
    let share = crowded.1 / normal.1;
    let mut refusals = crowded.0.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
    refusals.sort_unstable();
    let at = |percent: usize| refusals.get((refusals.len() * percent / 100).min(refusals.len().saturating_sub(1)));
    let [median, slow, worst] = [50, 95, 100].map(|percent| at(percent).copied().unwrap_or_default());
    let blunt = crowded.0.blunt.load(Ordering::Relaxed);
    let complaints = [
        (share < 0.9).then(|| format!("{:.0} % of the normal throughput", 100.0 * share)),
        (slow > REFUSED).then(|| format!("a refusal took {} ms (p95)", slow.as_millis())),
        (blunt > 0).then(|| format!("{blunt} refusals without Retry-After")),
        (again > NORMAL).then(|| format!("normal again after {:.1} s", back.elapsed().as_secs_f64())),
    ];
    tried.broke.extend(complaints.into_iter().flatten());
    tried.broke.extend(crowded.0.broke.lock().unwrap_or_else(PoisonError::into_inner).iter().take(3).cloned());
    tried.note = Some(format!(
        "{:.0} % of the normal throughput; {} refusals, median {} ms, p95 {}, at most {}; normal again after {:.1} s",
        100.0 * share,
        crowded.0.refused.load(Ordering::Relaxed),
        median.as_millis(),
        slow.as_millis(),
        worst.as_millis(),
        again.as_secs_f64(),
    ));
    Ok(tried)
}

pub(super) fn greed(rig: &mut Rig) -> Result<Tried> {
    const MODEST: usize = 2;
    let keys = [person(rig, "modest")?, person(rig, "greedy")?];
    let askers = |key, count| Askers { url: rig.url(), key, count, tokens: 100, pause: Duration::from_secs(1) };
    let both = [askers(keys[0].as_str(), MODEST), askers(keys[1].as_str(), 100 * MODEST)];
    let rates = rate(rig, &both, Duration::from_secs(20))?;
    let (modest, greedy) = (rates[0].1, rates[1].1);
    let shares = greedy / ((modest + greedy) / 2.0);
    let mut tried = Tried::default();
    tried.broke.extend((shares > 1.2).then(|| format!("the greedy one had {shares:.2} shares")));
    tried.note = Some(format!("{shares:.2} shares"));
    Ok(tried)
}

pub(super) fn slow_readers(rig: &mut Rig) -> Result<Tried> {
    let key = person(rig, "slow")?;
    let before = resident_mb(rig)?;
    let mut unread = Vec::new();
    for _ in 0..SLOW {
        let mut stream = api::stream(&rig.url(), &key, &question(8_000), LIMIT)?;
        // Its first line, so that it has begun.
        stream.read_line(&mut String::new())?;
        unread.push(stream);
    }
    let moment = Instant::now();
    let reader = rig.ask()?;
    let mut tried = whole(rig, reader, moment)?;
    tried.next = None;
    let each = (resident_mb(rig)? - before) / SLOW as f64;
    tried.broke.extend((each > UNREAD_MB).then(|| format!("{each:.2} MB for each stream that nobody reads")));
    tried.broke.extend((tried.gap > PROMPT).then(|| format!("another waited {:.1} s", tried.gap.as_secs_f64())));
    tried.note = Some(format!("{SLOW} readers who read nothing cost {each:.2} MB each"));
    drop(unread);
    Ok(tried)
}

pub(super) fn cancel(rig: &mut Rig) -> Result<Tried> {
    let key = rig.key()?;
    let tokens = rig.random.between(1, 40);
    let mut lines = api::stream(&rig.url(), &key, &question(400), LIMIT)?.lines();
    let mut had = 0;
    while had < tokens {
        let line = lines.next().context("the answer ended before it was left")??;
        had += usize::from(piece(&line).is_some_and(|text| !text.is_empty()));
    }
    drop(lines);
    let free = rig.wait_until("the slot to be free", 10 * FREE, |rig| {
        Ok(rig.slots()?.iter().all(|slots| slots.free == slots.total))
    })?;
    let mut tried = Tried { next: Some(free), ..Tried::default() };
    tried.broke.extend((free > FREE).then(|| format!("the slot was free after {:.1} s", free.as_secs_f64())));
    Ok(tried)
}

/// Lets them ask for so long; what they saw, and the tokens a second that they got.
fn rate(rig: &Rig, askers: &[Askers], time: Duration) -> Result<Vec<(Tally, f64)>> {
    let tallies: Vec<Tally> = askers.iter().map(|_| Tally::default()).collect();
    let over = AtomicBool::new(false);
    let waited = std::thread::scope(|scope| {
        for (askers, tally) in askers.iter().zip(&tallies) {
            for _ in 0..askers.count {
                let over = &over;
                scope.spawn(move || askers.run(tally, over));
            }
        }
        let waited = rig.wait(time);
        over.store(true, Ordering::Relaxed);
        waited
    });
    waited?;
    let rate = |tally: &Tally| tally.tokens.load(Ordering::Relaxed) as f64 / time.as_secs_f64();
    Ok(tallies.into_iter().map(|tally| (rate(&tally), tally)).map(|(rate, tally)| (tally, rate)).collect())
}

impl Askers<'_> {
    fn run(&self, tally: &Tally, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            if let Err(error) = self.ask(tally, over) {
                let mut broke = tally.broke.lock().unwrap_or_else(PoisonError::into_inner);
                broke.push(format!("{error:#}"));
                std::thread::sleep(self.pause);
            }
        }
    }

    fn ask(&self, tally: &Tally, over: &AtomicBool) -> Result<()> {
        let asked = Instant::now();
        let response = api::open_stream(&self.url, self.key, &question(self.tokens), LIMIT)?;
        match response.status().as_u16() {
            200 => {}
            429 | 503 => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
                let blunt = !response.headers().contains_key("retry-after");
                tally.blunt.fetch_add(u64::from(blunt), Ordering::Relaxed);
                // Others have waited in line before they were told, and knew where they stood.
                tally.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(asked.elapsed());
                std::thread::sleep(self.pause);
                return Ok(());
            }
            status => anyhow::bail!("answered with {status}"),
        }
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            let line = line?;
            if over.load(Ordering::Relaxed) {
                return Ok(());
            }
            tally.tokens.fetch_add(u64::from(piece(&line).is_some_and(|text| !text.is_empty())), Ordering::Relaxed);
            ensure!(!line.contains("\"error\""), "broke off: {line}");
        }
        Ok(())
    }
}

/// Whether an answer begins at once.
fn prompt(rig: &Rig, key: &str) -> Result<bool> {
    let asked = Instant::now();
    let response = api::open_stream(&rig.url(), key, &question(5), LIMIT)?;
    if response.status() != 200 {
        return Ok(false);
    }
    let mut lines = BufReader::new(response.into_body().into_reader()).lines();
    let first = lines.find(|line| line.as_ref().is_ok_and(|line| piece(line).is_some_and(|text| !text.is_empty())));
    Ok(first.is_some() && asked.elapsed() < PROMPT)
}

fn question(tokens: usize) -> Value {
    json!({
        "model": scripted::MODEL, "stream": true, "max_tokens": tokens,
        "messages": [{"role": "user", "content": "Say something long."}],
    })
}

/// The text in a line of an event stream.
fn piece(line: &str) -> Option<String> {
    let chunk: Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
    Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
}

/// A user of their own; their API key.
fn person(rig: &Rig, name: &str) -> Result<String> {
    let mut helper = rig.helper(&["person"]);
    let said = process::output(helper.arg(rig.database()).arg(format!("{name}-{}", rig.trial)));
    let said = said.context("nobody could be made in the database")?;
    Ok(said.strip_prefix("key ").context("no key was said")?.to_owned())
}

/// Memory of the gateway's process.
fn resident_mb(rig: &Rig) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.process(GATEWAY)?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kb: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kb / 1024.0)
}
