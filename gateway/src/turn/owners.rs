//! Gateways that share a database, and whose each running answer is.
//!
//! A gateway that gives answers counts its beats in the database, and the others look on. One whose count stands still
//! over several looks is gone, and its answers are taken over. A look counts only when the one who looks could write
//! itself: so a database that is locked or slow for all makes nobody gone, and no two clocks are ever compared. Should
//! a gateway be taken for gone that is not, it loses its answers and nothing else happens: see `store/owners.rs`.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{MAX_TURNS, Turns};
use crate::{
    events::Order,
    id::TurnId,
    store::{StoreError, owners::Owner},
};

/// How often a gateway beats, and looks at the others.
const LOOK: Duration = Duration::from_secs(1);
/// A gateway that has not beaten over so many looks is gone.
const SILENT: u32 = 6;

/// The last beats of others, and for how many looks they have been the last. Has no clock.
#[derive(Default)]
struct Silence(HashMap<String, (i64, u32)>);

impl Turns {
    /// Hands what runs over to the other gateways; false when there are none, and then it goes on.
    #[must_use]
    pub fn hand_over(&self) -> bool {
        let others = self.cache.others() > 0;
        if others {
            self.leave.cancel();
        }
        others
    }

    /// Beats, takes over what nobody gives any more, and does what other gateways want, until it is told to stop.
    pub async fn watch_over(self, stop: CancellationToken) {
        let (mut silence, mut orders, mut works) = (Silence::default(), self.events.orders(), true);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => self.look(&mut silence).await,
                order = orders.recv() => self.obey(order).await,
            };
            match (&done, works) {
                (Err(error), true) => tracing::warn!(%error, "it cannot be seen what other gateways give"),
                (Ok(()), false) => tracing::info!("it is seen again what other gateways give"),
                _ => {}
            }
            works = done.is_ok();
        }
    }

    async fn look(&self, silence: &mut Silence) -> Result<(), StoreError> {
        let others = self.store.other_owners().await?;
        if others.is_empty() && self.seats.is_empty() {
            silence.0.clear();
            return Ok(());
        }
        self.store.beat().await?;
        let nobodys = others.iter().any(|(owner, _)| owner.is_none());
        let gone = silence.look(others);
        if self.life.drain.is_cancelled() {
            return Ok(());
        }
        if nobodys {
            self.take_over(None).await?;
        }
        for gateway in gone {
            tracing::warn!(gateway, "a gateway is gone, and its answers go on here");
            self.take_over(Some(&gateway)).await?;
        }
        Ok(())
    }

    async fn obey(&self, order: Result<Order, RecvError>) -> Result<(), StoreError> {
        match order {
            Ok(Order::Stop(user, turn)) => {
                self.seats.stop(user, turn);
            }
            Ok(Order::StopIn(user, conversation)) => self.stop_in(user, conversation),
            Ok(Order::TakeUp) | Err(RecvError::Lagged(_)) if !self.life.drain.is_cancelled() => {
                self.take_over(None).await?;
            }
            // Their answers end with what computes them.
            Ok(Order::TakeUp | Order::Out(_)) | Err(_) => {}
        }
        Ok(())
    }

    async fn take_over(&self, from: Option<&str>) -> Result<(), StoreError> {
        let claimed = self.store.claim(from, MAX_TURNS).await?;
        if !claimed.is_empty() {
            tracing::info!(answers = claimed.len(), "taken over from another gateway");
            self.take_up(self.store.answers(&claimed).await?);
        }
        Ok(())
    }

    /// What was not ours to keep has ended, or is another gateway's now.
    pub(super) async fn leave_what_is_given_elsewhere(&self, not_kept: &[TurnId]) {
        for turn in not_kept {
            if self.store.is_given_elsewhere(*turn).await.unwrap_or_default() {
                tracing::warn!(?turn, "another gateway has taken an answer over");
                self.seats.leave(&[*turn]);
            }
        }
    }
}

impl Silence {
    /// Those that are gone.
    fn look(&mut self, others: Vec<Owner>) -> Vec<String> {
        let others: HashMap<String, i64> = others.into_iter().filter_map(|(id, beats)| Some((id?, beats))).collect();
        self.0.retain(|id, _| others.contains_key(id));
        for (id, beats) in others {
            let (last, looks) = self.0.entry(id).or_insert((beats, 0));
            *looks = if *last == beats { *looks + 1 } else { 1 };
            *last = beats;
        }
        let gone: Vec<String> =
            self.0.iter().filter(|(_, (_, looks))| *looks > SILENT).map(|(id, _)| id.clone()).collect();
        self.0.retain(|id, _| !gone.contains(id));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_beats_is_there_and_who_does_not_is_gone_once() {
        let mut silence = Silence::default();
        let mut look = |a: i64, b: Option<i64>| {
            let others = [Some((Some("a".to_owned()), a)), b.map(|b| (Some("b".to_owned()), b)), Some((None, 0))];
            silence.look(others.into_iter().flatten().collect())
        };
        for beat in 0..20 {
            assert_eq!(look(beat, Some(7)).len(), usize::from(beat == i64::from(SILENT)), "look {beat}");
            if beat == i64::from(SILENT) {
                break;
            }
        }
        for beat in 7..30 {
            assert!(look(beat, None).is_empty());
        }
        for still in 0..SILENT - 1 {
            assert!(look(29, None).is_empty(), "{still}");
        }
        assert!(look(30, None).is_empty(), "it was only slow");
        for _ in 0..SILENT - 1 {
            assert!(look(30, None).is_empty());
        }
        assert_eq!(look(30, None), ["a"]);
    }
}
