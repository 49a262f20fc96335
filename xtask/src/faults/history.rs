//! What was seen of a run, from outside, and what must be true of it: a pure function over a record.
//!
//! Every answer is known to the byte beforehand, since the scripted engine's token is a function of its
//! place. So a lost, doubled or swapped token is seen wherever it shows: at a reader, or in the database.

use std::fmt;
use std::time::{Duration, Instant};

/// Of an answer that broke off, at most the last second is not stored; and the write itself takes a moment.
const STORED_LAG: Duration = Duration::from_millis(1_500);

/// One question, as who asked it has seen it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The question; no two of a run are the same.
    pub(super) prompt: String,
    /// The whole answer.
    pub(super) expected: String,
    /// It was sent; whether it came is not known before it is accepted.
    pub(super) asked: bool,
    /// The gateway has acknowledged the question: under which conversation and which turn.
    pub(super) accepted: Option<(String, String)>,
    /// What has come of the answer.
    pub(super) text: String,
    /// When each piece came, and the length of the text with it.
    pub(super) pieces: Vec<(Instant, usize)>,
    /// Who began to answer, and when.
    pub(super) starts: Vec<(Instant, String)>,
    /// Pieces that did not begin where the text before them ended.
    pub(super) misplaced: usize,
    /// Each end that was told; there should be one.
    pub(super) ends: Vec<End>,
}

/// How an answer ended, as its reader was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// The code of what broke.
    Failed(String),
}

/// A message in the gateway's database.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) text: String,
    pub(super) status: String,
}

/// The slots of a node.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    pub(super) node: String,
    pub(super) free: u64,
    pub(super) total: u64,
}

/// What is left when all is over.
#[derive(Clone, Debug, Default)]
pub(super) struct After {
    pub(super) stored: Vec<Stored>,
    /// Jobs that the gateway counts as running.
    pub(super) running: u64,
    pub(super) slots: Vec<Slots>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// An acknowledged question is not in the database.
    Lost,
    /// A question is there so many times.
    Doubled(usize),
    /// The place of an acknowledged answer is there so many times.
    Places(usize),
    /// The reader's text is wrong from this byte on.
    Text(usize),
    /// Pieces came that left something out, or came again.
    Misplaced(usize),
    /// The reader was told that the answer is whole, and it is this many bytes too short.
    Short(usize),
    /// The answer never ended.
    NeverEnded,
    /// It ended so many times.
    EndedAgain(usize),
    /// The stored text is wrong from this byte on.
    StoredText(usize),
    /// The stored answer lacks this many bytes that it should have.
    StoredShort(usize),
    /// Its status in the database is not what its reader was told.
    Status(String),
    /// The gateway still counts jobs.
    Running(u64),
    /// A node has slots that nobody gives back.
    Slots { node: String, taken: u64 },
}

impl Seen {
    /// Tokens that have come.
    pub(super) fn tokens(&self) -> usize {
        tokens(&self.text)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.ends == [End::Done] && self.text.trim_end() == self.expected.trim_end()
    }

    /// The longest time between two pieces.
    pub(super) fn worst_gap(&self) -> Duration {
        self.pieces.windows(2).map(|two| two[1].0 - two[0].0).max().unwrap_or_default()
    }

    /// How long after that moment the next piece came.
    pub(super) fn next_after(&self, moment: Instant) -> Option<Duration> {
        self.pieces.iter().find(|(at, _)| *at > moment).map(|(at, _)| *at - moment)
    }

    /// What went wrong with it alone, whatever the database says.
    fn check_reader(&self, wrong: &mut Vec<Wrong>) {
        if let Some(at) = differs(&self.text, &self.expected) {
            wrong.push(Wrong::Text(at));
        }
        if self.misplaced > 0 {
            wrong.push(Wrong::Misplaced(self.misplaced));
        }
        match (self.ends.len(), &self.accepted) {
            (0, Some(_)) => wrong.push(Wrong::NeverEnded),
            (0 | 1, _) => {}
            (count, _) => wrong.push(Wrong::EndedAgain(count)),
        }
        let short = self.expected.trim_end().len().saturating_sub(self.text.trim_end().len());
        if self.ends.contains(&End::Done) && short > 0 {
            wrong.push(Wrong::Short(short));
        }
    }

    fn check_stored(&self, stored: &[Stored], wrong: &mut Vec<Wrong>) {
        let questions = stored.iter().filter(|message| message.role == "user" && message.text == self.prompt).count();
        match (questions, &self.accepted) {
            (0, Some(_)) => wrong.push(Wrong::Lost),
            (0 | 1, _) => {}
            (count, _) => wrong.push(Wrong::Doubled(count)),
        }
        let Some((_, turn)) = &self.accepted else { return };
        let places: Vec<&Stored> = stored.iter().filter(|message| message.id == *turn).collect();
        let &[answer] = &places[..] else { return wrong.push(Wrong::Places(places.len())) };
        if let Some(at) = differs(&answer.text, &self.expected) {
            wrong.push(Wrong::StoredText(at));
        }
        let told = match self.ends.last() {
            Some(End::Done) => &["complete"][..],
            Some(End::Failed(_)) => &["partial", "failed"],
            None => &["complete", "partial", "failed"],
        };
        if !told.contains(&answer.status.as_str()) {
            wrong.push(Wrong::Status(answer.status.clone()));
        }
        let short = self.must_be_stored(&answer.status).saturating_sub(answer.text.trim_end().len());
        if short > 0 {
            wrong.push(Wrong::StoredShort(short));
        }
    }

    /// Bytes of the text that the database has to have.
    fn must_be_stored(&self, status: &str) -> usize {
        if status == "complete" {
            return self.expected.trim_end().len();
        }
        let Some((last, _)) = self.pieces.last() else { return 0 };
        let old = self.pieces.iter().take_while(|(at, _)| *at + STORED_LAG < *last);
        // Without the space at its end.
        old.last().map_or(0, |(_, length)| length.saturating_sub(1))
    }
}

/// All that is wrong, and with which of the questions; with none where it is the gateway or a node.
pub(super) fn check(seen: &[Seen], after: &After) -> Vec<(Option<usize>, Wrong)> {
    let mut found = Vec::new();
    for (index, seen) in seen.iter().enumerate() {
        let mut wrong = Vec::new();
        seen.check_reader(&mut wrong);
        seen.check_stored(&after.stored, &mut wrong);
        found.extend(wrong.into_iter().map(|wrong| (Some(index), wrong)));
    }
    found.extend(check_rest(after).into_iter().map(|wrong| (None, wrong)));
    found
}

/// What may still be under way a moment after the last answer, and must not be for long.
pub(super) fn check_rest(after: &After) -> Vec<Wrong> {
    let running = (after.running > 0).then_some(Wrong::Running(after.running));
    let taken = after.slots.iter().filter(|slots| slots.free != slots.total);
    let taken =
        taken.map(|slots| Wrong::Slots { node: slots.node.clone(), taken: slots.total - slots.free.min(slots.total) });
    running.into_iter().chain(taken).collect()
}

/// Tokens in a text of the scripted engine, each of which ends in a space.
pub(super) fn tokens(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b' ').count()
}

/// Where a text is not the beginning of the expected one. Spaces at its end belong to nobody.
fn differs(text: &str, expected: &str) -> Option<usize> {
    let text = text.trim_end();
    let same = text.bytes().zip(expected.bytes()).take_while(|(got, wanted)| got == wanted).count();
    (same < text.len()).then_some(same)
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("an acknowledged question is lost"),
            Self::Doubled(count) => write!(f, "a question is stored {count} times"),
            Self::Places(count) => write!(f, "an answer is stored {count} times"),
            Self::Text(at) => write!(f, "the text is wrong at byte {at}"),
            Self::Misplaced(count) => write!(f, "{count} pieces left something out or came again"),
            Self::Short(bytes) => write!(f, "told that it is whole, and {bytes} bytes are missing"),
            Self::NeverEnded => f.write_str("the answer never ended"),
            Self::EndedAgain(count) => write!(f, "the answer ended {count} times"),
            Self::StoredText(at) => write!(f, "the stored text is wrong at byte {at}"),
            Self::StoredShort(bytes) => write!(f, "{bytes} bytes of the answer are not stored"),
            Self::Status(status) => write!(f, "stored as {status}, and told otherwise"),
            Self::Running(count) => write!(f, "{count} jobs still run"),
            Self::Slots { node, taken } => write!(f, "{node} has {taken} slots that are not given back"),
        }
    }
}

#[cfg(test)]
mod tests;
