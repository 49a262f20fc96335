//! One answer in progress: its text, its length, its clock. Knows neither engine nor reader.

use std::time::Instant;

use super::meter::Meter;
use crate::text::{AnswerText, Piece, Scan};
use crate::{Finish, Output, Request, Style, Timings, TokenLogprob, Usage};

/// Tokens between two looks at the decode speed: enough to be a speed, soon enough to be current.
const METER_TOKENS: u32 = 32;
/// Fewer tokens than this say nothing about a speed.
const METER_LEAST: u32 = 8;

/// State of one answer between two steps.
pub(super) struct Answer {
    text: AnswerText,
    /// What the text gave and the reader has not yet.
    ready: Piece,
    /// For each token that was pushed and not given yet, where the request wants them.
    logprobs: Vec<TokenLogprob>,
    /// Recalled tokens that the text still holds, and how many bytes of it are theirs.
    recalled: usize,
    recalled_bytes: usize,
    style: Style,
    usage: Usage,
    /// Longest answer in tokens, those to continue from included.
    limit: u32,
    stopped: bool,
    read: u32,
    admitted: Instant,
    first: Option<Instant>,
    /// Where the speed is measured from: a moment, and the tokens given since.
    window: Option<(Instant, u32)>,
}

impl Answer {
    /// An answer to `request` with `room` tokens left in its context.
    pub(super) fn new(request: &Request, style: Style, prompt_tokens: u32, room: u32) -> Self {
        Self {
            text: AnswerText::new(request.stop.clone()),
            ready: Piece::default(),
            logprobs: Vec::new(),
            recalled: 0,
            recalled_bytes: 0,
            style,
            usage: Usage { prompt_tokens, ..Usage::default() },
            limit: request.max_tokens.unwrap_or(room).min(room),
            stopped: false,
            read: prompt_tokens,
            admitted: Instant::now(),
            first: None,
            window: None,
        }
    }

    /// Takes a token that was given before: it counts, but its text is not given again, also where it could begin a
    /// stop string: what followed elsewhere showed that it did not. Half a character at its end comes out whole.
    pub(super) fn recall(&mut self, token: u32, bytes: &[u8]) {
        self.usage.completion_tokens += 1;
        self.read += 1;
        self.recalled += 1;
        match self.text.push(token, bytes) {
            Scan::Ready(piece) => self.recalled -= piece.tokens.len(),
            Scan::Stopped(_) => self.stopped = true,
        }
        self.recalled_bytes = self.text.held_bytes();
    }

    /// Whether a token came.
    pub(super) fn has_begun(&self) -> bool {
        self.first.is_some()
    }

    /// Why nothing is left to compute, if so.
    pub(super) fn over(&self) -> Option<Finish> {
        if self.stopped {
            return Some(Finish::Stop);
        }
        (self.usage.completion_tokens >= self.limit).then_some(Finish::Length)
    }

    /// The first output.
    pub(super) fn started(&mut self, cached_tokens: u32) -> Output {
        self.usage.cached_tokens = cached_tokens;
        Output::Started { prompt_tokens: self.usage.prompt_tokens, cached_tokens, style: self.style }
    }

    /// Takes the next token; says whether the answer is over with it.
    pub(super) fn push(
        &mut self,
        token: u32,
        bytes: &[u8],
        logprob: Option<TokenLogprob>,
        meter: &mut Meter,
    ) -> Option<Finish> {
        self.usage.completion_tokens += 1;
        self.logprobs.extend(logprob);
        self.measure(meter);
        match self.text.push(token, bytes) {
            Scan::Ready(piece) => self.add(piece),
            Scan::Stopped(piece) => {
                self.add(piece);
                self.stopped = true;
            }
        }
        self.over()
    }

    /// What can go to the reader.
    pub(super) fn ready(&mut self) -> Option<Output> {
        if self.ready.tokens.is_empty() && self.ready.text.is_empty() {
            return None;
        }
        let Piece { tokens, text } = std::mem::take(&mut self.ready);
        let logprobs = self.logprobs.drain(..tokens.len().min(self.logprobs.len())).collect();
        Some(Output::Piece { tokens, text, logprobs })
    }

    /// The rest of the text, at the end of the answer.
    pub(super) fn close(&mut self, meter: &mut Meter) -> Option<Output> {
        self.end_window(meter);
        let rest = self.text.finish();
        self.add(rest);
        self.ready()
    }

    /// The last output.
    pub(super) fn done(&self, finish: Finish) -> Output {
        let now = Instant::now();
        let first = self.first.unwrap_or(now);
        let timings = Timings {
            prefill_ms: first.duration_since(self.admitted).as_secs_f64() * 1e3,
            decode_ms: now.duration_since(first).as_secs_f64() * 1e3,
        };
        Output::Done { finish, usage: self.usage, timings }
    }

    /// The reader is slow: the time until the next token says nothing about the engine.
    pub(super) fn pause(&mut self) {
        self.window = None;
    }

    /// What was given before is not given again.
    fn add(&mut self, piece: Piece) {
        let known = self.recalled.min(piece.tokens.len());
        self.recalled -= known;
        self.ready.tokens.extend(&piece.tokens[known..]);
        let known = self.recalled_bytes.min(piece.text.len());
        self.recalled_bytes -= known;
        self.ready.text.push_str(&piece.text[known..]);
    }

    fn measure(&mut self, meter: &mut Meter) {
        let now = Instant::now();
        if self.first.is_none() {
            self.first = Some(now);
            let read = self.read.saturating_sub(self.usage.cached_tokens);
            if read >= METER_LEAST {
                meter.add_prefill(read, now.duration_since(self.admitted));
            }
        }
        let (_, tokens) = self.window.get_or_insert((now, 0));
        *tokens += 1;
        if *tokens > METER_TOKENS {
            self.end_window(meter);
            self.window = Some((now, 1));
        }
    }

    /// The first token of a window is its start, not part of its speed.
    fn end_window(&mut self, meter: &mut Meter) {
        let Some((since, tokens)) = self.window.take() else { return };
        if tokens > METER_LEAST {
            meter.add_decode(tokens - 1, since.elapsed());
        }
    }
}
