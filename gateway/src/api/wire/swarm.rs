//! The nodes that are connected, and what each says of itself.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

/// How a node is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    Direct,
    Relayed,
}

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct NodeView {
    pub peer: String,
    pub name: String,
    pub path: Path,
    pub rtt_ms: Option<f64>,
    pub slots_free: u32,
    pub slots_total: u32,
    pub models: Vec<String>,
    pub decode_tokens_per_second: f32,
    pub device: String,
    pub version: String,
    /// What its owner should know; empty when all is well.
    pub warning: String,
    pub gpus: Vec<GpuView>,
    pub ram: MemoryView,
    pub offers: Vec<OfferView>,
    pub network: NetworkView,
    /// Models that it loads once somebody asks.
    pub loadable: Vec<LoadableView>,
    /// An administrator wants it to be given no more.
    pub drained: bool,
    /// It leaves its machine to whoever sits there, and comes back by itself; null when it does not.
    pub paused: Option<PausedView>,
}

/// That a node computes nothing for a while.
#[derive(Clone, Copy, Debug, Serialize, TS, ToSchema)]
pub struct PausedView {
    pub reason: PauseReason,
    /// Until it comes back, where that is known.
    pub seconds: Option<u32>,
    /// The reason is gone, and its models are being loaded.
    pub returning: bool,
}

/// Why a node computes nothing: never more than the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    Other,
    ByHand,
    FullScreen,
    Process,
    Battery,
    Temperature,
    Gpu,
    Schedule,
}

/// How a node is seen from outside, as it says; null is what it does not know.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct NetworkView {
    pub nat: Nat,
    pub udp: Option<bool>,
    pub ipv6: Option<bool>,
    /// Relays where it can be met.
    pub relays: u32,
    /// Its router has opened a port for it.
    pub mapped: bool,
}

/// What stands between a node and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    Unknown,
    Open,
    FullCone,
    Cone,
    Symmetric,
}

/// A GPU as its driver describes it; null is what it does not say.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct GpuView {
    pub name: String,
    pub memory: MemoryView,
    pub utilization_percent: Option<u32>,
    pub temperature_celsius: Option<u32>,
    pub power_watts: Option<u32>,
}

/// In bytes; a total of 0 is not known.
#[derive(Clone, Copy, Debug, Serialize, TS, ToSchema)]
pub struct MemoryView {
    pub total: u64,
    pub used: u64,
}

/// One of a node's models, and how it does there. Speeds are 0 until known.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct OfferView {
    pub model: String,
    pub device: String,
    pub memory_bytes: u64,
    pub context_tokens: u32,
    pub slots_free: u32,
    pub slots_total: u32,
    pub prefill_tokens_per_second: f32,
    pub decode_tokens_per_second: f32,
    pub throughput_tokens_per_second: f32,
    pub restarts: u32,
    /// What went wrong with its engine last; empty when nothing did.
    pub trouble: String,
}

/// A model that a node does not serve and would load.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct LoadableView {
    pub model: String,
    #[ts(type = "number")]
    pub bytes: u64,
    /// It is being loaded, and so much of a thousand has come.
    pub loading_permille: Option<u32>,
    /// How long a whole load is thought to take.
    pub seconds: u32,
    /// Why it could not be loaded last; empty when nothing went wrong.
    pub trouble: String,
}

/// `GET /api/swarm`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct SwarmView {
    pub nodes: Vec<NodeView>,
    pub peers: u32,
}
