//! How nodes are reached: bytes by path, and how often a relayed node could be reached directly after all.

use std::{collections::HashMap, fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, counter::Counter, family::Family},
    registry::Registry,
};
use starling_protocol::{
    message::Nat,
    swarm::{Handle, Path, Upgrade},
};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::dispatch::View;

/// The node's kind of NAT, and what came of it.
type Labels = [(&'static str, &'static str); 2];

/// The counts of all upgrades. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Upgrades(Family<Labels, Counter>);

/// Bytes of all streams with members, by path.
#[derive(Debug)]
pub(super) struct Bytes(pub(super) Handle);

impl Upgrades {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Attempts to reach a relayed node directly, by its kind of NAT and what came of it";
        registry.register("path_upgrades", help, self.0.clone());
    }

    fn count(&self, nat: Nat, succeeded: bool) {
        let outcome = if succeeded { "direct" } else { "relayed" };
        self.0.get_or_create(&[("nat", word(nat)), ("outcome", outcome)]).inc();
    }

    /// Counts until `cancel`.
    pub async fn run(self, swarm: Handle, view: watch::Receiver<Arc<View>>, cancel: CancellationToken) {
        let mut upgrades = swarm.upgrades();
        while let Some(upgrade) = cancel.run_until_cancelled(upgrades.recv()).await {
            match upgrade {
                Ok(upgrade) => self.see(upgrade, &view.borrow()),
                // Some were missed; a figure is not worth a queue without bound.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            }
        }
        cancel.cancelled().await;
    }

    fn see(&self, upgrade: Upgrade, view: &View) {
        let kinds: HashMap<_, _> = view.nodes.iter().map(|node| (node.peer, node.network.nat)).collect();
        self.count(kinds.get(&upgrade.peer).copied().unwrap_or_default(), upgrade.succeeded);
    }
}

impl Collector for Bytes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Bytes of jobs and status by path, both ways together";
        let mut metric = encoder.encode_descriptor("stream_bytes", help, None, MetricType::Counter)?;
        for (word, path) in [("direct", Path::Direct), ("relayed", Path::Relayed)] {
            let bytes = ConstCounter::new(self.0.traffic().bytes(path));
            bytes.encode(metric.encode_family(&[("path", word)])?)?;
        }
        Ok(())
    }
}

fn word(nat: Nat) -> &'static str {
    match nat {
        Nat::Unknown => "unknown",
        Nat::Open => "open",
        Nat::FullCone => "full_cone",
        Nat::Cone => "cone",
        Nat::Symmetric => "symmetric",
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use starling_protocol::swarm::PeerId;

    use super::*;

    #[test]
    fn an_upgrade_counts_under_the_nodes_kind_of_nat() {
        let upgrades = Upgrades::default();
        let mut registry = Registry::with_prefix("starling");
        upgrades.register(&mut registry);
        let peer = PeerId::random();
        upgrades.see(Upgrade { peer, succeeded: false }, &View::default());
        let mut node = crate::metrics::tests::node(1);
        (node.peer, node.network.nat) = (peer, Nat::Symmetric);
        let view = View { nodes: vec![node], ..View::default() };
        upgrades.see(Upgrade { peer, succeeded: true }, &view);
        upgrades.see(Upgrade { peer, succeeded: true }, &view);
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        assert!(page.contains(r#"starling_path_upgrades_total{nat="unknown",outcome="relayed"} 1"#), "{page}");
        assert!(page.contains(r#"starling_path_upgrades_total{nat="symmetric",outcome="direct"} 2"#), "{page}");
    }
}
