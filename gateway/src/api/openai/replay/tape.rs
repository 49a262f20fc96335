//! The events of one answer that can still be asked for. Has no clock, and knows nobody who waits.

use std::collections::VecDeque;

use futures::{Stream, stream};

/// Events that nobody has read, in bytes: then there is no room for more.
const MAX_UNREAD: usize = 1 << 20;
/// Of what was read, this many bytes are kept in case that it did not arrive.
const MAX_READ: usize = 1 << 20;

/// Events, numbered from 1 without a gap. One reads them at a time.
#[derive(Default)]
pub(in crate::api::openai) struct Tape {
    events: VecDeque<String>,
    /// Events that were let go.
    gone: u64,
    /// The last event that was read.
    read: u64,
    /// Bytes of what was read and is here, and of what was not read.
    bytes: [usize; 2],
    /// Readers so far.
    turns: u64,
    ended: bool,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The next event, and its number.
    Event(u64, String),
    /// Nothing yet.
    Nothing,
    /// There is no more, or another one reads.
    End,
}

impl Tape {
    /// One that another gateway has begun, with the events behind those that it has let go.
    pub(super) fn of(gone: u64, events: Vec<String>) -> Self {
        let mut tape = Self { gone, read: gone, ..Self::default() };
        events.into_iter().for_each(|event| tape.push(event));
        tape
    }

    /// What there is behind number `seen`, for one who takes it all at once.
    pub(in crate::api::openai) fn rest(
        mut self,
        seen: u64,
    ) -> Option<impl Stream<Item = (u64, String)> + Send + use<>> {
        self.rewind(seen)?;
        let behind = self.events.into_iter().zip(self.gone + 1..).map(|(event, number)| (number, event));
        Some(stream::iter(behind.filter(move |(number, _)| *number > seen)))
    }

    /// The events that are here, and how many were let go before them.
    pub(super) fn events(&self) -> (u64, Vec<String>) {
        (self.gone, self.events.iter().cloned().collect())
    }

    pub(super) fn push(&mut self, event: String) {
        self.bytes[1] += event.len();
        self.events.push_back(event);
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes[1] < MAX_UNREAD
    }

    /// A new reader that has seen the events up to number `seen`, and which one it is; `None` when those behind are
    /// gone, or were never there.
    pub(super) fn rewind(&mut self, seen: u64) -> Option<u64> {
        let kept = usize::try_from(seen.checked_sub(self.gone)?).ok().filter(|kept| *kept <= self.events.len())?;
        let bytes = |events: &mut dyn Iterator<Item = &String>| events.map(String::len).sum();
        self.bytes = [bytes(&mut self.events.iter().take(kept)), bytes(&mut self.events.iter().skip(kept))];
        self.read = seen;
        self.turns += 1;
        Some(self.turns)
    }

    pub(super) fn is_turn_of(&self, turn: u64) -> bool {
        turn == self.turns
    }

    /// The next event for this reader.
    pub(super) fn read(&mut self, turn: u64) -> Look {
        if !self.is_turn_of(turn) {
            return Look::End;
        }
        let next = usize::try_from(self.read - self.gone).ok().and_then(|at| self.events.get(at)).cloned();
        let Some(event) = next else { return if self.ended { Look::End } else { Look::Nothing } };
        self.read += 1;
        self.bytes[0] += event.len();
        self.bytes[1] -= event.len();
        self.let_go();
        Look::Event(self.read, event)
    }

    fn let_go(&mut self) {
        while self.bytes[0] > MAX_READ && self.gone < self.read {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes[0] -= oldest.len();
            self.gone += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> Look {
        Look::Event(number, number.to_string())
    }

    fn of(count: u64) -> Tape {
        let mut tape = Tape::default();
        (1..=count).for_each(|number| tape.push(number.to_string()));
        tape
    }

    #[test]
    fn a_reader_that_comes_back_misses_nothing_and_sees_nothing_twice() {
        let mut tape = of(3);
        let first = tape.rewind(0).unwrap();
        assert_eq!([tape.read(first), tape.read(first)], [event(1), event(2)]);
        // Of these two, one arrived.
        let second = tape.rewind(1).unwrap();
        assert_eq!(tape.read(first), Look::End, "one at a time");
        assert_eq!([tape.read(second), tape.read(second), tape.read(second)], [event(2), event(3), Look::Nothing]);
        tape.push("4".to_owned());
        tape.end();
        assert_eq!([tape.read(second), tape.read(second)], [event(4), Look::End]);
        let third = tape.rewind(4).unwrap();
        assert_eq!(tape.read(third), Look::End, "it was all there");
        assert!(tape.rewind(5).is_none(), "that one never was");
    }

    #[test]
    fn another_gateway_goes_on_where_the_first_one_was() {
        let mut tape = of(3);
        tape.gone = 4;
        let (gone, events) = tape.events();
        let mut there = Tape::of(gone, events);
        assert!(there.rewind(3).is_none() && there.rewind(8).is_none());
        there.push("4".to_owned());
        let reader = there.rewind(6).unwrap();
        let event = |number, data: &str| Look::Event(number, data.to_owned());
        assert_eq!(
            [there.read(reader), there.read(reader), there.read(reader)],
            [event(7, "3"), event(8, "4"), Look::Nothing]
        );
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut tape = Tape::default();
        let reader = tape.rewind(0).unwrap();
        let large = || "x".repeat(MAX_UNREAD / 4);
        (0..4).for_each(|_| tape.push(large()));
        assert!(!tape.has_room());
        assert!(matches!(tape.read(reader), Look::Event(1, _)));
        assert!(tape.has_room());
        for number in 5..20 {
            tape.push(large());
            assert!(matches!(tape.read(reader), Look::Event(read, _) if read == number - 3));
            assert!(tape.events.len() <= 8, "{} are kept", tape.events.len());
        }
        assert!(tape.rewind(3).is_none(), "that is gone");
        assert!(tape.rewind(tape.gone).is_some());
        assert_eq!(tape.bytes, [0, tape.events.len() * MAX_UNREAD / 4], "and counted anew");
    }
}
