//! Shows running answers to the other gateways, through the cache: several times a second what is new of each, so that
//! their readers follow answers that are given here. While there are no other gateways nothing is written.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    Loading, News, Started, Turns,
    log::{Log, Reader},
};
use crate::{cache::log::LogWriter, dispatch::Estimate, id::TurnId};

/// How often what is new is shown: a reader elsewhere is so much later, and half of it more.
pub(super) const EVERY: Duration = Duration::from_millis(100);
/// Entries of one answer in one go; the rest comes with the next.
const ENTRIES: usize = 32;

/// What a log of an answer is made of.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Entry {
    Waiting { position: u32, seconds: u32 },
    Loading(Loading),
    Started(Started),
    Thinking,
    Text { from: u64, text: String },
    Ended,
}

/// What the log of an answer is called.
pub(super) fn name(turn: TurnId) -> String {
    format!("turn {turn}")
}

/// An answer that is shown to others.
struct Shown {
    log: tokio::sync::watch::Receiver<Log>,
    reader: Reader,
    writer: LogWriter,
}

impl Turns {
    /// Shows what runs, until it is told to stop.
    pub async fn mirror(self, stop: CancellationToken) {
        let mut shown: HashMap<TurnId, Shown> = HashMap::new();
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if self.cache.others() == 0 || !self.cache.is_up() {
                shown.clear();
                continue;
            }
            for (turn, running) in self.seats.running() {
                shown.entry(turn).or_insert_with(|| Shown::new(turn, running.log));
            }
            let mut over = vec![];
            let mut batch = vec![];
            for (turn, shown) in &mut shown {
                let (entries, ended) = shown.entries();
                if ended {
                    over.push(*turn);
                }
                if !entries.is_empty() {
                    batch.push((&mut shown.writer, entries));
                }
            }
            if !batch.is_empty() {
                self.cache.append(&mut batch).await;
            }
            over.iter().for_each(|turn| drop(shown.remove(turn)));
        }
    }
}

impl Shown {
    fn new(turn: TurnId, log: tokio::sync::watch::Receiver<Log>) -> Self {
        Self { reader: Reader::new(log.clone(), 0), log, writer: LogWriter::new(name(turn)) }
    }

    /// What is new, and whether there will be no more.
    fn entries(&mut self) -> (Vec<Vec<u8>>, bool) {
        if self.writer.is_new() {
            self.reader = Reader::new(self.log.clone(), 0);
        }
        let mut entries = vec![];
        while entries.len() < ENTRIES {
            match self.reader.now() {
                Ok(Some(news)) => entries.push(serde_json::to_vec(&Entry::from(news)).expect("it is plain data")),
                Ok(None) => return (entries, false),
                Err(()) => return (entries, true),
            }
        }
        (entries, false)
    }
}

impl From<News> for Entry {
    fn from(news: News) -> Self {
        match news {
            News::Waiting(Estimate { position, seconds }) => Self::Waiting { position, seconds },
            News::Loading(loading) => Self::Loading((*loading).clone()),
            News::Started(started) => Self::Started((*started).clone()),
            News::Thinking => Self::Thinking,
            News::Piece { from, text, .. } => Self::Text { from, text },
            // The message is in the database.
            News::Ended(_) => Self::Ended,
        }
    }
}
