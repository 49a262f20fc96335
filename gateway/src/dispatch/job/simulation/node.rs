//! A node as it is, which is not as it says.

use std::collections::BTreeMap;

use starling_protocol::{
    ModelId,
    message::{Offer, Status},
    swarm::PeerId,
};

use super::events::{Attempt, Random};

/// Tokens of a piece.
pub(super) const PIECE: usize = 8;

pub(super) struct Node {
    pub(super) peer: PeerId,
    pub(super) slots: usize,
    /// A token takes so long.
    pub(super) token_ms: u64,
    /// Tokens a second that it claims.
    claims: f32,
    /// Of a hundred pieces, so many end in an error of its engine.
    pub(super) fails_percent: u64,
    pub(super) here: bool,
    pub(super) hangs: bool,
    pub(super) cut_off: bool,
    /// It is no member any more.
    pub(super) turned_out: bool,
    pub(super) life: u32,
    /// What it computes, and how many tokens of each answer it has.
    pub(super) computes: BTreeMap<Attempt, usize>,
}

impl Node {
    pub(super) fn new(number: u64, random: &mut Random, calm: bool) -> Self {
        let token_ms = 10 + random.below(120);
        let honest = 1_000.0 / token_ms as f32;
        Self {
            peer: peer(number),
            slots: 1 + random.below(4) as usize,
            token_ms,
            claims: if random.chance(20) { honest * 100.0 } else { honest },
            fails_percent: if calm { 0 } else { [0, 0, 0, 2][random.below(4) as usize] },
            here: false,
            hangs: false,
            cut_off: false,
            turned_out: false,
            life: 0,
            computes: BTreeMap::new(),
        }
    }

    /// Whether anything comes from it.
    pub(super) fn is_heard(&self) -> bool {
        self.here && !self.hangs && !self.cut_off && !self.turned_out
    }

    pub(super) fn status(&self, model: ModelId) -> Status {
        let (slots, free) = (self.slots as u32, (self.slots - self.computes.len().min(self.slots)) as u32);
        let offer = Offer { slots, slots_free: free, decode_tokens_per_second: self.claims, ..Offer::new(model, "m") };
        Status { name: "node".into(), offers: vec![offer], ..Status::default() }
    }
}

/// The same for the same number, in every run.
fn peer(number: u64) -> PeerId {
    let mut bytes = vec![0x12, 0x20];
    bytes.extend((0..4).flat_map(|part| super::events::mix(number * 4 + part + 1).to_be_bytes()));
    PeerId::from_bytes(&bytes).expect("a SHA-256 multihash")
}
