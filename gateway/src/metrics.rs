//! What a monitoring system reads at `/metrics`: how the swarm does, and how this gateway does.
//!
//! Numbers and names only, never what anybody wrote. Nodes are strangers, so their number and with it
//! the number of series is bounded.

mod jobs;
mod nodes;

use prometheus_client::{encoding::text, registry::Registry};

pub use self::jobs::{Jobs, Meter};
use self::nodes::Nodes;
use crate::dispatch::Dispatch;

/// Everything that is measured, under the names that begin with `starling_`.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// What `dispatch` counts, and the nodes that it sees.
    #[must_use]
    pub fn new(dispatch: &Dispatch) -> Self {
        let mut registry = Registry::with_prefix("starling");
        dispatch.jobs().register(&mut registry);
        registry.register_collector(Box::new(Nodes::new(dispatch.view())));
        Self(registry)
    }

    /// As text, in the OpenMetrics form that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.0).expect("a String takes all that is written");
        text
    }
}

#[cfg(test)]
mod tests;
