//! Finding each other through Kademlia: which keys we provide, which we look up, and when.
//!
//! Kademlia is an address book and never an authority: whoever it names is only worth a call.

use std::time::{Duration, Instant};

use libp2p::{PeerId, kad};
use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use super::Role;
use crate::{ModelId, membership::SwarmId};

type Kademlia = kad::Behaviour<kad::store::MemoryStore>;

/// Between look-ups while nobody was found.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
/// Between look-ups when somebody was: others may have come.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);
/// Reasons to announce often come together; they are answered once.
const ANNOUNCE_DELAY: Duration = Duration::from_millis(50);

/// What a swarm's peers provide and look up.
pub(super) struct Discovery {
    /// Without one there is nobody to be found by, or to find.
    swarm: Option<SwarmId>,
    role: Role,
    models: Vec<ModelId>,
    search: Option<kad::QueryId>,
    next_search: Option<Instant>,
    /// Set when the record that others hold of us is out of date.
    stale_since: Option<Instant>,
}

impl Discovery {
    pub(super) fn new(swarm: Option<SwarmId>, role: Role) -> Self {
        Self { swarm, role, models: vec![], search: None, next_search: None, stale_since: Some(Instant::now()) }
    }

    /// The models we provide from now on.
    pub(super) fn serve(&mut self, models: Vec<ModelId>, kademlia: &mut Kademlia) {
        for gone in self.models.iter().filter(|model| !models.contains(model)) {
            if let Some(key) = self.model_key(gone) {
                kademlia.stop_providing(&key);
            }
        }
        self.models = models;
        self.announce_again(Instant::now());
    }

    /// Our addresses or our view of the network have changed.
    pub(super) fn announce_again(&mut self, now: Instant) {
        self.stale_since.get_or_insert(now);
        self.next_search = None;
    }

    pub(super) fn on_tick(&mut self, now: Instant, alone: bool, kademlia: &mut Kademlia) {
        if kademlia.kbuckets().all(|bucket| bucket.num_entries() == 0) {
            return;
        }
        if self.stale_since.is_some_and(|since| now >= since + ANNOUNCE_DELAY) {
            self.stale_since = None;
            self.announce(kademlia);
        }
        if self.search.is_none() && self.next_search.is_none_or(|at| now >= at) {
            let interval = if alone { SEARCH_INTERVAL } else { REFRESH_INTERVAL };
            self.next_search = Some(now + interval);
            self.search = self.sought_key().map(|key| kademlia.get_providers(key));
        }
    }

    /// The peers that an answer to our look-up names.
    pub(super) fn found(&mut self, query: kad::QueryId, result: &kad::QueryResult, last: bool) -> Vec<PeerId> {
        if self.search != Some(query) {
            return vec![];
        }
        if last {
            self.search = None;
        }
        match result {
            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                providers.iter().copied().collect()
            }
            _ => vec![],
        }
    }

    fn announce(&self, kademlia: &mut Kademlia) {
        let keys =
            self.role_key(self.role).into_iter().chain(self.models.iter().filter_map(|model| self.model_key(model)));
        for key in keys {
            match kademlia.start_providing(key) {
                Ok(_) => debug!("announced"),
                Err(error) => warn!(%error, "cannot announce"),
            }
        }
    }

    fn sought_key(&self) -> Option<kad::RecordKey> {
        match self.role {
            Role::Node => self.role_key(Role::Gateway),
            Role::Gateway => self.role_key(Role::Node),
            Role::Bootstrap => None,
        }
    }

    fn role_key(&self, role: Role) -> Option<kad::RecordKey> {
        match role {
            Role::Node => self.key("nodes"),
            Role::Gateway => self.key("gateways"),
            Role::Bootstrap => None,
        }
    }

    fn model_key(&self, model: &ModelId) -> Option<kad::RecordKey> {
        self.key(&format!("models/{model}"))
    }

    fn key(&self, what: &str) -> Option<kad::RecordKey> {
        let swarm = self.swarm?;
        Some(kad::RecordKey::new(&Sha256::digest(format!("/starling/1/{swarm}/{what}"))))
    }
}
