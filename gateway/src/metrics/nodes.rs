//! The nodes in sight, as gauges that are made of the scheduler's view when somebody asks.

use std::{collections::HashSet, fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use starling_protocol::message::{Gpu, Offer};
use tokio::sync::watch;

use crate::dispatch::{NodeView, View};

/// Nodes shown, those with the smallest ids: a swarm of strangers must not fill a monitoring system.
const MAX_NODES: usize = 256;

/// A label and its value.
type Label = (&'static str, String);

/// The nodes in sight.
#[derive(Debug)]
pub(super) struct Nodes(watch::Receiver<Arc<View>>);

/// A figure with the labels that tell it from the others of its name.
struct Sample {
    labels: Vec<Label>,
    value: f64,
}

impl Nodes {
    pub(super) fn new(view: watch::Receiver<Arc<View>>) -> Self {
        Self(view)
    }
}

impl Collector for Nodes {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let view = Arc::clone(&self.0.borrow());
        let nodes = ConstGauge::new(view.nodes.len() as u64);
        nodes.encode(encoder.encode_descriptor("nodes", "Nodes in sight", None, MetricType::Gauge)?)?;
        let paused = view.nodes.iter().filter(|node| node.paused.is_some()).count();
        let paused = ConstGauge::new(paused as u64);
        let help = "Of these, nodes that leave their machine to others for now";
        paused.encode(encoder.encode_descriptor("nodes_paused", help, None, MetricType::Gauge)?)?;
        for (name, help, figure) in OF_NODE {
            gauge(&mut encoder, name, help, &of_nodes(&view, *figure))?;
        }
        for (name, help, figure) in OF_MODEL {
            gauge(&mut encoder, name, help, &of_models(&view, *figure))?;
        }
        for (name, help, figure) in OF_GPU {
            gauge(&mut encoder, name, help, &of_gpus(&view, *figure))?;
        }
        Ok(())
    }
}

type Figures<T> = &'static [(&'static str, &'static str, fn(&T) -> Option<f64>)];

const OF_NODE: Figures<NodeView> = &[
    ("node_ram_bytes", "Memory of the node", |node| known(node.ram.total)),
    ("node_ram_used_bytes", "Of it, taken", |node| known(node.ram.total).map(|_| node.ram.used as f64)),
    ("node_round_trip_seconds", "Ping to the node", |node| node.rtt.map(|rtt| rtt.as_secs_f64())),
    ("node_relayed", "1 when the node is reached through a relay only", |node| Some(f64::from(u8::from(node.relayed)))),
    ("node_warning", "1 when the node's owner should look at it", |node| {
        Some(f64::from(u8::from(!node.warning.is_empty())))
    }),
];

const OF_MODEL: Figures<Offer> = &[
    ("model_slots", "Answers that the model gives at once on this node", |offer| Some(f64::from(offer.slots))),
    ("model_slots_free", "Of these, free", |offer| Some(f64::from(offer.slots_free))),
    ("model_throughput_tokens_per_second", "All answers together, lately", |offer| {
        Some(f64::from(offer.throughput_tokens_per_second))
    }),
    ("model_prefill_tokens_per_second", "Prompt tokens read for one answer; 0 until known", |offer| {
        Some(f64::from(offer.prefill_tokens_per_second))
    }),
    ("model_decode_tokens_per_second", "Tokens given for one answer; 0 until known", |offer| {
        Some(f64::from(offer.decode_tokens_per_second))
    }),
    ("model_memory_bytes", "Weights and caches on the device", |offer| known(offer.memory_bytes)),
    ("model_restarts", "How often its engine was started again", |offer| Some(f64::from(offer.restarts))),
];

const OF_GPU: Figures<Gpu> = &[
    ("gpu_memory_bytes", "Memory of the GPU", |gpu| known(gpu.memory.total)),
    ("gpu_memory_used_bytes", "Of it, taken", |gpu| known(gpu.memory.total).map(|_| gpu.memory.used as f64)),
    ("gpu_utilization_percent", "How busy the GPU is", |gpu| gpu.utilization_percent.map(f64::from)),
    ("gpu_temperature_celsius", "How warm the GPU is", |gpu| gpu.temperature_celsius.map(f64::from)),
    ("gpu_power_watts", "What the GPU draws", |gpu| gpu.power_watts.map(f64::from)),
];

fn shown(view: &View) -> impl Iterator<Item = (&NodeView, Vec<Label>)> {
    view.nodes.iter().take(MAX_NODES).map(|node| {
        let labels = vec![("peer", node.peer.to_string()), ("node", node.name.clone())];
        (node, labels)
    })
}

fn of_nodes(view: &View, figure: fn(&NodeView) -> Option<f64>) -> Vec<Sample> {
    shown(view).filter_map(|(node, labels)| Some(Sample { labels, value: figure(node)? })).collect()
}

fn of_models(view: &View, figure: fn(&Offer) -> Option<f64>) -> Vec<Sample> {
    let mut samples = vec![];
    for (node, labels) in shown(view) {
        let mut seen = HashSet::new();
        // A node that offers one name twice must not make a series twice: that spoils the whole page.
        for offer in node.offers.iter().filter(|offer| seen.insert(&offer.name)) {
            let labels = [labels.clone(), vec![("model", offer.name.clone())]].concat();
            samples.extend(figure(offer).map(|value| Sample { labels, value }));
        }
    }
    samples
}

fn of_gpus(view: &View, figure: fn(&Gpu) -> Option<f64>) -> Vec<Sample> {
    let mut samples = vec![];
    for (node, labels) in shown(view) {
        for (index, gpu) in node.gpus.iter().enumerate() {
            let labels = [labels.clone(), vec![("gpu", index.to_string()), ("name", gpu.name.clone())]].concat();
            samples.extend(figure(gpu).map(|value| Sample { labels, value }));
        }
    }
    samples
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, samples: &[Sample]) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for Sample { labels, value } in samples {
        let value = ConstGauge::new(*value);
        value.encode(metric.encode_family(labels)?)?;
    }
    Ok(())
}

fn known(bytes: u64) -> Option<f64> {
    (bytes > 0).then_some(bytes as f64)
}
