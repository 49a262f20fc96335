//! Who computes what: the way from a stream that resumes an attempt to the task that has it.
//!
//! An attempt is one task, which alone knows its state; here is only the address of its letter box, under a key that
//! no other gateway can name. Attempts that are over and wait to be read or forgotten are counted, and the oldest go.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use starling_protocol::{JobId, swarm::PeerId};
use tokio::sync::mpsc;

/// Streams that may wait for an attempt to take them. It takes each at once; what is beyond is a flood.
const MAX_LETTERS: usize = 4;
/// Attempts that are over and wait for a last word. Each has up to a megabyte of what it said.
const MAX_OVER: usize = 128;

/// One attempt. The gateway is proven by its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) gateway: PeerId,
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
}

/// The attempts of a node, each with letters of kind `T`. Cheap to clone.
pub(crate) struct Table<T>(Arc<Mutex<Inner<T>>>);

struct Inner<T> {
    attempts: HashMap<Key, mpsc::Sender<T>>,
    /// Those that are over, the oldest first.
    over: VecDeque<Key>,
}

/// An attempt's place in the table, until it is dropped.
pub(crate) struct Place<T> {
    key: Key,
    letters: mpsc::Receiver<T>,
    table: Table<T>,
}

/// Why a letter was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// There is no such attempt.
    Unknown,
    /// Too many letters wait.
    Full,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inner { attempts: HashMap::new(), over: VecDeque::new() })))
    }
}

impl<T> Table<T> {
    /// A place for a new attempt, and whether an older one at the same job has lost its own for it; none when there is
    /// one of that key, or a newer one.
    pub(crate) fn enter(&self, key: Key) -> Option<(Place<T>, bool)> {
        let mut inner = self.lock();
        let of_job = |other: &Key| (other.gateway, other.job) == (key.gateway, key.job);
        if inner.attempts.keys().any(|other| of_job(other) && other.attempt >= key.attempt) {
            return None;
        }
        let before = inner.attempts.len();
        inner.attempts.retain(|other, _| !of_job(other));
        inner.over.retain(|other| !of_job(other));
        let ended = inner.attempts.len() < before;
        let (sender, letters) = mpsc::channel(MAX_LETTERS);
        inner.attempts.insert(key, sender);
        Some((Place { key, letters, table: self.clone() }, ended))
    }

    /// Gives a letter to an attempt, or gives it back.
    pub(crate) fn send(&self, key: &Key, letter: T) -> Result<(), (T, Undelivered)> {
        let Some(sender) = self.lock().attempts.get(key).cloned() else { return Err((letter, Undelivered::Unknown)) };
        sender.try_send(letter).map_err(|error| match error {
            mpsc::error::TrySendError::Full(letter) => (letter, Undelivered::Full),
            mpsc::error::TrySendError::Closed(letter) => (letter, Undelivered::Unknown),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Place<T> {
    /// The next letter; none when the attempt has lost its place: to a newer one at its job, or when it was over, to
    /// those of other jobs. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<T> {
        self.letters.recv().await
    }

    /// The attempt computes nothing any more, and keeps only what it said.
    pub(crate) fn over(&self) {
        let mut inner = self.table.lock();
        if inner.attempts.contains_key(&self.key) && !inner.over.contains(&self.key) {
            inner.over.push_back(self.key);
        }
        if inner.over.len() > MAX_OVER
            && let Some(oldest) = inner.over.pop_front()
        {
            inner.attempts.remove(&oldest);
        }
    }

    /// Somebody reads what it keeps.
    pub(crate) fn is_read(&self) {
        self.table.lock().over.retain(|key| *key != self.key);
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        self.letters.close();
        let mut inner = self.table.lock();
        // A new attempt may have the key of one that has lost its place.
        if inner.attempts.get(&self.key).is_some_and(mpsc::Sender::is_closed) {
            inner.attempts.remove(&self.key);
            inner.over.retain(|key| *key != self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn key(attempt: u32) -> Key {
        Key { gateway: PeerId::random(), job: JobId::generate(), attempt }
    }

    #[test]
    fn a_letter_reaches_its_attempt_and_nobody_elses() {
        let (table, ours) = (Table::default(), key(1));
        let (mut place, _) = table.enter(ours).unwrap();
        assert!(table.enter(ours).is_none(), "a second one of that key");
        table.send(&ours, "a letter").unwrap();
        assert_eq!(place.next().now_or_never(), Some(Some("a letter")));
        for other in [Key { gateway: PeerId::random(), ..ours }, Key { attempt: 2, ..ours }, key(1)] {
            assert_eq!(table.send(&other, "a forged one"), Err(("a forged one", Undelivered::Unknown)));
        }
        assert_eq!(place.next().now_or_never(), None);
        drop(place);
        assert_eq!(table.send(&ours, "late"), Err(("late", Undelivered::Unknown)));
        assert!(table.lock().attempts.is_empty());
    }

    #[test]
    fn a_flood_of_letters_is_given_back() {
        let (table, ours) = (Table::default(), key(1));
        let (_place, _) = table.enter(ours).unwrap();
        for letter in 0..MAX_LETTERS {
            table.send(&ours, letter).unwrap();
        }
        assert_eq!(table.send(&ours, 99), Err((99, Undelivered::Full)));
    }

    #[test]
    fn of_those_that_are_over_the_oldest_go() {
        let table = Table::<()>::default();
        let (running, _) = table.enter(key(1)).unwrap();
        let mut places: Vec<_> = (0..=MAX_OVER as u32).map(|attempt| table.enter(key(attempt)).unwrap().0).collect();
        places.iter().for_each(Place::over);
        assert_eq!(places[0].next().now_or_never(), Some(None), "the oldest has lost its place");
        places[1].is_read();
        places[2].over();
        let (last, _) = table.enter(key(1)).unwrap();
        last.over();
        assert_eq!(places[1].next().now_or_never(), None, "one that is read keeps it");
        assert_eq!(places[2].next().now_or_never(), None, "so there was room for one more");
        let (again, _) = table.enter(places[0].key).unwrap();
        places.clear();
        assert!(table.send(&again.key, ()).is_ok(), "the old one takes nothing along");
        assert!(table.send(&running.key, ()).is_ok());
        drop((again, last, running));
        assert!(table.lock().attempts.is_empty() && table.lock().over.is_empty());
    }

    #[test]
    fn a_newer_attempt_takes_the_place_of_an_older_one_and_never_the_other_way_round() {
        let table = Table::<()>::default();
        let ours = key(2);
        let (mut older, ended) = table.enter(ours).unwrap();
        assert!(!ended);
        let (mut stranger, ended) = table.enter(Key { gateway: PeerId::random(), attempt: 9, ..ours }).unwrap();
        assert!(!ended, "another gateway's job is another job");
        assert!(table.enter(Key { attempt: 1, ..ours }).is_none(), "an attempt that came late");
        let (mut newer, ended) = table.enter(Key { attempt: 4, ..ours }).unwrap();
        assert!(ended);
        assert_eq!(older.next().now_or_never(), Some(None), "its place is gone");
        drop(older);
        assert_eq!((newer.next().now_or_never(), stranger.next().now_or_never()), (None, None));
        assert!(table.send(&newer.key, ()).is_ok());
    }
}
