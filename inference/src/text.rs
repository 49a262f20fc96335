//! From token bytes to text that can be shown: whole characters, cut before a stop string.
//!
//! Tokens leave together with exactly their text. So nobody who holds pieces holds half a character or half a stop
//! string, and an answer can be continued behind any piece with no state but its tokens.

/// Streaming text of one answer.
pub struct AnswerText {
    decoder: Utf8Decoder,
    stops: Vec<String>,
    held: Piece,
    /// For each held token the length of `held.text` behind it, or `None` where a character goes on behind the token.
    ends: Vec<Option<usize>>,
}

/// Tokens and their text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Their text.
    pub text: String,
}

/// What a token changed.
#[derive(PartialEq, Eq)]
pub enum Scan {
    /// These tokens are ready; none when everything has to wait.
    Ready(Piece),
    /// A stop string came: the last piece, its text cut before the stop string.
    Stopped(Piece),
}

impl AnswerText {
    /// Text that ends before any of `stops`, none of which is empty.
    pub fn new(stops: Vec<String>) -> Self {
        Self { decoder: Utf8Decoder::default(), stops, held: Piece::default(), ends: Vec::new() }
    }

    /// Takes the next token.
    pub fn push(&mut self, token: u32, bytes: &[u8]) -> Scan {
        self.decoder.push(bytes, &mut self.held.text);
        self.held.tokens.push(token);
        self.ends.push(self.decoder.is_whole().then_some(self.held.text.len()));
        if let Some(start) = first_stop(&self.held.text, &self.stops) {
            self.held.text.truncate(start);
            return Scan::Stopped(self.take());
        }
        Scan::Ready(self.release())
    }

    /// The rest at the end of an answer. Half a character becomes U+FFFD.
    pub fn finish(&mut self) -> Piece {
        self.decoder.finish(&mut self.held.text);
        self.take()
    }

    /// Bytes of whole characters that wait for what follows.
    pub fn held_bytes(&self) -> usize {
        self.held.text.len()
    }

    fn take(&mut self) -> Piece {
        self.ends.clear();
        std::mem::take(&mut self.held)
    }

    /// The longest run of held tokens whose text can no longer become part of a stop string.
    fn release(&mut self) -> Piece {
        let safe = self.held.text.len() - longest_stop_start(&self.held.text, &self.stops);
        let Some(last) = self.ends.iter().rposition(|end| end.is_some_and(|end| end <= safe)) else {
            return Piece::default();
        };
        let end = self.ends[last].unwrap_or_default();
        self.ends.drain(..=last);
        for later in self.ends.iter_mut().flatten() {
            *later -= end;
        }
        Piece { tokens: self.held.tokens.drain(..=last).collect(), text: self.held.text.drain(..end).collect() }
    }
}

/// Decodes UTF-8 that comes in any cuts. Invalid bytes become U+FFFD as in [`String::from_utf8_lossy`].
#[derive(Default)]
pub struct Utf8Decoder {
    pending: Vec<u8>,
}

impl Utf8Decoder {
    /// Appends what is whole to `text` and keeps the start of a character for later.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.pending.extend_from_slice(bytes);
        let mut rest = self.pending.as_slice();
        let kept = loop {
            match std::str::from_utf8(rest) {
                Ok(whole) => {
                    text.push_str(whole);
                    break 0;
                }
                Err(error) => {
                    let (whole, broken) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(whole));
                    let Some(length) = error.error_len() else { break broken.len() };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &broken[length..];
                }
            }
        };
        self.pending.drain(..self.pending.len() - kept);
    }

    /// Whether no character is half read.
    pub fn is_whole(&self) -> bool {
        self.pending.is_empty()
    }

    /// Ends the text: half a character becomes U+FFFD.
    pub fn finish(&mut self, text: &mut String) {
        if !self.is_whole() {
            text.push(char::REPLACEMENT_CHARACTER);
            self.pending.clear();
        }
    }
}

/// Where the first stop string in `text` starts.
fn first_stop(text: &str, stops: &[String]) -> Option<usize> {
    stops.iter().filter_map(|stop| text.find(stop.as_str())).min()
}

/// Length of the longest end of `text` that a stop string starts with.
fn longest_stop_start(text: &str, stops: &[String]) -> usize {
    stops.iter().map(|stop| stop_start(text, stop)).max().unwrap_or(0)
}

fn stop_start(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len() - 1);
    (1..=longest).rev().find(|&length| text.as_bytes().ends_with(&stop.as_bytes()[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests;
