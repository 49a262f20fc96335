//! The indexes of those people whose memories are asked for now: one for each person and model, made of the database
//! when it is first needed, and dropped when it was not needed for a while or others need the room.
//!
//! Searching and building happen on threads of their own. Before each search an index reads what came since the last
//! one; what is gone from the database it learns of when it was found and is not there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use starling_index::{Hit, Index, Vector};
use starling_protocol::ModelId;
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore},
    task::spawn_blocking,
    time::Instant,
};

use crate::{
    choice::Choice,
    id::{MemoryId, UserId},
    life::Life,
    store::{Store, StoreError},
};

/// Vectors that are read from the database at once.
const PAGE: i64 = 2_000;
/// Searches and loads at once: more than the machine has cores for would only slow each other.
const THREADS: usize = 2;
/// Vectors that a graph takes in before it lets others compute for as long as that took: it is never in a hurry.
const STEP: usize = 64;
/// An index that nobody has asked for this long is dropped.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// All that are in memory. Cheap to clone.
#[derive(Clone)]
pub(super) struct Indexes(Arc<Parts>);

struct Parts {
    store: Store,
    budget: usize,
    life: Life,
    slots: Mutex<HashMap<(UserId, ModelId), Arc<Slot>>>,
    threads: Arc<Semaphore>,
    /// One graph is built at a time.
    building: Arc<Semaphore>,
}

struct Slot {
    user: UserId,
    model: ModelId,
    index: RwLock<Index>,
    /// The place of the last vector that it has read.
    read: AsyncMutex<i64>,
    used: Mutex<Instant>,
    /// A graph of it is being built.
    builds: AtomicBool,
}

impl Indexes {
    /// They take so many bytes at most.
    pub(super) fn new(store: Store, budget: usize, life: Life) -> Self {
        let (threads, building) = (Arc::new(Semaphore::new(THREADS)), Arc::new(Semaphore::new(1)));
        Self(Arc::new(Parts { store, budget, life, slots: Mutex::default(), threads, building }))
    }

    /// The nearest of a user's vectors of a model. A caller that gives up leaves an index behind that others can use.
    pub(super) async fn search(
        &self,
        user: UserId,
        model: &Choice,
        query: &Vector,
        count: usize,
    ) -> Result<Vec<Hit>, StoreError> {
        let slot = self.slot(user, model);
        let (indexes, fresh) = (self.clone(), Arc::clone(&slot));
        let reading = self.0.life.tasks.spawn(async move { indexes.read_on(&fresh).await });
        reading.await.unwrap_or(Ok(()))?;
        let query = query.clone();
        Ok(self.on_a_thread(move || slot.read(|index| index.search(&query, count))).await.unwrap_or_default())
    }

    /// These are not to be found any more, in whatever index they are.
    pub(super) fn forget(&self, user: UserId, ids: &[MemoryId]) {
        for slot in self.of(user) {
            slot.write(|index| ids.iter().for_each(|id| _ = index.remove(id.key())));
        }
    }

    /// All of a user's are dropped.
    pub(super) fn drop_all(&self, user: UserId) {
        self.with(|slots| slots.retain(|(owner, _), _| *owner != user));
    }

    /// Those that nobody asks for are dropped.
    pub(super) fn drop_idle(&self) {
        self.with(|slots| slots.retain(|_, slot| slot.used().elapsed() < IDLE));
    }

    fn of(&self, user: UserId) -> Vec<Arc<Slot>> {
        self.with(|slots| slots.values().filter(|slot| slot.user == user).cloned().collect())
    }

    fn slot(&self, user: UserId, model: &Choice) -> Arc<Slot> {
        let new = || Arc::new(Slot::new(user, model));
        let slot = self.with(|slots| Arc::clone(slots.entry((user, model.id)).or_insert_with(new)));
        *lock(&slot.used) = Instant::now();
        slot
    }

    /// Reads what has come to the database since the last time.
    async fn read_on(&self, slot: &Arc<Slot>) -> Result<(), StoreError> {
        let mut read = slot.read.lock().await;
        loop {
            let page = self.0.store.vectors_behind(slot.user, slot.model, *read, PAGE).await?;
            let Some(last) = page.last().map(|placed| placed.place) else { break };
            let (whole, taking, budget) = (page.len() < PAGE as usize, Arc::clone(slot), self.0.budget);
            let take = move || {
                taking.write(|index| {
                    for placed in page {
                        // What does not fit is not found: few models make vectors so long that this happens.
                        if index.bytes() < budget {
                            index.insert(placed.id.key(), placed.vector);
                        }
                    }
                });
            };
            self.on_a_thread(take).await;
            *read = last;
            self.make_room(slot);
            if whole || self.0.life.drain.is_cancelled() {
                break;
            }
        }
        drop(read);
        self.build_if_needed(slot);
        Ok(())
    }

    /// Drops those that were not used for longest until all fit.
    fn make_room(&self, for_this: &Arc<Slot>) {
        self.with(|slots| {
            while slots.values().map(|slot| slot.read(Index::bytes)).sum::<usize>() > self.0.budget {
                let others = slots.iter().filter(|(_, slot)| !Arc::ptr_eq(slot, for_this));
                let Some(oldest) = others.min_by_key(|(_, slot)| slot.used()).map(|(key, _)| *key) else { return };
                slots.remove(&oldest);
            }
        });
    }

    /// Many vectors get a graph, in the background, where there is room for it.
    fn build_if_needed(&self, slot: &Arc<Slot>) {
        let fits = |index: &Index| index.needs_graph() && index.bytes_with_graph() <= self.0.budget;
        if !slot.read(fits) || slot.builds.swap(true, Ordering::Relaxed) {
            return;
        }
        let (indexes, slot) = (self.clone(), Arc::clone(slot));
        let build = async move {
            let Ok(_one) = indexes.0.building.acquire().await else { return };
            let (building, stop) = (Arc::clone(&slot), indexes.0.life.drain.clone());
            let built = spawn_blocking(move || building.build(&|| stop.is_cancelled())).await;
            slot.builds.store(false, Ordering::Relaxed);
            if built.is_ok() {
                indexes.make_room(&slot);
            }
        };
        // Nobody waits for it: when the gateway stops, it ends at the next step.
        tokio::spawn(build);
    }

    async fn on_a_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _one = self.0.threads.acquire().await.ok()?;
        spawn_blocking(work).await.ok()
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<(UserId, ModelId), Arc<Slot>>) -> T) -> T {
        look(&mut lock(&self.0.slots))
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.with(|slots| slots.len())
    }
}

impl Slot {
    fn new(user: UserId, model: &Choice) -> Self {
        Self {
            user,
            model: model.id,
            index: RwLock::new(Index::new(model.dimensions as usize)),
            read: AsyncMutex::new(0),
            used: Mutex::new(Instant::now()),
            builds: AtomicBool::new(false),
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn used(&self) -> Instant {
        *lock(&self.used)
    }

    /// Takes as long in rest as in work: answers go before.
    fn build(&self, stop: &dyn Fn() -> bool) {
        let mut building = self.read(Index::begin_graph);
        loop {
            let began = std::time::Instant::now();
            if building.step(STEP) {
                break;
            }
            if stop() {
                return;
            }
            std::thread::sleep(began.elapsed());
        }
        self.write(|index| index.adopt(building));
    }
}

/// Each lock is held for one look or change, which a panic cannot leave half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{tests::store, users::Role};

    const DIMENSIONS: u32 = 8;

    fn model(number: u8) -> Choice {
        Choice { id: ModelId::new([number; 32]), name: format!("model {number}"), dimensions: DIMENSIONS }
    }

    /// A direction between the first axis and another.
    fn vector(at: usize, away: f32) -> Vector {
        let mut values = [0.0; DIMENSIONS as usize];
        (values[0], values[1 + at % 7]) = (1.0, away);
        Vector::new(&values).unwrap()
    }

    async fn user(store: &Store, name: &str) -> UserId {
        store.create_user(name, "hash", Role::User).await.unwrap().id
    }

    /// Facts of a user that lie ever further from the first axis, read by a model.
    async fn facts(store: &Store, user: UserId, model: &Choice, count: usize) -> Vec<MemoryId> {
        let mut ids = vec![];
        for number in 0..count {
            ids.push(store.add_fact(user, &format!("fact {number}").into()).await.unwrap().unwrap().id);
        }
        let unread = store.to_embed(model.id, 1_000).await.unwrap();
        let made: Vec<_> =
            unread.into_iter().enumerate().map(|(at, unread)| (unread, Some(vector(at, at as f32 / 10.0)))).collect();
        store.keep_vectors(model.id, &made).await.unwrap();
        ids
    }

    fn keys(hits: &[Hit]) -> Vec<MemoryId> {
        hits.iter().map(|hit| MemoryId::of_key(hit.key)).collect()
    }

    #[tokio::test]
    async fn it_is_made_of_the_database_and_reads_on() {
        let (store, _dir) = store().await;
        let user = user(&store, "a").await;
        let ids = facts(&store, user, &model(1), 5).await;
        let indexes = Indexes::new(store.clone(), 1 << 20, Life::default());
        let near = async |count| keys(&indexes.search(user, &model(1), &vector(0, 0.0), count).await.unwrap());
        assert_eq!(near(3).await, ids[..3]);
        let new = facts(&store, user, &model(1), 1).await;
        assert!(near(10).await.contains(&new[0]), "what came since then");
        indexes.forget(user, &ids[..1]);
        assert!(!near(10).await.contains(&ids[0]));
    }

    #[tokio::test]
    async fn neither_another_person_nor_another_model_is_found() {
        let (store, _dir) = store().await;
        let (a, b) = (user(&store, "a").await, user(&store, "b").await);
        let indexes = Indexes::new(store.clone(), 1 << 20, Life::default());
        let of_a = facts(&store, a, &model(1), 3).await;
        let of_b = facts(&store, b, &model(1), 3).await;
        let find = async |user, model| keys(&indexes.search(user, &model, &vector(0, 0.0), 10).await.unwrap());
        assert_eq!((find(a, model(1)).await.len(), find(a, model(2)).await.len()), (3, 0));
        assert!(find(b, model(1)).await.iter().all(|id| of_b.contains(id) && !of_a.contains(id)));
        // Another model has read it all anew.
        let unread = store.to_embed(model(2).id, 100).await.unwrap();
        let made: Vec<_> = unread.into_iter().map(|unread| (unread, Some(vector(1, 1.0)))).collect();
        store.keep_vectors(model(2).id, &made).await.unwrap();
        assert_eq!(find(a, model(2)).await.len(), 3);
    }

    #[tokio::test]
    async fn who_has_not_asked_for_longest_makes_room() {
        let (store, _dir) = store().await;
        let (a, b) = (user(&store, "a").await, user(&store, "b").await);
        for user in [a, b] {
            facts(&store, user, &model(1), 20).await;
        }
        let one = 20 * Index::row_bytes(DIMENSIONS as usize);
        let indexes = Indexes::new(store.clone(), one + one / 2, Life::default());
        for user in [a, b, a] {
            assert_eq!(indexes.search(user, &model(1), &vector(0, 0.0), 50).await.unwrap().len(), 20);
            assert_eq!(indexes.count(), 1);
        }
        indexes.drop_all(b);
        assert_eq!(indexes.count(), 1);
        indexes.drop_all(a);
        assert_eq!(indexes.count(), 0);
        // What is too large for all of the room is found as far as it fits.
        let small = Indexes::new(store.clone(), one / 2, Life::default());
        let found = small.search(a, &model(1), &vector(0, 0.0), 50).await.unwrap().len();
        assert!((5..20).contains(&found), "{found}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_that_nobody_asks_for_is_dropped() {
        let (store, _dir) = store_in_real_time().await;
        let indexes = Indexes::new(store, 1 << 20, Life::default());
        indexes.slot(UserId::generate(), &model(1));
        indexes.drop_idle();
        assert_eq!(indexes.count(), 1);
        tokio::time::advance(IDLE).await;
        indexes.drop_idle();
        assert_eq!(indexes.count(), 0);
    }

    /// A paused clock runs on while a database is opened.
    async fn store_in_real_time() -> (Store, tempfile::TempDir) {
        tokio::time::resume();
        let made = store().await;
        tokio::time::pause();
        made
    }
}
