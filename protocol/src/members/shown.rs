//! What others see of the state, as `watch`es: told when it changes, and only then.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Own, Refusals, Roster, Seen, state::State};
use crate::membership::{Revocations, Seconds};

/// Where others see the state.
pub(super) struct Shown {
    own: watch::Sender<Own>,
    roster: watch::Sender<Arc<Roster>>,
    refusals: watch::Sender<Refusals>,
    revocations: watch::Sender<Arc<Revocations>>,
}

impl Shown {
    pub(super) fn new(state: &State, now: Seconds) -> (Self, Seen) {
        let shown = Self {
            own: watch::Sender::new(state.own(now)),
            roster: watch::Sender::default(),
            refusals: watch::Sender::default(),
            revocations: watch::Sender::new(Arc::new(state.revocations().clone())),
        };
        let seen = Seen {
            own: shown.own.subscribe(),
            roster: shown.roster.subscribe(),
            refusals: shown.refusals.subscribe(),
            revocations: shown.revocations.subscribe(),
        };
        (shown, seen)
    }

    /// Shows all but the revocations.
    pub(super) fn update(&self, state: &mut State, now: Seconds) {
        let own = state.own(now);
        // How long ago something expired changes all the time, and is no news.
        let kind = |own: &Own| own.trouble.map(|why| why.code());
        self.own.send_if_modified(|shown| {
            let news = shown.claims != own.claims || kind(shown) != kind(&own);
            *shown = own;
            news
        });
        self.refusals.send_if_modified(|shown| {
            let news = shown != state.refusals();
            if news {
                shown.clone_from(state.refusals());
            }
            news
        });
        // Last: whoever sees somebody come or go sees the reason as well.
        if state.take_change() {
            self.roster.send_replace(Arc::new(state.roster()));
        }
    }

    /// Shows the revocations, and gives them.
    pub(super) fn revocations(&self, state: &State) -> Arc<Revocations> {
        let known = Arc::new(state.revocations().clone());
        self.revocations.send_replace(known.clone());
        known
    }
}
