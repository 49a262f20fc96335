//! What goes over the pipe between a node and the process of an engine: a length, then one message.
//!
//! Both ends are the same program, so there is no version; but a broken process writes anything, so nothing here
//! trusts a length or a byte.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::handle::Work;
use crate::{Load, ModelInfo, Output, Reason, Refused, Source};

/// Largest message. The largest true one is a request: [`crate::MAX_PROMPT_BYTES`] of text, with what stands around
/// it.
pub(super) const MAX_FRAME: usize = 32 << 20;
/// Bytes of the length.
const HEADER: usize = 4;
/// Room kept between two messages; what a large one needed beyond is given back.
const KEPT: usize = 1 << 20;

/// What an engine is told.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    /// First of all, once.
    Open {
        source: Source,
        /// What the log of this process shows, such as `info`.
        log: String,
    },
    /// Start an answer. `outputs` is how many of its outputs may come until there is more [`Order::Credit`].
    Job { id: u64, outputs: u32, work: Work },
    /// So many more.
    Credit { id: u64, outputs: u32 },
    /// Nobody waits for this one any more.
    Cancel { id: u64 },
}

/// What an engine tells.
#[derive(Serialize, Deserialize)]
pub(super) enum Report {
    /// The engine takes jobs.
    Opened(ModelInfo),
    /// It does not, and the process ends.
    NotOpened {
        what: String,
        hint: String,
        /// There may have been too little memory.
        memory: bool,
        /// What kind of reason it is.
        reason: Reason,
    },
    /// How far the engine has been opened, in permille.
    Opening(u32),
    /// The job has its slot.
    Accepted { id: u64 },
    /// It has none.
    Refused { id: u64, refused: Refused },
    /// The next output; one that is an end needs no credit.
    Output { id: u64, output: Output },
    /// How busy the engine is; goes before everything that happened later.
    Load(LoadShown),
    /// The process lives. `pulse` is the runner's: odd while it is in the engine, and stands still if that hangs.
    Beat { pulse: u64 },
}

/// A [`Load`], as far as the engine knows it.
#[derive(Serialize, Deserialize)]
pub(super) struct LoadShown {
    running: u32,
    slots_free: u32,
    prefill_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    throughput_tokens_per_second: f64,
    pub(super) alive: bool,
    pub(super) trouble: String,
    /// None: as before.
    prefixes: Option<Vec<u64>>,
}

impl LoadShown {
    /// What of `load` the other side does not know from `before`.
    pub(super) fn new(load: &Load, before: &Load) -> Self {
        Self {
            running: load.running,
            slots_free: load.slots_free,
            prefill_tokens_per_second: load.prefill_tokens_per_second,
            decode_tokens_per_second: load.decode_tokens_per_second,
            throughput_tokens_per_second: load.throughput_tokens_per_second,
            alive: load.alive,
            trouble: load.trouble.clone(),
            prefixes: (load.prefixes != before.prefixes).then(|| load.prefixes.to_vec()),
        }
    }

    /// Brings `load` up to date.
    pub(super) fn apply(self, load: &mut Load) {
        load.running = self.running;
        load.slots_free = self.slots_free;
        load.prefill_tokens_per_second = self.prefill_tokens_per_second;
        load.decode_tokens_per_second = self.decode_tokens_per_second;
        load.throughput_tokens_per_second = self.throughput_tokens_per_second;
        if let Some(prefixes) = self.prefixes {
            load.prefixes = prefixes.into();
        }
    }
}

/// What is no message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a message of {0} bytes, more than {MAX_FRAME}")]
    TooLarge(usize),
    #[error("bytes that are no message")]
    Garbage,
}

/// Messages to write, in one go.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// Puts a message behind the others.
    ///
    /// # Errors
    /// When it is too large; then nothing was put there.
    pub(super) fn put(&mut self, message: &impl Serialize) -> Result<(), FrameError> {
        let start = self.bytes.len();
        self.bytes.extend([0; HEADER]);
        let encoded = postcard::to_io(message, &mut self.bytes).map(|_| ());
        let length = self.bytes.len() - start - HEADER;
        if encoded.is_err() || length > MAX_FRAME {
            self.bytes.truncate(start);
            return Err(FrameError::TooLarge(length));
        }
        let header = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        self.bytes[start..start + HEADER].copy_from_slice(&header);
        Ok(())
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// So many bytes of the rest are written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.written = 0;
        }
    }
}

/// Bytes that were read, and the messages in them.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Inbox {
    /// Where to put what is read, behind what is there. It grows by what really comes, whatever a length claims.
    pub(super) fn space(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
        }
        &mut self.bytes
    }

    /// The next whole message, if there is one.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let rest = &self.bytes[self.taken..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_FRAME {
            return Err(FrameError::TooLarge(length));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let (message, left) = postcard::take_from_bytes(body).map_err(|_| FrameError::Garbage)?;
        if !left.is_empty() {
            return Err(FrameError::Garbage);
        }
        self.taken += HEADER + length;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests;
