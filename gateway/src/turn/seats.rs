//! Which turns run, and how many may.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Log, MAX_TURNS, MAX_TURNS_PER_USER, TurnRefused};
use crate::{
    id::{ConversationId, TurnId, UserId},
    store::{progress::Progress, turns::Accepted},
};

/// The turns that run. Cheap to clone.
///
/// The lock is held for a look into the map and never while anything is awaited.
#[derive(Clone, Default)]
pub(super) struct Seats {
    running: Arc<Mutex<HashMap<TurnId, Entry>>>,
}

struct Entry {
    user: UserId,
    conversation: ConversationId,
    /// `None` while its question is being stored.
    running: Option<Running>,
}

/// What others may do with a running turn: look on, and stop it.
#[derive(Clone)]
pub struct Running {
    /// What was asked.
    pub accepted: Arc<Accepted>,
    /// What was answered so far.
    pub log: watch::Receiver<Log>,
    /// What it would take to go on with it.
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) stop: CancellationToken,
    /// Another gateway goes on with it.
    pub(super) leave: CancellationToken,
}

/// A turn's place among those that run. Dropping it ends the turn's being one of them.
pub(super) struct Seat {
    seats: Seats,
    pub(super) turn: TurnId,
    pub(super) user: UserId,
}

impl Seats {
    /// The turn that runs in a user's conversation.
    pub(super) fn running_in(&self, user: UserId, conversation: ConversationId) -> Option<(TurnId, Running)> {
        self.with(|running| {
            let (turn, entry) =
                running.iter().find(|(_, entry)| entry.user == user && entry.conversation == conversation)?;
            Some((*turn, entry.running.clone()?))
        })
    }

    /// Whether a turn has its place in a conversation.
    pub(super) fn is_taken(&self, conversation: ConversationId) -> bool {
        self.with(|running| running.values().any(|entry| entry.conversation == conversation))
    }

    /// Stops a user's turn; false when the user has none of that id.
    pub(super) fn stop(&self, user: UserId, turn: TurnId) -> bool {
        self.with(|running| {
            let entry = running.get(&turn).filter(|entry| entry.user == user);
            let Some(running) = entry.and_then(|entry| entry.running.as_ref()) else { return false };
            running.stop.cancel();
            true
        })
    }

    /// Another gateway gives these.
    pub(super) fn leave(&self, turns: &[TurnId]) {
        self.with(|running| {
            let shown = turns.iter().filter_map(|turn| running.get(turn)?.running.as_ref());
            shown.for_each(|running| running.leave.cancel());
        });
    }

    pub(super) fn has(&self, turn: TurnId) -> bool {
        self.with(|running| running.contains_key(&turn))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.with(|running| running.is_empty())
    }

    /// All that run.
    pub(super) fn running(&self) -> Vec<(TurnId, Running)> {
        self.with(|running| running.iter().filter_map(|(turn, entry)| Some((*turn, entry.running.clone()?))).collect())
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.with(|running| running.len())
    }

    pub(super) fn reserve(
        &self,
        turn: TurnId,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Seat, TurnRefused> {
        self.with(|running| {
            if running.values().any(|entry| entry.conversation == conversation) {
                return Err(TurnRefused::TurnRunning);
            }
            if running.len() >= MAX_TURNS {
                return Err(TurnRefused::Full);
            }
            if running.values().filter(|entry| entry.user == user).count() >= MAX_TURNS_PER_USER {
                return Err(TurnRefused::TooManyTurns);
            }
            running.insert(turn, Entry { user, conversation, running: None });
            Ok(())
        })?;
        Ok(Seat { seats: self.clone(), turn, user })
    }

    /// A place for one that had it already, before the gateway was started: there were no more then than may be.
    pub(super) fn take(&self, turn: TurnId, user: UserId, conversation: ConversationId) -> Seat {
        self.with(|running| running.insert(turn, Entry { user, conversation, running: None }));
        Seat { seats: self.clone(), turn, user }
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<TurnId, Entry>) -> T) -> T {
        // A panic under the lock cannot leave the map half changed: each use is one insert or remove.
        look(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seat {
    pub(super) fn show(&self, shown: Running) {
        self.seats.with(|running| {
            if let Some(entry) = running.get_mut(&self.turn) {
                entry.running = Some(shown);
            }
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.with(|running| running.remove(&self.turn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(turns: &Seats, user: UserId, conversation: ConversationId) -> Result<Seat, TurnRefused> {
        turns.reserve(TurnId::generate(), user, conversation)
    }

    #[test]
    fn a_user_has_so_many_turns_and_a_conversation_one() {
        let turns = Seats::default();
        let (a, b) = (UserId::generate(), UserId::generate());
        let same = ConversationId::generate();
        let mut seats = vec![reserve(&turns, a, same).unwrap()];
        assert!(matches!(reserve(&turns, a, same), Err(TurnRefused::TurnRunning)));
        for _ in 1..MAX_TURNS_PER_USER {
            seats.push(reserve(&turns, a, ConversationId::generate()).unwrap());
        }
        assert!(matches!(reserve(&turns, a, ConversationId::generate()), Err(TurnRefused::TooManyTurns)));
        assert!(
            reserve(&turns, b, ConversationId::generate()).is_ok(),
            "others are not held up, and a seat is given back"
        );
        assert_eq!(turns.count(), MAX_TURNS_PER_USER);
        seats.remove(0);
        assert!(reserve(&turns, a, same).is_ok());
    }
}
