//! What the gateways of one database share for a moment: how often somebody may try, running answers, and
//! events.
//!
//! Without a Redis it is in this process, and there is nobody to share with. With one the same goes through it, until
//! it is slow or gone: then each gateway goes on with its own twin, no request fails, and the link comes back by itself.
//! Nothing durable is here: a Redis that loses all it has costs nobody an answer.
//!
//! It carries bytes and knows nothing of what they mean. All that leaves the process is sealed, under names that say
//! nothing to who has no key.

mod gcra;
mod link;
mod local;
pub mod log;
mod seal;
mod url;

use std::sync::Arc;

use prometheus_client::registry::Registry;
use starling_protocol::membership::SwarmId;
use tokio::sync::broadcast;

pub use self::{
    gcra::{Rate, Taken},
    link::Actor,
    url::{RedisUrl, UrlError},
};
use self::{link::Link, local::Local, log::LogWriter, seal::Seal};
use crate::master::MasterKey;

/// Longest event, in bytes: ids and words, never what somebody said.
pub const MAX_EVENT: usize = 4 << 10;
/// Events of others that one who listens may have before it; beyond that it is told that it missed some.
const EVENTS: usize = 1_024;

/// What gateways share. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    local: Arc<Local>,
    /// `None`: there is no Redis.
    link: Option<Link>,
    events: broadcast::Sender<Heard>,
}

/// What another gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An event.
    Said(Arc<[u8]>),
    /// There may have been events that never came: the link was away.
    Missed,
}

impl Cache {
    /// For a gateway that is alone.
    #[must_use]
    pub fn in_process() -> Self {
        Self { local: Arc::default(), link: None, events: broadcast::Sender::new(1) }
    }

    /// Over a Redis, between the gateways of `swarm` that have the same master key. Works once the actor runs, and as
    /// in one process until then.
    #[must_use]
    pub fn over(redis: RedisUrl, swarm: SwarmId, master: &MasterKey) -> (Self, Actor) {
        // For TLS, where other crates bring a second one and none would be chosen. It may be chosen already.
        let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let events = broadcast::Sender::new(EVENTS);
        let (link, actor) = link::new(redis, Seal::new(swarm, &master.derive("cache")), events.clone());
        (Self { local: Arc::default(), link: Some(link), events }, actor)
    }

    /// Takes `cost` tries out of a bucket, in one step for all gateways.
    pub async fn take(&self, bucket: &str, rate: Rate, cost: u32) -> Taken {
        self.change(bucket, rate, i64::from(cost)).await
    }

    /// Gives tries back that turned out to be good ones.
    pub async fn give_back(&self, bucket: &str, rate: Rate, cost: u32) {
        self.change(bucket, rate, -i64::from(cost)).await;
    }

    async fn change(&self, bucket: &str, rate: Rate, cost: i64) -> Taken {
        if let Some(link) = &self.link
            && let Some(taken) = link.change(bucket, rate, cost).await
        {
            return taken;
        }
        self.local.change(bucket, rate, cost)
    }

    /// Tells the other gateways; it reaches each of them at most once. One that is too long reaches nobody.
    pub async fn publish(&self, event: &[u8]) {
        if let Some(link) = &self.link
            && event.len() <= MAX_EVENT
        {
            link.publish(event).await;
        }
    }

    /// What other gateways say from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Heard> {
        self.events.subscribe()
    }

    /// How many other gateways have been heard of in the last seconds.
    #[must_use]
    pub fn others(&self) -> usize {
        self.link.as_ref().map_or(0, Link::others)
    }

    /// Others need not reckon with us any more.
    pub fn retire(&self) {
        if let Some(link) = &self.link {
            link.retire();
        }
    }

    /// Whether there is a Redis at all.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.link.is_some()
    }

    /// Whether it answers now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_up)
    }

    /// Appends to logs. What could not be written makes its writer begin anew.
    pub async fn append(&self, batch: &mut [(&mut LogWriter, Vec<Vec<u8>>)]) {
        match &self.link {
            Some(link) => link.append(batch).await,
            None => batch.iter_mut().for_each(|(writer, _)| writer.lost()),
        }
    }

    /// What a log has behind a place; `None` when it cannot be had now, or there is none.
    pub async fn read(&self, name: &str, from: log::Place) -> Option<log::Chunk> {
        self.link.as_ref()?.read(name, from).await
    }

    /// Its figures.
    pub fn register(&self, registry: &mut Registry) {
        if let Some(link) = &self.link {
            link.register(registry);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
