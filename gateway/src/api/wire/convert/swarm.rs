//! Nodes, models and what they say of themselves.

use std::time::Duration;

use starling_protocol::message;

use super::{
    super::{
        GpuView, LoadableView, MemoryView, ModelState, ModelView, Nat, NetworkView, NodeView, OfferView, PauseReason,
        PausedView, frames::SwarmSummary,
    },
    path,
};
use crate::dispatch::{self, View};

impl From<&dispatch::NodeView> for NodeView {
    fn from(node: &dispatch::NodeView) -> Self {
        Self {
            peer: node.peer.to_string(),
            name: node.name.clone(),
            path: path(node.relayed),
            rtt_ms: node.rtt.map(milliseconds),
            slots_free: node.slots_free,
            slots_total: node.slots,
            models: node.models.clone(),
            decode_tokens_per_second: node.decode_tokens_per_second,
            device: node.device.clone(),
            version: node.version.clone(),
            warning: node.warning.clone(),
            gpus: node.gpus.iter().map(Into::into).collect(),
            ram: node.ram.into(),
            offers: node.offers.iter().map(Into::into).collect(),
            network: (&node.network).into(),
            drained: node.drained,
            loadable: node.loadable.iter().map(Into::into).collect(),
            paused: node.paused.map(Into::into),
        }
    }
}

impl From<message::Paused> for PausedView {
    fn from(message::Paused { kind, seconds, returning }: message::Paused) -> Self {
        Self { reason: kind.into(), seconds, returning }
    }
}

impl From<message::PauseKind> for PauseReason {
    fn from(kind: message::PauseKind) -> Self {
        match kind {
            message::PauseKind::Other => Self::Other,
            message::PauseKind::ByHand => Self::ByHand,
            message::PauseKind::FullScreen => Self::FullScreen,
            message::PauseKind::Process => Self::Process,
            message::PauseKind::Battery => Self::Battery,
            message::PauseKind::Temperature => Self::Temperature,
            message::PauseKind::Gpu => Self::Gpu,
            message::PauseKind::Schedule => Self::Schedule,
        }
    }
}

impl From<&message::Loadable> for LoadableView {
    fn from(loadable: &message::Loadable) -> Self {
        Self {
            model: loadable.name.clone(),
            bytes: loadable.bytes,
            loading_permille: loadable.loading,
            seconds: loadable.seconds,
            trouble: loadable.trouble.clone(),
        }
    }
}

impl From<dispatch::ModelState> for ModelState {
    fn from(state: dispatch::ModelState) -> Self {
        match state {
            dispatch::ModelState::Loaded => Self::Loaded,
            dispatch::ModelState::Loading => Self::Loading,
            dispatch::ModelState::Loadable => Self::Loadable,
            dispatch::ModelState::Away => Self::Away,
        }
    }
}

impl From<&message::Network> for NetworkView {
    fn from(network: &message::Network) -> Self {
        Self {
            nat: network.nat.into(),
            udp: network.udp,
            ipv6: network.ipv6,
            relays: network.relays,
            mapped: network.mapped,
        }
    }
}

impl From<message::Nat> for Nat {
    fn from(nat: message::Nat) -> Self {
        match nat {
            message::Nat::Unknown => Self::Unknown,
            message::Nat::Open => Self::Open,
            message::Nat::FullCone => Self::FullCone,
            message::Nat::Cone => Self::Cone,
            message::Nat::Symmetric => Self::Symmetric,
        }
    }
}

impl From<&message::Gpu> for GpuView {
    fn from(gpu: &message::Gpu) -> Self {
        Self {
            name: gpu.name.clone(),
            memory: gpu.memory.into(),
            utilization_percent: gpu.utilization_percent,
            temperature_celsius: gpu.temperature_celsius,
            power_watts: gpu.power_watts,
        }
    }
}

impl From<message::Memory> for MemoryView {
    fn from(memory: message::Memory) -> Self {
        Self { total: memory.total, used: memory.used }
    }
}

impl From<&message::Offer> for OfferView {
    fn from(offer: &message::Offer) -> Self {
        Self {
            model: offer.name.clone(),
            device: offer.device.clone(),
            memory_bytes: offer.memory_bytes,
            context_tokens: offer.context_tokens,
            slots_free: offer.slots_free,
            slots_total: offer.slots,
            prefill_tokens_per_second: offer.prefill_tokens_per_second,
            decode_tokens_per_second: offer.decode_tokens_per_second,
            throughput_tokens_per_second: offer.throughput_tokens_per_second,
            restarts: offer.restarts,
            trouble: offer.trouble.clone(),
        }
    }
}

impl From<&dispatch::ModelView> for ModelView {
    fn from(model: &dispatch::ModelView) -> Self {
        Self {
            id: model.name.clone(),
            hash: model.id.to_string(),
            context_tokens: model.context_tokens,
            demo: model.demo,
            nodes: model.nodes,
            slots_free: model.slots_free,
            slots_total: model.slots,
            state: model.state().into(),
            loading_permille: model.loading.filter(|_| model.nodes == 0),
        }
    }
}

impl From<&View> for SwarmSummary {
    fn from(view: &View) -> Self {
        Self {
            nodes: u32::try_from(view.nodes.len()).unwrap_or(u32::MAX),
            models: view.chat_models().map(|model| model.name.clone()).collect(),
        }
    }
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
