//! What an attempt has said so far, as frames: what a new stream needs to go on where another one broke.
//!
//! An event may be forgotten once the gateway has said that it came, and not earlier: what was written to a stream
//! may be lost with its path. While too much is on the way, the log has no room, and the engine waits.

use std::collections::VecDeque;

/// Events kept: at forty tokens a second, the last three minutes of an answer.
const MAX_EVENTS: u64 = 8_192;
/// Bytes of events kept: about as many events, each with one token and its text.
const MAX_BYTES: usize = 1 << 20;
/// Events that may be on the way however long they are: more than a gateway takes before it says so (it counts
/// events and not bytes). An event with many alternatives for each token has up to 256 KiB.
const MIN_EVENTS: u64 = 2 * starling_protocol::limits::RECEIPT_EVERY;

/// The last events of one attempt, counted from 0. No `Debug`: it holds the answer.
#[derive(Default)]
pub(super) struct Log {
    frames: VecDeque<Vec<u8>>,
    /// The number of the first event that is kept.
    first: u64,
    bytes: usize,
    /// Events that have come, as the gateway says.
    received: u64,
    /// Of the bytes, those of events that may still be on the way.
    pending_bytes: usize,
    ended: bool,
}

impl Log {
    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// The number of the first event that is still here.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Whether the last event is in it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the engine may go on; when it is done, nothing is in the way.
    pub(super) fn has_room(&self) -> bool {
        let pending = self.next() - self.received;
        self.ended || pending < MIN_EVENTS || (pending < MAX_EVENTS && self.pending_bytes < MAX_BYTES)
    }

    /// An event, when it is there.
    pub(super) fn get(&self, number: u64) -> Option<&[u8]> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.frames.get(at).map(Vec::as_slice)
    }

    /// Adds an event and forgets old ones that have come, where that is needed.
    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.pending_bytes += frame.len();
        self.frames.push_back(frame);
        while self.first < self.received && (self.bytes > MAX_BYTES || self.frames.len() as u64 > MAX_EVENTS) {
            let oldest = self.frames.pop_front().map_or(0, |frame| frame.len());
            (self.first, self.bytes) = (self.first + 1, self.bytes - oldest);
        }
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The gateway has this many events. Never more than there are; fewer than it said before changes nothing.
    pub(super) fn received(&mut self, count: u64) {
        while self.received < count.min(self.next()) {
            self.pending_bytes -= self.get(self.received).map_or(0, <[u8]>::len);
            self.received += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64, length: usize) -> Vec<u8> {
        let mut frame = vec![0; length];
        frame[..8].copy_from_slice(&number.to_be_bytes());
        frame
    }

    /// A log into which events were put for as long as it had room; it must still have all of them.
    fn full_of(length: usize) -> Log {
        let mut log = Log::default();
        while log.has_room() {
            log.push(frame(log.next(), length));
        }
        for number in 0..log.next() {
            assert_eq!(log.get(number), Some(&frame(number, length)[..]));
        }
        log
    }

    #[test]
    fn nothing_that_is_on_the_way_is_forgotten_and_there_is_a_bound_to_it() {
        assert_eq!(full_of(60).next(), MAX_EVENTS);
        assert_eq!(full_of(1 << 10).next(), 1_024);
        assert_eq!(full_of(256 << 10).next(), MIN_EVENTS, "a gateway's receipt comes behind fewer than that");
    }

    #[test]
    fn what_has_come_makes_room_and_goes_when_the_room_is_needed() {
        for length in [60, 1 << 10, 256 << 10] {
            let mut log = full_of(length);
            let all = log.next();
            log.received(all);
            assert!(log.has_room() && log.first() == 0, "kept for as long as nothing needs its room");
            for _ in 0..all / 2 {
                log.push(frame(log.next(), length));
            }
            assert!(log.first() > 0 && log.first() <= all, "{}", log.first());
            assert!(log.frames.len() as u64 <= MAX_EVENTS.max(all));
            assert_eq!(log.bytes, log.frames.len() * length);
            assert_eq!(log.pending_bytes as u64, all / 2 * length as u64);
            assert_eq!(log.get(log.first() - 1), None);
            assert_eq!(log.get(log.next()), None);
            assert_eq!(log.get(log.first()), Some(&frame(log.first(), length)[..]));
        }
    }

    #[test]
    fn receipts_count_up_and_never_beyond_what_there_is() {
        let mut log = Log::default();
        for number in 0..10 {
            log.push(frame(number, 60));
        }
        log.received(4);
        log.received(2);
        assert_eq!((log.received, log.pending_bytes), (4, 6 * 60));
        log.received(u64::MAX);
        assert_eq!((log.received, log.pending_bytes), (10, 0));
    }
}
