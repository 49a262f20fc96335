//! Whose session it is, and what its owner may do now, for every request.
//!
//! What the database said is taken for twenty seconds and then asked for again; while it does not answer, what it last
//! said is taken for another forty. So the end of a session, another role and the end of an account act within a minute
//! on every gateway of a database, and at once on the one where they were made, which [forgets](Sessions::forget).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    store::{Store, StoreError, users::User},
};

/// How long an answer of the database is taken without asking again.
const FRESH: Duration = Duration::from_secs(20);
/// How long it is taken when the database does not answer. With the wait for the database it stays under a minute.
const STALE: Duration = Duration::from_secs(50);
/// Sessions that are remembered: about 300 bytes each. Beyond, the oldest answer makes room.
const MAX_SEEN: usize = 10_000;

/// Cheap to clone; the lock is held for a look and never while anything is awaited.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Store,
    seen: Arc<Mutex<Seen>>,
}

/// What the database has said lately.
#[derive(Debug, Default)]
struct Seen {
    answers: HashMap<SessionId, (Instant, Option<User>)>,
    /// Goes up when something is forgotten: what was asked before that is not noted after it.
    forgotten: u64,
}

impl Sessions {
    /// Those of this database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, seen: Arc::default() }
    }

    /// Whose session it is; none when it has ended.
    ///
    /// # Errors
    /// When the database does not answer, and has not for a while.
    pub async fn user(&self, session: SessionId) -> Result<Option<User>, StoreError> {
        let asked = Instant::now();
        if let Some(user) = self.with(|seen| seen.get(session, asked, FRESH)) {
            return Ok(user);
        }
        let forgotten = self.with(|seen| seen.forgotten);
        match self.store.session_user(session, Timestamp::now()).await {
            Ok(user) => {
                self.with(|seen| seen.note(session, asked, user.clone(), forgotten));
                Ok(user)
            }
            Err(error) => self.with(|seen| seen.get(session, asked, STALE)).ok_or(error),
        }
    }

    /// The database is asked anew for all sessions of a user, of whom something has changed.
    pub fn forget(&self, user: UserId) {
        self.with(|seen| seen.forget(user));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seen {
    fn get(&self, session: SessionId, now: Instant, age: Duration) -> Option<Option<User>> {
        let (at, user) = self.answers.get(&session)?;
        (now.saturating_duration_since(*at) < age).then(|| user.clone())
    }

    fn note(&mut self, session: SessionId, asked: Instant, user: Option<User>, forgotten: u64) {
        if self.forgotten != forgotten {
            return;
        }
        if self.answers.len() >= MAX_SEEN {
            self.answers.retain(|_, (at, _)| asked.saturating_duration_since(*at) < STALE);
        }
        if self.answers.len() >= MAX_SEEN {
            let oldest = self.answers.iter().min_by_key(|(_, (at, _))| *at).map(|(session, _)| *session);
            oldest.map(|session| self.answers.remove(&session));
        }
        self.answers.insert(session, (asked, user));
    }

    fn forget(&mut self, user: UserId) {
        self.forgotten += 1;
        self.answers.retain(|_, (_, known)| known.as_ref().is_some_and(|known| known.id != user));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::user;

    #[test]
    fn an_answer_is_taken_for_a_while_and_longer_without_a_database() {
        let (mut seen, session, anna, now) = (Seen::default(), SessionId::generate(), user(), Instant::now());
        assert_eq!(seen.get(session, now, FRESH), None);
        seen.note(session, now, Some(anna.clone()), 0);
        assert_eq!(seen.get(session, now + Duration::from_secs(19), FRESH), Some(Some(anna.clone())));
        assert_eq!(seen.get(session, now + Duration::from_secs(20), FRESH), None);
        assert_eq!(seen.get(session, now + Duration::from_secs(49), STALE), Some(Some(anna)));
        assert_eq!(seen.get(session, now + Duration::from_secs(50), STALE), None, "within a minute");
    }

    #[test]
    fn what_was_asked_before_a_change_is_not_noted_after_it() {
        let (mut seen, session, anna, now) = (Seen::default(), SessionId::generate(), user(), Instant::now());
        let other = (SessionId::generate(), user());
        seen.note(session, now, Some(anna.clone()), 0);
        seen.note(other.0, now, Some(other.1.clone()), 0);
        let asked = seen.forgotten;
        seen.forget(anna.id);
        assert_eq!(seen.get(session, now, FRESH), None);
        assert_eq!(seen.get(other.0, now, FRESH), Some(Some(other.1)));
        seen.note(session, now, Some(anna), asked);
        assert_eq!(seen.get(session, now, FRESH), None);
    }

    #[test]
    fn no_more_is_remembered_than_fits() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        for at in 0..MAX_SEEN as u64 + 10 {
            seen.note(SessionId::generate(), now + Duration::from_micros(at), None, 0);
        }
        assert_eq!(seen.answers.len(), MAX_SEEN);
    }
}
