//! Which models are loaded on demand and which of them make room: a state machine without a clock, a process or a
//! driver.
//!
//! One model is loaded at a time, since two that are loaded at once would both be told of the same free memory. What
//! makes room are models that nobody uses, the one that was used least recently first.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use starling_protocol::ModelId;

/// The models, each with an engine of kind `E` while it is loaded.
#[derive(Debug)]
pub(super) struct State<E> {
    models: BTreeMap<ModelId, Entry<E>>,
    /// A model that nobody has used for so long is unloaded.
    keep: Duration,
    /// Bytes that all of them together may take.
    limit: u64,
}

#[derive(Debug)]
struct Entry<E> {
    /// What it needs at the least.
    memory_bytes: u64,
    /// Jobs that wait for it or have it.
    users: u32,
    stage: Stage<E>,
}

#[derive(Debug)]
enum Stage<E> {
    Away,
    Loading,
    Here {
        engine: E,
        /// What it takes.
        bytes: u64,
        /// When somebody began or ended using it last.
        used: Instant,
    },
}

/// What becomes of a job that wants a model.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict<E> {
    /// It is here.
    Here(E),
    /// It is being loaded already.
    Comes,
    /// It has to be loaded now; these go first.
    Load { gone: Vec<E> },
    /// Another model is being loaded, or those that run answers leave no room.
    Busy,
    /// There is no room for it, whoever goes.
    NoRoom,
}

impl<E: Clone> State<E> {
    /// None of these is loaded; each comes with the memory that it needs, in bytes.
    pub(super) fn new(models: impl IntoIterator<Item = (ModelId, u64)>, keep: Duration, limit: u64) -> Self {
        let away = |(model, memory_bytes)| (model, Entry { memory_bytes, users: 0, stage: Stage::Away });
        Self { models: models.into_iter().map(away).collect(), keep, limit }
    }

    /// A job wants a model, while `free` bytes are free. Unless the verdict is `Busy` or `NoRoom` it is a user from
    /// now on. None: there is no such model.
    pub(super) fn want(&mut self, model: ModelId, free: u64, now: Instant) -> Option<Verdict<E>> {
        let verdict = match &self.models.get(&model)?.stage {
            Stage::Here { engine, .. } => Verdict::Here(engine.clone()),
            Stage::Loading => Verdict::Comes,
            Stage::Away if self.loading().is_some() => Verdict::Busy,
            Stage::Away => self.make_room_for(model, free),
        };
        let entry = self.models.get_mut(&model)?;
        match &verdict {
            Verdict::Busy | Verdict::NoRoom => return Some(verdict),
            Verdict::Load { .. } => entry.stage = Stage::Loading,
            Verdict::Here(_) | Verdict::Comes => {}
        }
        entry.users += 1;
        entry.touch(now);
        Some(verdict)
    }

    /// A user is one no longer.
    pub(super) fn release(&mut self, model: ModelId, now: Instant) {
        if let Some(entry) = self.models.get_mut(&model) {
            entry.users = entry.users.saturating_sub(1);
            entry.touch(now);
        }
    }

    /// The load has ended well.
    pub(super) fn loaded(&mut self, model: ModelId, engine: E, bytes: u64, now: Instant) {
        if let Some(entry) = self.models.get_mut(&model) {
            entry.stage = Stage::Here { engine, bytes: bytes.max(entry.memory_bytes), used: now };
        }
    }

    /// It has failed, or the engine is lost for good.
    pub(super) fn lost(&mut self, model: ModelId) {
        if let Some(entry) = self.models.get_mut(&model) {
            entry.stage = Stage::Away;
        }
    }

    /// The engine found less memory than was thought: takes out the least recently used, if one may go.
    pub(super) fn make_room(&mut self) -> Option<E> {
        let model = *self.idle().first()?;
        self.take(model)
    }

    /// Whether there is anything that nobody has used for long.
    pub(super) fn is_any_over(&self, now: Instant) -> bool {
        self.idle().iter().any(|model| self.idle_for(model, now) >= self.keep)
    }

    /// Takes out what nobody has used for long.
    pub(super) fn unload_idle(&mut self, now: Instant) -> Vec<E> {
        let keep = self.keep;
        let over: Vec<ModelId> = self.idle().into_iter().filter(|model| self.idle_for(model, now) >= keep).collect();
        over.into_iter().filter_map(|model| self.take(model)).collect()
    }

    /// Takes out all of them, also those that are used.
    pub(super) fn unload_all(&mut self) -> Vec<E> {
        let here: Vec<ModelId> = self.models.keys().copied().collect();
        here.into_iter().filter_map(|model| self.take(model)).collect()
    }

    /// The engines that are here.
    pub(super) fn engines(&self) -> impl Iterator<Item = (&ModelId, &E)> {
        self.models.iter().filter_map(|(model, entry)| match &entry.stage {
            Stage::Here { engine, .. } => Some((model, engine)),
            Stage::Away | Stage::Loading => None,
        })
    }

    /// The model that is being loaded.
    pub(super) fn loading(&self) -> Option<ModelId> {
        let mut loading = self.models.iter().filter(|(_, entry)| matches!(entry.stage, Stage::Loading));
        loading.next().map(|(model, _)| *model)
    }

    /// Those that nobody uses, the least recently used first.
    fn idle(&self) -> Vec<ModelId> {
        let mut idle: Vec<(Instant, ModelId)> = vec![];
        for (model, entry) in self.models.iter().filter(|(_, entry)| entry.users == 0) {
            if let Stage::Here { used, .. } = entry.stage {
                idle.push((used, *model));
            }
        }
        idle.sort();
        idle.into_iter().map(|(_, model)| model).collect()
    }

    fn idle_for(&self, model: &ModelId, now: Instant) -> Duration {
        match self.models.get(model).map(|entry| &entry.stage) {
            Some(Stage::Here { used, .. }) => now.saturating_duration_since(*used),
            _ => Duration::ZERO,
        }
    }

    fn make_room_for(&mut self, model: ModelId, free: u64) -> Verdict<E> {
        let need = self.models.get(&model).map_or(0, |entry| entry.memory_bytes);
        let taken: u64 = self.models.values().map(Entry::bytes).sum();
        let fits = |given_back: u64| {
            let left = self.limit.saturating_sub(taken.saturating_sub(given_back));
            need <= left && need <= free.saturating_add(given_back)
        };
        if !fits(taken) {
            return Verdict::NoRoom;
        }
        let (mut going, mut given_back) = (vec![], 0);
        for idle in self.idle() {
            if fits(given_back) {
                break;
            }
            given_back += self.models.get(&idle).map_or(0, Entry::bytes);
            going.push(idle);
        }
        if !fits(given_back) {
            return Verdict::Busy;
        }
        Verdict::Load { gone: going.into_iter().filter_map(|model| self.take(model)).collect() }
    }

    fn take(&mut self, model: ModelId) -> Option<E> {
        let entry = self.models.get_mut(&model)?;
        match std::mem::replace(&mut entry.stage, Stage::Away) {
            Stage::Here { engine, .. } => Some(engine),
            stage => {
                entry.stage = stage;
                None
            }
        }
    }
}

impl<E> Entry<E> {
    fn touch(&mut self, now: Instant) {
        if let Stage::Here { used, .. } = &mut self.stage {
            *used = now;
        }
    }

    fn bytes(&self) -> u64 {
        match self.stage {
            Stage::Here { bytes, .. } => bytes,
            Stage::Away | Stage::Loading => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(600);
    const SECOND: Duration = Duration::from_secs(1);

    fn id(number: u8) -> ModelId {
        ModelId::new([number; 32])
    }

    /// Models 1 to 4 of 10 bytes each; their engines are their numbers.
    fn state(limit: u64) -> State<u8> {
        State::new((1..=4).map(|number| (id(number), 10)), KEEP, limit)
    }

    /// Loads a model, and says who went for it.
    #[track_caller]
    fn load(state: &mut State<u8>, number: u8, now: Instant) -> Vec<u8> {
        let Some(Verdict::Load { gone }) = state.want(id(number), 1000, now) else { panic!("{number} is not loaded") };
        state.loaded(id(number), number, 10, now);
        gone
    }

    #[test]
    fn a_model_is_loaded_once_however_many_want_it() {
        let (mut state, now) = (state(100), Instant::now());
        assert_eq!(state.want(id(1), 1000, now), Some(Verdict::Load { gone: vec![] }));
        assert_eq!(state.want(id(1), 1000, now), Some(Verdict::Comes));
        assert_eq!(state.loading(), Some(id(1)));
        assert_eq!(state.want(id(2), 1000, now), Some(Verdict::Busy), "one load at a time");
        assert_eq!(state.want(id(9), 1000, now), None);
        state.loaded(id(1), 1, 10, now);
        assert_eq!(state.want(id(1), 0, now), Some(Verdict::Here(1)));
        assert_eq!(state.engines().map(|(_, engine)| *engine).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn the_least_recently_used_goes_and_never_one_that_is_used() {
        let (mut state, start) = (state(20), Instant::now());
        load(&mut state, 1, start);
        load(&mut state, 2, start);
        assert_eq!(state.want(id(3), 1000, start), Some(Verdict::Busy), "both are used");
        state.release(id(2), start + SECOND);
        state.release(id(1), start + 2 * SECOND);
        assert_eq!(load(&mut state, 3, start + 3 * SECOND), [2], "the other was used later");
        state.release(id(3), start + 3 * SECOND);
        // 1 is used again, so that 3 is the only one that may go.
        assert_eq!(state.want(id(1), 1000, start + 4 * SECOND), Some(Verdict::Here(1)));
        assert_eq!(load(&mut state, 4, start + 5 * SECOND), [3]);
    }

    #[test]
    fn free_memory_counts_as_well_as_the_owners_limit() {
        let (mut state, now) = (state(1000), Instant::now());
        assert_eq!(state.want(id(1), 9, now), Some(Verdict::NoRoom));
        assert_eq!(state.want(id(1), 10, now), Some(Verdict::Load { gone: vec![] }));
        state.loaded(id(1), 1, 10, now);
        assert_eq!(state.want(id(2), 5, now), Some(Verdict::Busy), "with the first one gone there is room");
        state.release(id(1), now);
        assert_eq!(state.want(id(2), 5, now), Some(Verdict::Load { gone: vec![1] }));
        let mut narrow = self::state(9);
        assert_eq!(narrow.want(id(1), 1000, now), Some(Verdict::NoRoom));
    }

    #[test]
    fn what_nobody_uses_is_unloaded_after_a_while_and_what_is_used_is_not() {
        let (mut state, start) = (state(100), Instant::now());
        load(&mut state, 1, start);
        load(&mut state, 2, start);
        assert!(state.unload_idle(start + 2 * KEEP).is_empty(), "both are used");
        state.release(id(1), start + 2 * KEEP);
        assert!(state.unload_idle(start + 3 * KEEP - SECOND).is_empty());
        assert_eq!(state.unload_idle(start + 3 * KEEP), [1]);
        assert!(load(&mut state, 1, start + 3 * KEEP).is_empty(), "and can be loaded again");
    }

    #[test]
    fn all_of_them_can_be_unloaded_and_their_users_leave_later() {
        let (mut state, now) = (state(100), Instant::now());
        load(&mut state, 1, now);
        load(&mut state, 2, now);
        assert_eq!(state.unload_all(), [1, 2]);
        assert_eq!(state.engines().count(), 0);
        state.release(id(1), now);
        load(&mut state, 1, now);
        state.release(id(1), now);
        assert_eq!(state.make_room(), Some(1), "nobody is counted twice");
    }

    #[test]
    fn a_load_that_fails_leaves_nothing_behind() {
        let (mut state, now) = (state(20), Instant::now());
        state.want(id(1), 1000, now);
        state.lost(id(1));
        state.release(id(1), now);
        state.release(id(1), now);
        assert_eq!((state.loading(), state.engines().count()), (None, 0));
        load(&mut state, 1, now);
        state.release(id(1), now);
        assert_eq!(state.make_room(), Some(1));
        assert_eq!(state.make_room(), None);
    }
}
