//! The gateway as a member of its swarm: what makes it one, where it is found, and whom it lets in.

mod command;
mod join;
mod places;
mod standing;

use std::time::Duration;

use starling_protocol::{
    members::Members,
    membership::{Invite, MemberRole, Secret},
    swarm::Handle,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use self::{
    command::{InviteOptions, JoinOptions, invite, join},
    join::Joining,
    places::Places,
    standing::{Files, load},
};
use crate::store::{
    Store, StoreError,
    invites::{self, NewInvite},
    members::Whereabouts,
};

/// The invite that is shown on the console lasts a day and is good for a rack of machines.
const PRINTED: (Duration, u32) = (Duration::from_secs(24 * 3600), 100);
/// Addresses come one after the other at a start; they are written down once.
const SETTLE: Duration = Duration::from_millis(200);
/// How long an invite waits for the first address.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// The gateway's part in the swarm. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Network {
    /// The swarm.
    pub swarm: Handle,
    /// Who of it is a member.
    pub members: Members,
    /// Where the gateway is found.
    pub places: Places,
}

impl Network {
    /// Where it is now; addresses are missing until it listens.
    #[must_use]
    pub fn whereabouts(&self) -> Whereabouts {
        Whereabouts { peer: self.swarm.local_peer(), swarm: self.members.swarm(), addresses: self.places.now() }
    }

    /// Keeps in the database where the gateway is, for invites that are made beside it: of several gateways on one
    /// database, the one that lets members in. Ends with `cancel`.
    pub async fn keep_whereabouts(mut self, store: Store, cancel: CancellationToken) {
        if !self.members.is_authority() {
            return cancel.cancelled().await;
        }
        let mut kept = None;
        let follow = async {
            loop {
                let now = self.whereabouts();
                if !now.addresses.is_empty() && kept.as_ref() != Some(&now) {
                    match store.set_whereabouts(&now).await {
                        Ok(()) => kept = Some(now),
                        Err(error) => tracing::warn!(%error, "where the gateway is could not be written down"),
                    }
                }
                self.places.changed().await;
                sleep(SETTLE).await;
            }
        };
        cancel.run_until_cancelled(follow).await;
    }

    /// The invite for the console, while there is no node yet: it takes the place of those shown before. None
    /// when there is a node, or when this gateway makes no members.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn first_invite(&self, store: &Store) -> Result<Option<Invite>, StoreError> {
        if !self.members.is_authority() || store.has_members(Some(MemberRole::Node)).await? {
            return Ok(None);
        }
        let mut places = self.places.clone();
        let _ = timeout(ADDRESS_TIMEOUT, places.settled(SETTLE)).await;
        let (lifetime, max_uses) = PRINTED;
        let new = NewInvite {
            label: "shown at the start".to_owned(),
            role: MemberRole::Node,
            max_uses,
            lifetime,
            created_by: None,
            printed: true,
        };
        let made = make_invite(store, self.whereabouts(), &new).await?;
        Ok(made.map(|(_, invite)| invite))
    }
}

/// Makes an invite for the swarm of a gateway that is `at` these places. None when there are as many as may be,
/// or no address to put in.
///
/// # Errors
/// When the database does not answer.
///
/// # Panics
/// When the system gives no randomness.
pub async fn make_invite(
    store: &Store,
    at: Whereabouts,
    new: &NewInvite,
) -> Result<Option<(invites::Invite, Invite)>, StoreError> {
    if at.addresses.is_empty() {
        return Ok(None);
    }
    let secret = Secret::generate().expect("the system gives random numbers");
    let made = store.create_invite(new, &secret.digest()).await?;
    let Whereabouts { peer, swarm, addresses } = at;
    Ok(made.map(|made| (made, Invite { swarm, gateway: peer, addresses, secret })))
}
