//! What a monitoring system reads at `/metrics`: how the swarm does, and how this gateway does.
//!
//! Numbers and names only, never what anybody wrote. Nodes are strangers, so their number and with it
//! the number of series is bounded.

mod genai;
mod jobs;
mod nodes;
mod paths;
mod totals;

use prometheus_client::{encoding::text, registry::Registry};

use starling_protocol::swarm::Handle;

pub use self::{
    jobs::{Jobs, Meter},
    paths::Upgrades,
};
use self::{nodes::Nodes, paths::Bytes};
use crate::{cache::Cache, dispatch::Dispatch};

/// Everything that is measured, under the names that begin with `starling_`, and answers also under OpenTelemetry's.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    upgrades: Upgrades,
}

impl Metrics {
    /// What `dispatch` counts, the nodes that it sees, and how `swarm` reaches them.
    #[must_use]
    pub fn new(dispatch: &Dispatch, swarm: Handle) -> Self {
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("starling");
        dispatch.jobs().register(ours);
        ours.register_collector(Box::new(Nodes::new(dispatch.view())));
        ours.register_collector(Box::new(Bytes(swarm)));
        let upgrades = Upgrades::default();
        upgrades.register(ours);
        dispatch.jobs().register_gen_ai(&mut registry);
        Self { registry, upgrades }
    }

    /// Counts what happens to the Redis too, where there is one.
    pub fn count_cache(&mut self, cache: &Cache) {
        cache.register(self.registry.sub_registry_with_prefix("starling"));
    }

    /// Where upgrades are counted.
    #[must_use]
    pub fn upgrades(&self) -> Upgrades {
        self.upgrades.clone()
    }

    /// As text, in the OpenMetrics form that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a String takes all that is written");
        text
    }
}

#[cfg(test)]
mod tests;
