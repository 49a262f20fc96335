//! An engine without a model: token i of an answer is a function of (seed, i), so that any lost, doubled or swapped
//! token shows in the text byte for byte.
//!
//! It is in every build, for tests, load and work on the pages. Speeds are kept by deadlines: a step gives what is due
//! and says when the next token is, and costs nothing in between. Faults come on demand, at token N of every answer.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::engine::{
    Admitted, Encoded, Engine, EngineError, Event, ModelInfo, Pace, Plan, Progress, Sequence, SlotId, Stepped,
};
use crate::prefix::{Plan as Place, Prefixes};
use crate::{Invalid, Kind, Likely, RawPrompt, Reasoning, Request, Sampling, Style, TokenLogprob};

pub(crate) use load::load;

pub use embedder::ScriptedEmbedder;
pub use options::{Fault, FaultKind, LoadFault, Options, OptionsError};

mod embedder;
mod load;
mod options;

/// Tokens of the answer are below this; tokens of the prompt too. What is above is garbage.
const VOCABULARY: u32 = 0xffff_0000;
/// Every token's number has to fit in it.
pub(crate) const MAX_CONTEXT_TOKENS: u32 = 0xffff;
/// Bytes of a message that count as one token.
const BYTES_PER_TOKEN: usize = 4;
/// Bytes of what an answer says first in one token: tags fall apart, and characters too.
const BYTES_PER_SAID: usize = 3;
/// What is due so soon comes now, so that many slots share a step instead of waking the thread for each token.
const COALESCE: Duration = Duration::from_micros(500);
/// An answer that is later than this (its reader paused it) goes on at its speed instead of catching up.
const MAX_LAG: Duration = Duration::from_millis(250);
/// How often an engine that hangs looks whether anybody is left.
const HANG_POLL: Duration = Duration::from_millis(20);

/// The engine. See [`Options`].
pub struct Scripted {
    options: Options,
    info: ModelInfo,
    slots: Vec<Option<Script>>,
    /// A prompt that begins as one in a slot is read from there on only, as a model would.
    prefixes: Prefixes<()>,
}

/// A running answer.
struct Script {
    seed: u64,
    index: u32,
    due: Instant,
    /// How many log-probabilities are wanted; there is one, since no other token was possible.
    top_logprobs: Option<u32>,
}

impl Scripted {
    /// An engine of these options; they are valid by construction.
    pub fn new(options: Options) -> Self {
        let slots = (0..options.slots).map(|_| None).collect();
        let prefixes = Prefixes::new(options.slots as usize, 0);
        Self { info: info(&options), options, slots, prefixes }
    }

    /// Whether the fault comes now: at its token of an answer.
    fn fault_at(&self, index: u32) -> Option<FaultKind> {
        self.options.fault.filter(|fault| fault.token == index).map(|fault| fault.kind)
    }

    /// Who is not to think does not, and who knows no tools calls none.
    fn style(&self, request: &Request) -> Style {
        if request.raw.is_some() {
            return Style::default();
        }
        let Style { reasoning, tool_calls } = self.options.style;
        let reasoning = if request.thinking == Some(false) { Reasoning::Never } else { reasoning };
        Style { reasoning, tool_calls: tool_calls && request.tools.is_some() }
    }

    /// What is due in one slot, if something is; then moves its deadline.
    fn event(&mut self, slot: SlotId, now: Instant) -> Result<Option<Event>, FaultKind> {
        let Some(script) = self.slots.get(slot).and_then(Option::as_ref) else { return Ok(None) };
        if script.due > now + COALESCE {
            return Ok(None);
        }
        let index = script.index;
        match self.fault_at(index) {
            Some(FaultKind::Garbage) => return Ok(Some(Event::Token(u32::MAX))),
            Some(kind) => return Err(kind),
            None if index >= self.options.length() => return Ok(Some(Event::End)),
            None => {}
        }
        let interval = interval(self.options.tokens_per_second);
        let script = self.slots[slot].as_mut().expect("the slot was just read");
        script.due = script.due.max(now.checked_sub(MAX_LAG).unwrap_or(now)) + interval;
        script.index += 1;
        let token = token(script.seed, index);
        self.prefixes.advance(slot, self.prefixes.unread(slot));
        self.prefixes.push(slot, token);
        Ok(Some(Event::Token(token)))
    }
}

impl Engine for Scripted {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn vocabulary(&self) -> u32 {
        VOCABULARY
    }

    fn encode(&self, request: &Request) -> Result<Encoded, Invalid> {
        Ok(Encoded { tokens: encode(request), style: self.style(request) })
    }

    fn token_bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        self.options.write(token, bytes);
    }

    fn admit(&mut self, sequence: Sequence) -> Result<Admitted, EngineError> {
        let Some(Place { slot, keep, .. }) = self.prefixes.plan(&sequence.tokens) else {
            return Err(EngineError::Died { reason: "more was admitted than there are slots".into() });
        };
        self.prefixes.begin(slot, &sequence, keep);
        let prompt = sequence.tokens.len() - sequence.answered;
        let seed = self.options.answer_seed(&sequence.sampling, &sequence.tokens[..prompt]);
        let reading = seconds(sequence.tokens.len() - keep, self.options.prefill_tokens_per_second);
        let index = u32::try_from(sequence.answered).unwrap_or(u32::MAX);
        let top_logprobs = sequence.sampling.top_logprobs;
        self.slots[slot] = Some(Script { seed, index, due: Instant::now() + reading, top_logprobs });
        Ok(Admitted { slot, cached_tokens: u32::try_from(keep).unwrap_or(u32::MAX) })
    }

    fn release(&mut self, slot: SlotId) {
        self.slots[slot] = None;
        self.prefixes.end(slot);
    }

    fn held(&self, prefixes: &mut Vec<u64>) {
        self.prefixes.labels(prefixes);
    }

    fn take_logprob(&mut self, slot: SlotId) -> Option<TokenLogprob> {
        let script = self.slots.get(slot)?.as_ref()?;
        let wanted = script.top_logprobs?;
        let token = token(script.seed, script.index.checked_sub(1)?);
        let certain = || Likely { token, logprob: 0.0, bytes: Vec::new() };
        let top = (0..wanted.min(1)).map(|_| certain()).collect();
        Some(TokenLogprob { taken: certain(), top })
    }

    fn step(&mut self, plan: &Plan<'_>, progress: &mut Vec<Progress>) -> Result<Stepped, EngineError> {
        let now = Instant::now();
        for &slot in plan.slots {
            match self.event(slot, now) {
                Ok(Some(event)) => progress.push(Progress { slot, event }),
                Ok(None) => {}
                Err(kind) => fail(kind, plan)?,
            }
        }
        let due = plan.slots.iter().filter_map(|&slot| self.slots[slot].as_ref()).map(|script| script.due).min();
        let pace = due.filter(|&due| due > now + COALESCE).map_or(Pace::Ready, Pace::Until);
        Ok(Stepped { pace, prompt_tokens: 0 })
    }
}

impl Options {
    /// The whole text that an engine of these options answers to `request` when nothing fails and no stop string
    /// cuts it: what a test compares with.
    pub fn expected_text(&self, request: &Request) -> String {
        let prompt = encode(request);
        let seed = self.answer_seed(&request.sampling, &prompt);
        let room = self.context_tokens.saturating_sub(u32::try_from(prompt.len()).unwrap_or(u32::MAX));
        let length = self.length().min(room).min(request.max_tokens.unwrap_or(u32::MAX));
        let mut bytes = Vec::new();
        (0..length).for_each(|index| self.write(token(seed, index), &mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Tokens of a whole answer.
    fn length(&self) -> u32 {
        self.said().saturating_add(self.answer_tokens)
    }

    /// Tokens of what an answer says first.
    fn said(&self) -> u32 {
        u32::try_from(self.say.len().div_ceil(BYTES_PER_SAID)).unwrap_or(u32::MAX)
    }

    /// Appends the bytes of a token: what is to be said first, then what no other token says.
    fn write(&self, token: u32, bytes: &mut Vec<u8>) {
        match self.say.as_bytes().chunks(BYTES_PER_SAID).nth((token >> 16) as usize) {
            Some(said) => bytes.extend_from_slice(said),
            None => bytes.extend_from_slice(text(token).as_bytes()),
        }
    }

    /// The seed of one answer: the one that was asked for, or a hash of its prompt.
    fn answer_seed(&self, sampling: &Sampling, prompt: &[u32]) -> u64 {
        let asked = sampling.seed.filter(|_| !sampling.drawn);
        let own = asked.unwrap_or_else(|| prompt.iter().fold(0, |hash, &token| mix(hash ^ u64::from(token))));
        mix(self.seed ^ mix(own))
    }
}

/// Ends the process as a wild pointer would.
fn segfault() -> ! {
    // The first one ends in a handler of std's, which looks whether a stack was too small.
    #[cfg(unix)]
    for _ in 0..2 {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSEGV);
    }
    std::process::abort()
}

/// Never returns for a fault that ends or blocks the thread.
fn fail(kind: FaultKind, plan: &Plan<'_>) -> Result<(), EngineError> {
    match kind {
        FaultKind::Die => panic!("the scripted engine was told to die"),
        FaultKind::Abort => std::process::abort(),
        FaultKind::Segfault => segfault(),
        FaultKind::OutOfMemory => Err(EngineError::OutOfMemory),
        FaultKind::Hang => {
            // A step that hangs cannot be cancelled; only when nobody is left does the thread come back.
            while !(plan.abandoned)() {
                std::thread::sleep(HANG_POLL);
            }
            Err(EngineError::Died { reason: "it hung".into() })
        }
        FaultKind::Garbage => Ok(()),
    }
}

fn info(options: &Options) -> ModelInfo {
    let mut same_text = format!("starling scripted 1 seed={} answer_tokens={}", options.seed, options.answer_tokens);
    if !options.say.is_empty() {
        same_text.push_str(&format!(" say={}", options.say));
    }
    ModelInfo {
        id: Sha256::digest(same_text).into(),
        name: "scripted".into(),
        context_tokens: options.context_tokens,
        slots: options.slots,
        demo: false,
        device: "CPU".into(),
        warning: String::new(),
        kind: Kind::Chat,
        memory_bytes: u64::from(options.memory_mb) << 20,
    }
}

/// One token for each message's role and for every four bytes of its text; of a raw prompt for its text alone.
fn encode(request: &Request) -> Vec<u32> {
    let text = |text: &str| text.as_bytes().chunks(BYTES_PER_TOKEN).map(hash_token).collect::<Vec<_>>();
    match &request.raw {
        Some(RawPrompt::Text(raw)) => return text(raw),
        Some(RawPrompt::Tokens(tokens)) => return tokens.clone(),
        None => {}
    }
    let mut tokens = Vec::new();
    for message in &request.messages {
        tokens.push(hash_token(message.role.as_str().as_bytes()));
        tokens.extend(text(&message.content));
    }
    tokens
}

fn hash_token(bytes: &[u8]) -> u32 {
    let hash = bytes.iter().fold(bytes.len() as u64, |hash, &byte| mix(hash ^ u64::from(byte)));
    u32::try_from(hash % u64::from(VOCABULARY)).unwrap_or_default()
}

/// Token `index` of the answer of `seed`: the index above, a hash of both below.
fn token(seed: u64, index: u32) -> u32 {
    let hash = mix(seed ^ mix(u64::from(index))) & 0xffff;
    index << 16 | u32::try_from(hash).unwrap_or_default()
}

fn text(token: u32) -> String {
    format!("{}-{:04x} ", token >> 16, token & 0xffff)
}

/// Spreads every bit of the input over the output (the finaliser of splitmix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Time for `count` tokens; none when the speed is 0, which means unlimited.
fn seconds(count: usize, per_second: f64) -> Duration {
    if per_second == 0.0 { Duration::ZERO } else { Duration::from_secs_f64(count as f64 / per_second) }
}

fn interval(per_second: f64) -> Duration {
    seconds(1, per_second)
}

#[cfg(test)]
mod tests;
