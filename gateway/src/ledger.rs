//! Counts the tokens of answers in the API, which are stored nowhere else: in the database as soon as it takes them, those
//! of many answers together, so that no answer waits for it.
//!
//! What answers in the chat come to is counted in the transaction that ends them (`store/tokens`).

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Timestamp,
    id::HoldId,
    store::{
        Store, StoreError,
        tokens::{Account, Expected, Payer},
    },
};

/// The wait before another try while the database does not take it.
const AGAIN: Duration = Duration::from_millis(500);

/// Cheap to clone.
#[derive(Clone)]
pub struct Ledger(Arc<Parts>);

struct Parts {
    store: Store,
    /// The lock is held for a look and never while anything is awaited.
    due: Mutex<Due>,
    wake: Notify,
}

/// What is to be written: a few numbers for each person and key, and for each answer that was held.
#[derive(Default)]
struct Due {
    used: HashMap<Account, u64>,
    holds: Vec<HoldId>,
}

/// What one request runs up. Dropping it puts it on the account.
pub struct Tab {
    ledger: Ledger,
    payer: Payer,
    hold: Option<HoldId>,
    tokens: u64,
}

impl Ledger {
    /// Nothing is due.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Parts { store, due: Mutex::default(), wake: Notify::new() }))
    }

    /// Opens the tab of a request; where budgets bound who asks, with what it may come to held against them.
    ///
    /// # Errors
    /// [`StoreError::Exhausted`], or when the database does not answer.
    pub async fn open(&self, payer: Payer, bounded: bool, expected: Expected) -> Result<Tab, StoreError> {
        let hold = if bounded { self.0.store.hold(payer, expected).await? } else { None };
        Ok(Tab { ledger: self.clone(), payer, hold, tokens: 0 })
    }

    /// Writes what is due, until it is told to stop; then once more.
    pub async fn run(self, stop: CancellationToken) {
        let mut works = true;
        while stop.run_until_cancelled(self.0.wake.notified()).await.is_some() {
            while let Err(error) = self.settle().await {
                if mem::take(&mut works) {
                    tracing::warn!(%error, "the tokens of answers wait to be counted");
                }
                if stop.run_until_cancelled(sleep(AGAIN)).await.is_none() {
                    break;
                }
            }
            works = true;
        }
        if let Err(error) = self.settle().await {
            tracing::warn!(%error, "the tokens of the last answers were not counted");
        }
    }

    /// Writes what is due now; when that fails it stays due.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let Due { used, holds } = self.with(mem::take);
        if used.is_empty() && holds.is_empty() {
            return Ok(());
        }
        let used: Vec<_> = used.into_iter().collect();
        let written = self.0.store.count(&used, &holds).await;
        if written.is_err() {
            self.with(|due| {
                used.into_iter().for_each(|(account, tokens)| due.add(account, tokens));
                due.holds.extend(holds);
            });
        }
        written
    }

    fn with<T>(&self, look: impl FnOnce(&mut Due) -> T) -> T {
        look(&mut self.0.due.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Due {
    fn add(&mut self, account: Account, tokens: u64) {
        let sum = self.used.entry(account).or_default();
        *sum = sum.saturating_add(tokens);
    }
}

impl Tab {
    /// All that the request has come to by now.
    pub fn comes_to(&mut self, tokens: u64) {
        self.tokens = tokens;
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if self.tokens == 0 && self.hold.is_none() {
            return;
        }
        let account = Account { payer: self.payer, day: Timestamp::now().day() };
        self.ledger.with(|due| {
            if self.tokens > 0 {
                due.add(account, self.tokens);
            }
            due.holds.extend(self.hold);
        });
        self.ledger.0.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{tests::store, users::Role};

    #[tokio::test]
    async fn what_answers_come_to_is_counted_once_and_held_meanwhile() {
        let (store, _dir) = store().await;
        let store = store.with_budget(100);
        let user = store.create_user("anna", "x", Role::User).await.unwrap().id;
        let (ledger, payer) = (Ledger::new(store.clone()), Payer { user, key: None });
        let expected = Expected { prompt: 20, answer: 40 };
        let mut first = ledger.open(payer, true, expected).await.unwrap();
        let second = ledger.open(payer, true, expected).await.unwrap();
        assert!(matches!(ledger.open(payer, true, expected).await, Err(StoreError::Exhausted(_))), "120 are held");
        first.comes_to(5);
        first.comes_to(30);
        drop(first);
        drop(second);
        ledger.settle().await.unwrap();
        ledger.settle().await.unwrap();
        assert_eq!(store.tokens_of(user).await.unwrap().0, 30);
        let mut third = ledger.open(payer, true, expected).await.unwrap();
        third.comes_to(80);
        drop(third);
        ledger.settle().await.unwrap();
        assert_eq!(store.tokens_of(user).await.unwrap().0, 110, "overrun by what ran");
        assert!(matches!(ledger.open(payer, true, Expected::default()).await, Err(StoreError::Exhausted(_))));
    }

    #[tokio::test]
    async fn what_the_database_does_not_take_stays_due() {
        let (store, dir) = store().await;
        let user = store.create_user("anna", "x", Role::User).await.unwrap().id;
        let ledger = Ledger::new(store.clone());
        let mut tab = ledger.open(Payer { user, key: None }, true, Expected::default()).await.unwrap();
        tab.comes_to(7);
        store.close().await;
        drop(tab);
        assert!(ledger.settle().await.is_err());
        assert!(ledger.settle().await.is_err());
        let again = Ledger::new(crate::store::tests::open(&dir).await);
        again.with(|due| *due = ledger.with(mem::take));
        again.settle().await.unwrap();
        assert_eq!(again.0.store.tokens_of(user).await.unwrap().0, 7);
    }
}
