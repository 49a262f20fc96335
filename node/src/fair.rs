//! Slots shared between gateways: [`Fair`], a state machine without a clock, and [`Seats`], which has one.
//!
//! As long as there is room, whoever asks gets a slot. When a gateway that holds less than its share was refused,
//! those that hold more than theirs get none until it had its turn. A share is the slots divided by the gateways
//! that have wanted one lately, so a gateway that is alone, or alone in asking, has them all.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use starling_protocol::{ModelId, message::Refusal, swarm::PeerId};

use crate::engines::Served;

/// How long a wish counts.
const LATELY: Duration = Duration::from_secs(2);

/// The slots of all models that are served. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seats(Arc<Mutex<HashMap<ModelId, Fair>>>);

/// A slot's part of fairness: given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    model: ModelId,
    gateway: PeerId,
}

impl Seats {
    /// Lets the engine admit a job, where that is fair to the other gateways.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when it is not, or whatever the engine says.
    pub(crate) async fn admit<T>(
        &self,
        gateway: PeerId,
        served: &Served,
        admitted: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<(T, Seat), Refusal> {
        let (model, slots) = (served.id, served.engine.load().borrow().slots);
        if !self.with(model, |fair| fair.admit(gateway, slots, Instant::now())) {
            return Err(Refusal::Busy);
        }
        let seat = Seat { seats: self.clone(), model, gateway };
        let result = admitted.await;
        match &result {
            Ok(_) => self.with(model, |fair| fair.began(gateway)),
            Err(Refusal::Busy) => self.with(model, |fair| fair.was_full(gateway, Instant::now())),
            Err(_) => {}
        }
        Ok((result?, seat))
    }

    fn with<T>(&self, model: ModelId, look: impl FnOnce(&mut Fair) -> T) -> T {
        look(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(model).or_default())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.with(self.model, |fair| fair.ended(self.gateway));
    }
}

/// The slots of one model.
#[derive(Debug, Default)]
struct Fair {
    gateways: BTreeMap<PeerId, Gateway>,
}

#[derive(Debug, Default)]
struct Gateway {
    running: u32,
    wanted: Option<Instant>,
    /// Until it gets a slot.
    refused: Option<Instant>,
}

impl Fair {
    /// A gateway asks for one of so many slots. When it may have one it runs from now on, until
    /// [`ended`](Self::ended): also where there turns out to be no slot, see [`was_full`](Self::was_full).
    fn admit(&mut self, gateway: PeerId, slots: u32, now: Instant) -> bool {
        self.forget(now);
        self.gateways.entry(gateway).or_default().wanted = Some(now);
        let share = self.share(slots, now);
        let owed = self
            .gateways
            .iter()
            .any(|(peer, other)| *peer != gateway && other.running < share && is_lately(other.refused, now));
        let asking = self.gateways.entry(gateway).or_default();
        let fits = asking.running < share || !owed;
        if fits {
            asking.running += 1;
        } else {
            asking.refused = Some(now);
        }
        fits
    }

    /// What was admitted has a slot.
    fn began(&mut self, gateway: PeerId) {
        if let Some(gateway) = self.gateways.get_mut(&gateway) {
            gateway.refused = None;
        }
    }

    /// What was admitted found every slot taken.
    fn was_full(&mut self, gateway: PeerId, now: Instant) {
        if let Some(gateway) = self.gateways.get_mut(&gateway) {
            gateway.refused = Some(now);
        }
    }

    /// What was admitted is over.
    fn ended(&mut self, gateway: PeerId) {
        if let Some(gateway) = self.gateways.get_mut(&gateway) {
            gateway.running = gateway.running.saturating_sub(1);
        }
    }

    /// Rounded up: of three slots for two gateways each may have two while there is room.
    fn share(&self, slots: u32, now: Instant) -> u32 {
        let wanting = self.gateways.values().filter(|gateway| is_lately(gateway.wanted, now)).count();
        slots.div_ceil(u32::try_from(wanting).unwrap_or(u32::MAX).max(1)).max(1)
    }

    /// Only those that run or have asked lately are remembered.
    fn forget(&mut self, now: Instant) {
        self.gateways.retain(|_, gateway| gateway.running > 0 || is_lately(gateway.wanted, now));
    }
}

fn is_lately(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < LATELY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine of four slots that two gateways want.
    struct Node {
        fair: Fair,
        start: Instant,
        now: Instant,
        greedy: PeerId,
        modest: PeerId,
    }

    const SLOTS: u32 = 4;

    impl Node {
        fn new() -> Self {
            let start = Instant::now();
            let [greedy, modest] = [PeerId::random(), PeerId::random()];
            Self { fair: Fair::default(), start, now: start, greedy, modest }
        }

        fn running(&self) -> u32 {
            self.fair.gateways.values().map(|gateway| gateway.running).sum()
        }

        /// As the door does it: first fairness, then the engine.
        fn asks(&mut self, gateway: PeerId) -> bool {
            if !self.fair.admit(gateway, SLOTS, self.now) {
                return false;
            }
            if self.running() > SLOTS {
                self.fair.was_full(gateway, self.now);
                self.fair.ended(gateway);
                return false;
            }
            self.fair.began(gateway);
            true
        }

        fn later(&mut self, ms: u64) {
            self.now += Duration::from_millis(ms);
        }

        fn of(&self, gateway: PeerId) -> u32 {
            self.fair.gateways.get(&gateway).map_or(0, |gateway| gateway.running)
        }
    }

    #[test]
    fn one_gateway_alone_has_every_slot() {
        let mut node = Node::new();
        let greedy = node.greedy;
        for _ in 0..SLOTS {
            assert!(node.asks(greedy));
        }
        assert!(!node.asks(greedy));
        for _ in 0..100 {
            node.fair.ended(greedy);
            assert!(node.asks(greedy), "nobody else wants it");
            node.later(10);
        }
    }

    #[test]
    fn a_full_node_is_shared_as_slots_come_free() {
        let mut node = Node::new();
        let (greedy, modest) = (node.greedy, node.modest);
        for _ in 0..SLOTS {
            node.asks(greedy);
        }
        assert!(!node.asks(modest), "full");
        for turn in 1..=2 {
            node.fair.ended(greedy);
            node.later(100);
            assert!(!node.asks(greedy), "it holds more than its share, and the other waits");
            assert!(node.asks(modest), "turn {turn}");
            assert!(!node.asks(modest), "full again");
        }
        assert_eq!((node.of(greedy), node.of(modest)), (2, 2));
        node.fair.ended(modest);
        assert!(!node.asks(greedy), "it has its share, and the other was refused more");
        assert!(node.asks(modest));
    }

    #[test]
    fn a_gateway_that_has_left_holds_nothing_back_for_long() {
        let mut node = Node::new();
        let (greedy, modest) = (node.greedy, node.modest);
        for _ in 0..SLOTS {
            node.asks(greedy);
        }
        assert!(!node.asks(modest));
        node.fair.ended(greedy);
        assert!(!node.asks(greedy));
        node.later(LATELY.as_millis() as u64);
        assert!(node.asks(greedy), "the other has not come again");
        assert!(node.now > node.start);
        node.later(LATELY.as_millis() as u64);
        node.fair.forget(node.now);
        assert_eq!(node.fair.gateways.len(), 1, "who runs nothing and asks nothing is forgotten");
    }

    #[test]
    fn more_gateways_than_slots_get_one_each() {
        let mut node = Node::new();
        let mut many: Vec<PeerId> = (0..8).map(|_| PeerId::random()).collect();
        let mut served = BTreeMap::<PeerId, u32>::new();
        let mut held: Vec<PeerId> = vec![];
        for _ in 0..400 {
            for gateway in &many {
                if node.asks(*gateway) {
                    held.push(*gateway);
                    *served.entry(*gateway).or_default() += 1;
                }
            }
            // They come in another order each time.
            many.rotate_left(3);
            node.later(20);
            let ended = held.remove(0);
            node.fair.ended(ended);
        }
        let (least, most) = (served.values().min().unwrap(), served.values().max().unwrap());
        assert_eq!(served.len(), many.len());
        assert!(most - least <= 20, "{served:?}");
    }
}
