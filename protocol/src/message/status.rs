//! What a node says about itself, on its status stream.

use minicbor::{Decode, Encode};

use super::{Invalid, at_most, invalid, within};
use crate::{id::ModelId, limits};

/// A frame on a status stream: all of a node's present state.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Status {
    /// What the owner calls the node.
    #[n(0)]
    pub name: String,
    /// The program's version.
    #[n(1)]
    pub version: String,
    /// What computes, in words.
    #[n(2)]
    pub device: String,
    /// The models that are loaded.
    #[n(3)]
    pub offers: Vec<Offer>,
    /// Takes no more jobs.
    #[n(4)]
    pub stopping: bool,
    /// What the owner should know, such as a GPU that is not used; empty when all is well.
    #[n(5)]
    #[cbor(default)]
    pub warning: String,
    /// What the machine's GPUs say of themselves.
    #[n(6)]
    #[cbor(default)]
    pub gpus: Vec<Gpu>,
    /// The machine's own memory.
    #[n(7)]
    #[cbor(default)]
    pub ram: Memory,
    /// How the node is seen from outside.
    #[n(8)]
    #[cbor(default)]
    pub network: Network,
    /// Models that it loads when a job asks for one.
    #[n(9)]
    #[cbor(default)]
    pub loadable: Vec<Loadable>,
    /// It leaves its machine to whoever sits there, and comes back by itself. It says `stopping` with it, for those who
    /// do not read this.
    #[n(10)]
    #[cbor(default)]
    pub paused: Option<Paused>,
}

/// That a node computes nothing for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Paused {
    /// Why. Never more than the kind: what somebody does at home is nobody's business.
    #[n(0)]
    pub kind: PauseKind,
    /// Seconds until it comes back, where that is known.
    #[n(1)]
    pub seconds: Option<u32>,
    /// The reason is gone, and the models are being loaded.
    #[n(2)]
    #[cbor(default)]
    pub returning: bool,
}

/// Why a node computes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseKind {
    /// Something that a later release knows.
    #[default]
    Other,
    /// Its owner said so.
    ByHand,
    /// A full-screen program runs.
    FullScreen,
    /// A program runs that its owner has named.
    Process,
    /// The machine runs on its battery.
    Battery,
    /// The graphics card is too warm.
    Temperature,
    /// Others use the graphics card.
    Gpu,
    /// It is not the time of day for it.
    Schedule,
}

impl PauseKind {
    const NUMBERED: [Self; 8] = [
        Self::Other,
        Self::ByHand,
        Self::FullScreen,
        Self::Process,
        Self::Battery,
        Self::Temperature,
        Self::Gpu,
        Self::Schedule,
    ];
}

// By hand, since a kind that we do not know must not make a whole status unreadable.
impl<C> Encode<C> for PauseKind {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let number = Self::NUMBERED.iter().position(|kind| kind == self).unwrap_or_default();
        encoder.u32(u32::try_from(number).unwrap_or_default())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for PauseKind {
    fn decode(decoder: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let number = decoder.u32()?;
        Ok(usize::try_from(number).ok().and_then(|number| Self::NUMBERED.get(number)).copied().unwrap_or_default())
    }
}

/// A model that a node does not serve and would load.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Loadable {
    /// The model, by content.
    #[n(0)]
    pub model: ModelId,
    /// What people call it.
    #[n(1)]
    pub name: String,
    /// What it is for.
    #[n(2)]
    pub kind: Kind,
    /// Tokens one slot will hold, as far as memory allows.
    #[n(3)]
    pub context_tokens: u32,
    /// Numbers in one of its vectors; 0 for a chat model.
    #[n(4)]
    pub dimensions: u32,
    /// Bytes to read.
    #[n(5)]
    pub bytes: u64,
    /// It is being loaded, and so far it is, of [`WHOLE_LOAD`](limits::WHOLE_LOAD).
    #[n(6)]
    pub loading: Option<u32>,
    /// How long a whole load is thought to take; 0 when nothing is known.
    #[n(7)]
    pub seconds: u32,
    /// Why it could not be loaded last; empty when nothing went wrong.
    #[n(8)]
    #[cbor(default)]
    pub trouble: String,
}

/// How a node is seen from outside. Its addresses are not in it: the gateway sees those it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Network {
    /// What stands between.
    #[n(0)]
    pub nat: Nat,
    /// Whether UDP gets out; `None` until it was tried.
    #[n(1)]
    pub udp: Option<bool>,
    /// Whether it is reached over IPv6; `None` until it was tried.
    #[n(2)]
    pub ipv6: Option<bool>,
    /// Relays where it holds a reservation.
    #[n(3)]
    pub relays: u32,
    /// The router has opened a port for it.
    #[n(4)]
    pub mapped: bool,
}

/// What stands between a node and the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Nat {
    /// Not known.
    #[default]
    #[n(0)]
    Unknown,
    /// Nothing.
    #[n(1)]
    Open,
    /// Anyone may answer.
    #[n(2)]
    FullCone,
    /// One public port; whom it has called may answer.
    #[n(3)]
    Cone,
    /// Another public port for everyone.
    #[n(4)]
    Symmetric,
}

/// A GPU, as its driver describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Gpu {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Its memory.
    #[n(1)]
    pub memory: Memory,
    /// How busy it is, 0 to 100.
    #[n(2)]
    pub utilization_percent: Option<u32>,
    /// How warm it is.
    #[n(3)]
    pub temperature_celsius: Option<u32>,
    /// What it draws.
    #[n(4)]
    pub power_watts: Option<u32>,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Memory {
    /// All there is; 0 when unknown.
    #[n(0)]
    pub total: u64,
    /// Of it, taken.
    #[n(1)]
    pub used: u64,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// It answers.
    #[default]
    #[n(0)]
    Chat,
    /// It turns texts into vectors.
    #[n(1)]
    Embedding,
}

/// A model that a node serves, and how busy it is.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Offer {
    /// The model, by content.
    #[n(0)]
    pub model: ModelId,
    /// What people call it.
    #[n(1)]
    pub name: String,
    /// Tokens one slot holds.
    #[n(2)]
    pub context_tokens: u32,
    /// Jobs it runs at once.
    #[n(3)]
    pub slots: u32,
    /// Of these, free now.
    #[n(4)]
    pub slots_free: u32,
    /// Measured, for one answer; 0 until known.
    #[n(5)]
    pub decode_tokens_per_second: f32,
    /// Measured; 0 until known.
    #[n(6)]
    pub prefill_tokens_per_second: f32,
    /// The tiny model that is only there to show that all works.
    #[n(7)]
    pub demo: bool,
    /// What it is for.
    #[n(8)]
    #[cbor(default)]
    pub kind: Kind,
    /// Numbers in one of its vectors; 0 for a chat model.
    #[n(9)]
    #[cbor(default)]
    pub dimensions: u32,
    /// What it computes on, in words.
    #[n(10)]
    #[cbor(default)]
    pub device: String,
    /// Memory that it takes on that device, in bytes; 0 when unknown.
    #[n(11)]
    #[cbor(default)]
    pub memory_bytes: u64,
    /// Labels of the conversations whose prefix need not be computed again; see [`Chat::prefixes`](super::Chat).
    #[n(12)]
    #[cbor(default)]
    pub prefixes: Vec<u64>,
    /// Tokens given per second lately, all slots together.
    #[n(13)]
    #[cbor(default)]
    pub throughput_tokens_per_second: f32,
    /// How often its engine had to be started again.
    #[n(14)]
    #[cbor(default)]
    pub restarts: u32,
    /// Why it is not served right now, or what happened last; empty when all is well.
    #[n(15)]
    #[cbor(default)]
    pub trouble: String,
}

impl Status {
    /// Checks what the frame's length does not bound.
    ///
    /// # Errors
    /// Names the first field beyond its limit.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (field, text) in [("name", &self.name), ("version", &self.version), ("device", &self.device)] {
            at_most(field, text.len(), limits::MAX_LABEL_BYTES)?;
        }
        at_most("warning", self.warning.len(), limits::MAX_REASON_BYTES)?;
        at_most("gpus", self.gpus.len(), limits::MAX_GPUS)?;
        for gpu in &self.gpus {
            at_most("gpus.name", gpu.name.len(), limits::MAX_LABEL_BYTES)?;
        }
        at_most("offers", self.offers.len(), limits::MAX_OFFERS)?;
        self.offers.iter().try_for_each(Offer::validate)?;
        at_most("loadable", self.loadable.len(), limits::MAX_LOADABLE)?;
        self.loadable.iter().try_for_each(Loadable::validate)?;
        let seconds = self.paused.and_then(|paused| paused.seconds).unwrap_or(0);
        at_most("paused.seconds", seconds as usize, limits::MAX_PAUSE_SECONDS as usize)
    }
}

impl Loadable {
    /// A model of which nothing is known but its name.
    pub fn new(model: ModelId, name: impl Into<String>) -> Self {
        let (kind, name, trouble) = (Kind::Chat, name.into(), String::new());
        Self { model, name, kind, context_tokens: 0, dimensions: 0, bytes: 0, loading: None, seconds: 0, trouble }
    }

    fn validate(&self) -> Result<(), Invalid> {
        at_most("loadable.name", self.name.len(), limits::MAX_MODEL_NAME_BYTES)?;
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return Err(invalid("loadable.name", "must be printable text"));
        }
        at_most("loadable.dimensions", self.dimensions as usize, limits::MAX_DIMENSIONS)?;
        at_most("loadable.loading", self.loading.unwrap_or(0) as usize, limits::WHOLE_LOAD as usize)?;
        at_most("loadable.seconds", self.seconds as usize, limits::MAX_LOAD_SECONDS as usize)?;
        at_most("loadable.trouble", self.trouble.len(), limits::MAX_REASON_BYTES)
    }
}

impl Offer {
    /// A model of which nothing is known yet.
    pub fn new(model: ModelId, name: impl Into<String>) -> Self {
        Self {
            model,
            name: name.into(),
            context_tokens: 0,
            slots: 0,
            slots_free: 0,
            decode_tokens_per_second: 0.0,
            prefill_tokens_per_second: 0.0,
            demo: false,
            kind: Kind::Chat,
            dimensions: 0,
            device: String::new(),
            memory_bytes: 0,
            prefixes: vec![],
            throughput_tokens_per_second: 0.0,
            restarts: 0,
            trouble: String::new(),
        }
    }

    fn validate(&self) -> Result<(), Invalid> {
        at_most("offers.name", self.name.len(), limits::MAX_MODEL_NAME_BYTES)?;
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return Err(invalid("offers.name", "must be printable text"));
        }
        at_most("offers.slots", self.slots as usize, limits::MAX_SLOTS as usize)?;
        at_most("offers.slots_free", self.slots_free as usize, self.slots as usize)?;
        at_most("offers.dimensions", self.dimensions as usize, limits::MAX_DIMENSIONS)?;
        at_most("offers.device", self.device.len(), limits::MAX_LABEL_BYTES)?;
        at_most("offers.prefixes", self.prefixes.len(), limits::MAX_HELD_PREFIXES)?;
        at_most("offers.trouble", self.trouble.len(), limits::MAX_REASON_BYTES)?;
        let speeds = [self.decode_tokens_per_second, self.prefill_tokens_per_second, self.throughput_tokens_per_second];
        for speed in speeds {
            within("offers.tokens_per_second", Some(speed), 0.0, f32::MAX)?;
        }
        Ok(())
    }
}
