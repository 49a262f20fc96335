//! What a runner shows of itself, level by level. It is looked at after every step, so nothing here is costly while
//! nothing changes.

use tokio::sync::watch;

use super::meter::Meter;
use crate::engine::Engine;
use crate::handle::Load;

/// Measured speeds, and the labels of what the engine holds.
#[derive(Default)]
pub(super) struct Board {
    pub(super) meter: Meter,
    /// Whether the engine may hold something else than it did.
    pub(super) held_changed: bool,
    held: Vec<u64>,
}

impl Board {
    /// Shows how it is now, with so many answers running. Whoever watches is woken only by a change.
    pub(super) fn show(&mut self, engine: &dyn Engine, running: usize, load: &watch::Sender<Load>) {
        if std::mem::take(&mut self.held_changed) {
            self.held.clear();
            engine.held(&mut self.held);
        }
        if running == 0 {
            self.meter.rest();
        }
        let (slots, running) = (engine.info().slots, u32::try_from(running).unwrap_or(u32::MAX));
        let (meter, held) = (&self.meter, &self.held);
        load.send_if_modified(|shown| {
            let mut changed = set(&mut shown.running, running);
            changed |= set(&mut shown.slots_free, slots.saturating_sub(running));
            changed |= set(&mut shown.prefill_tokens_per_second, meter.prefill());
            changed |= set(&mut shown.decode_tokens_per_second, meter.decode());
            changed |= set(&mut shown.throughput_tokens_per_second, meter.throughput());
            if *shown.prefixes != **held {
                shown.prefixes = held.as_slice().into();
                changed = true;
            }
            changed
        });
    }
}

/// Puts a new value in its place; says whether it differs.
fn set<T: PartialEq>(place: &mut T, value: T) -> bool {
    let differs = *place != value;
    *place = value;
    differs
}
