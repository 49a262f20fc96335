//! A turn in progress, as its readers follow it.
//!
//! The turn's task owns the text and shows it through a `watch`; a reader remembers how much it has
//! seen and copies only what is new. So a slow reader costs nothing but its own place in the text,
//! and holds nobody up; one who comes late begins where it left off, or at the beginning.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    dispatch::Estimate,
    store::messages::{Message, TurnError},
};

/// All there is of a turn now. No `Debug`: it holds the answer.
#[derive(Default)]
pub struct Log {
    text: String,
    waiting: Option<Estimate>,
    loading: Option<Arc<Loading>>,
    /// The model has begun to think; what it thinks is shown nowhere.
    thinking: bool,
    /// Who answers, and how many have begun so far.
    started: Option<(u32, Arc<Started>)>,
    ended: Option<Arc<Ended>>,
    /// Somebody else goes on with it: another gateway, or the next start.
    suspended: bool,
    /// How often another text took the place of the one there was.
    rewritten: u32,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The node's name.
    pub node_name: String,
    /// The node.
    pub node_peer: String,
    /// Reached through a relay only.
    pub relayed: bool,
    /// The model's name.
    pub model: String,
    /// The names of all nodes that have given a part of the answer, in order; this one is the last.
    pub nodes: Vec<String>,
}

/// A model that is being loaded for a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loading {
    /// The node's name.
    pub node_name: String,
    /// The model's name.
    pub model: String,
    /// So much of a thousand has come.
    pub permille: u32,
}

/// How a turn ended.
#[derive(Debug)]
pub struct Ended {
    /// The answer as it was stored; `None` when its conversation is gone.
    pub message: Option<Message>,
    /// What broke, if anything did.
    pub error: Option<TurnError>,
}

/// What a reader has not seen yet.
#[derive(Clone)]
pub enum News {
    /// Every node is busy; where the turn stands.
    Waiting(Estimate),
    /// A node loads the model.
    Loading(Arc<Loading>),
    /// A node has begun, or goes on over another path.
    Started(Arc<Started>),
    /// Nothing to read yet, but the model thinks.
    Thinking,
    /// The text from `from` up to `seq`. From 0 it stands for all that the reader had: after a restart that may have
    /// been more than what is there.
    Piece {
        /// Bytes of the text before it.
        from: u64,
        /// Bytes of the text so far.
        seq: u64,
        /// What is new.
        text: String,
    },
    /// There is no more.
    Ended(Arc<Ended>),
}

impl Log {
    /// All the text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn wait(&mut self, estimate: Estimate) {
        (self.waiting, self.loading) = (Some(estimate), None);
    }

    pub(super) fn load(&mut self, loading: Loading) {
        (self.waiting, self.loading) = (None, Some(Arc::new(loading)));
    }

    pub(super) fn start(&mut self, who: Started) {
        let count = self.started.as_ref().map_or(0, |(count, _)| *count);
        self.started = Some((count + 1, Arc::new(who)));
    }

    /// Whether that is new.
    pub(super) fn think(&mut self) -> bool {
        !std::mem::replace(&mut self.thinking, true)
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Another text than the one there was: its readers see all of it.
    pub(super) fn rewrite(&mut self, text: String) {
        self.text = text;
        self.rewritten += 1;
    }

    /// Its readers see neither more of it nor an end.
    pub(super) fn suspend(&mut self) {
        self.suspended = true;
    }

    pub(super) fn end(&mut self, ended: Ended) {
        self.ended = Some(Arc::new(ended));
    }
}

/// One who follows a turn.
pub struct Reader {
    log: watch::Receiver<Log>,
    seen: usize,
    told_waiting: Option<Estimate>,
    told_loading: Option<Arc<Loading>>,
    told_thinking: bool,
    told_starts: u32,
    told_rewritten: u32,
    done: bool,
    /// There is no more here, and no end.
    suspended: bool,
}

impl Reader {
    /// Follows from behind the first `seen` bytes; a place that the text does not have is its beginning.
    #[must_use]
    pub fn new(log: watch::Receiver<Log>, seen: u64) -> Self {
        let seen = usize::try_from(seen).ok().filter(|at| log.borrow().text.is_char_boundary(*at)).unwrap_or(0);
        let told_rewritten = log.borrow().rewritten;
        Self {
            log,
            seen,
            told_waiting: None,
            told_loading: None,
            told_thinking: false,
            told_starts: 0,
            told_rewritten,
            done: false,
            suspended: false,
        }
    }

    /// Whether it was told of the end.
    pub(super) fn has_ended(&self) -> bool {
        self.done && !self.suspended
    }

    /// It is told of the end by somebody else.
    pub(super) fn ends(&mut self) {
        (self.done, self.suspended) = (true, false);
    }

    /// Bytes of the text that it has seen.
    pub(super) fn seen(&self) -> u64 {
        self.seen as u64
    }

    /// What is new, if anything is; `Err` when nothing more will come.
    pub(super) fn now(&mut self) -> Result<Option<News>, ()> {
        if self.done {
            return Err(());
        }
        match self.look() {
            Some(news) => Ok(Some(news)),
            None if self.log.borrow().suspended || self.log.has_changed().is_err() => Err(()),
            None => Ok(None),
        }
    }

    /// What is new, or waits for it. `None` after the end, or when the gateway stops before it.
    pub async fn next(&mut self) -> Option<News> {
        while !self.done {
            if let Some(news) = self.look() {
                return Some(news);
            }
            if self.log.borrow().suspended {
                (self.done, self.suspended) = (true, true);
                return None;
            }
            if self.log.changed().await.is_err() {
                self.done = true;
                return Some(News::Ended(Arc::new(lost())));
            }
        }
        None
    }

    fn look(&mut self) -> Option<News> {
        let log = self.log.borrow_and_update();
        if let Some((count, who)) = log.started.as_ref().filter(|(count, _)| *count > self.told_starts) {
            self.told_starts = *count;
            return Some(News::Started(Arc::clone(who)));
        }
        let waiting = log.waiting.filter(|_| log.started.is_none() && log.ended.is_none());
        if let Some(estimate) = waiting.filter(|estimate| self.told_waiting != Some(*estimate)) {
            self.told_waiting = Some(estimate);
            return Some(News::Waiting(estimate));
        }
        let loading = log.loading.as_ref().filter(|_| log.started.is_none() && log.ended.is_none());
        if let Some(loading) = loading.filter(|loading| self.told_loading.as_ref() != Some(*loading)) {
            self.told_loading = Some(Arc::clone(loading));
            return Some(News::Loading(Arc::clone(loading)));
        }
        if log.thinking && log.text.is_empty() && log.ended.is_none() && !self.told_thinking {
            self.told_thinking = true;
            return Some(News::Thinking);
        }
        if std::mem::replace(&mut self.told_rewritten, log.rewritten) != log.rewritten {
            self.seen = 0;
        }
        if log.text.len() > self.seen {
            let (from, text) = (self.seen as u64, log.text[self.seen..].to_owned());
            self.seen = log.text.len();
            return Some(News::Piece { from, seq: self.seen as u64, text });
        }
        let ended = Arc::clone(log.ended.as_ref()?);
        self.done = true;
        Some(News::Ended(ended))
    }
}

/// The task died without a word: a bug, and its readers must not wait for ever.
fn lost() -> Ended {
    let message = "Something went wrong in the gateway: its log says what.".to_owned();
    Ended { message: None, error: Some(TurnError { code: "internal".to_owned(), message }) }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn started() -> Started {
        Started { node_name: "n".into(), node_peer: "p".into(), relayed: false, model: "m".into(), nodes: vec![] }
    }

    fn now(reader: &mut Reader) -> String {
        match reader.next().now_or_never() {
            None => "nothing".into(),
            Some(None) => "gone".into(),
            Some(Some(News::Waiting(estimate))) => format!("waiting {}", estimate.position),
            Some(Some(News::Loading(loading))) => format!("loading {}", loading.permille),
            Some(Some(News::Thinking)) => "thinking".into(),
            Some(Some(News::Started(who))) => format!("started {}", who.node_name),
            Some(Some(News::Piece { from, seq, text })) => format!("{from}-{seq} {text}"),
            Some(Some(News::Ended(_))) => "ended".into(),
        }
    }

    #[test]
    fn a_reader_sees_each_thing_once() {
        let log = watch::Sender::new(Log::default());
        let mut reader = Reader::new(log.subscribe(), 0);
        assert_eq!(now(&mut reader), "nothing");
        log.send_modify(|log| log.wait(Estimate { position: 2, seconds: 9 }));
        assert_eq!(now(&mut reader), "waiting 2");
        assert_eq!(now(&mut reader), "nothing");
        log.send_modify(|log| log.wait(Estimate { position: 1, seconds: 5 }));
        assert_eq!(now(&mut reader), "waiting 1", "the line has moved");
        for permille in [10, 420] {
            log.send_modify(|log| log.load(Loading { node_name: "n".into(), model: "m".into(), permille }));
            assert_eq!(now(&mut reader), format!("loading {permille}"));
            assert_eq!(now(&mut reader), "nothing");
        }
        log.send_modify(|log| log.start(started()));
        assert_eq!(now(&mut reader), "started n");
        log.send_modify(|log| log.start(Started { node_name: "o".into(), ..started() }));
        assert_eq!(now(&mut reader), "started o", "another node took over");
        assert!(log.send_if_modified(Log::think));
        assert!(!log.send_if_modified(Log::think));
        assert_eq!(now(&mut reader), "thinking");
        assert_eq!(now(&mut reader), "nothing");
        log.send_modify(|log| log.push("grü"));
        assert_eq!(now(&mut reader), "0-4 grü");
        log.send_modify(|log| log.push("ß"));
        log.send_modify(|log| log.push("e"));
        log.send_modify(|log| log.end(Ended { message: None, error: None }));
        assert_eq!(now(&mut reader), "4-7 ße", "a slow reader gets it in one piece");
        assert_eq!(now(&mut reader), "ended");
        assert_eq!(now(&mut reader), "gone");
    }

    #[test]
    fn one_who_comes_late_goes_on_where_it_was() {
        let log = watch::Sender::new(Log::default());
        log.send_modify(|log| log.wait(Estimate { position: 2, seconds: 9 }));
        log.send_modify(|log| log.start(started()));
        log.send_if_modified(Log::think);
        log.send_modify(|log| log.push("grüße"));
        for (seen, expected) in [(0, "0-7 grüße"), (4, "4-7 ße"), (7, "nothing"), (3, "0-7 grüße"), (99, "0-7 grüße")]
        {
            let mut reader = Reader::new(log.subscribe(), seen);
            assert_eq!(now(&mut reader), "started n", "and not that it once waited, or thought");
            assert_eq!(now(&mut reader), expected, "after {seen}");
        }
    }

    #[test]
    fn a_gateway_that_stops_leaves_the_answer_open() {
        let log = watch::Sender::new(Log::default());
        let mut reader = Reader::new(log.subscribe(), 0);
        log.send_modify(|log| log.push("a"));
        log.send_modify(Log::suspend);
        drop(log);
        assert_eq!(now(&mut reader), "0-1 a");
        assert_eq!(now(&mut reader), "gone", "and no end");
    }

    #[test]
    fn a_dead_task_is_not_waited_for() {
        let log = watch::Sender::new(Log::default());
        let mut reader = Reader::new(log.subscribe(), 0);
        log.send_modify(|log| log.push("a"));
        drop(log);
        assert_eq!(now(&mut reader), "0-1 a");
        assert_eq!(now(&mut reader), "ended");
        assert_eq!(now(&mut reader), "gone");
    }
}
