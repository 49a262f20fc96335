//! The swarm as the scheduler sees it, for everybody who shows it or asks what there is.

use std::time::Duration;

use starling_protocol::{
    ModelId,
    message::{Gpu, Kind, Loadable, Memory, Network, Offer, Paused},
    swarm::PeerId,
};

/// The swarm as the scheduler sees it now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Nodes whose status is fresh.
    pub nodes: Vec<NodeView>,
    /// Models that at least one of them serves, or would load, by name.
    pub models: Vec<ModelView>,
    /// Models that only nodes have which are paused: they come back.
    pub away: Vec<ModelView>,
}

impl View {
    /// The models that answer.
    pub fn chat_models(&self) -> impl Iterator<Item = &ModelView> {
        self.models.iter().filter(|model| model.kind == Kind::Chat)
    }
}

/// A node, its models and its load.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its key.
    pub peer: PeerId,
    /// What its owner calls it.
    pub name: String,
    /// Its program's version.
    pub version: String,
    /// What computes there.
    pub device: String,
    /// Reached through a relay only.
    pub relayed: bool,
    /// Measured by ping.
    pub rtt: Option<Duration>,
    /// Names (as in [`ModelView::name`]) of the models it serves.
    pub models: Vec<String>,
    /// Over all of its models.
    pub slots: u32,
    /// Of these, free now.
    pub slots_free: u32,
    /// Measured there, the fastest of its models; 0 until known.
    pub decode_tokens_per_second: f32,
    /// What its owner should know; empty when all is well.
    pub warning: String,
    /// What its GPUs say of themselves.
    pub gpus: Vec<Gpu>,
    /// Its own memory.
    pub ram: Memory,
    /// What it says of each of its models, named as in [`ModelView::name`], without the prefixes they hold.
    pub offers: Vec<Offer>,
    /// How it says it is seen from outside.
    pub network: Network,
    /// Models that it would load, named likewise.
    pub loadable: Vec<Loadable>,
    /// An administrator wants it to be given no more.
    pub drained: bool,
    /// It leaves its machine to others for now.
    pub paused: Option<Paused>,
}

/// A model and how much of it there is.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelView {
    /// What people write: unique, so two files of one name get a part of their hash behind it.
    pub name: String,
    /// The content.
    pub id: ModelId,
    /// The longest context any node offers for it.
    pub context_tokens: u32,
    /// The tiny demo model.
    pub demo: bool,
    /// What it is for.
    pub kind: Kind,
    /// Numbers in one of its vectors; 0 for a chat model.
    pub dimensions: u32,
    /// Nodes that serve it.
    pub nodes: u32,
    /// Their slots.
    pub slots: u32,
    /// Of these, free now.
    pub slots_free: u32,
    /// Nodes that do not serve it and would load it.
    pub loaders: u32,
    /// The furthest load of it that is under way, in permille.
    pub loading: Option<u32>,
}

/// Whether a model is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    /// Somebody serves it.
    Loaded,
    /// Somebody is loading it.
    Loading,
    /// Somebody loads it once it is asked for.
    Loadable,
    /// Those who have it are paused.
    Away,
}

impl ModelView {
    /// Whether it is there.
    #[must_use]
    pub fn state(&self) -> ModelState {
        match (self.nodes, self.loading) {
            (1.., _) => ModelState::Loaded,
            (0, Some(_)) => ModelState::Loading,
            (0, None) if self.loaders == 0 => ModelState::Away,
            (0, None) => ModelState::Loadable,
        }
    }
}
