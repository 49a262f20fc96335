//! Streamed answers that outlive their connection, for clients that ask for it.
//!
//! A client that goes away wants no more, as everywhere in this API, unless it has said otherwise with the header
//! `x-starling-resumable: true`. Then a task of the gateway reads the answer onto a [`Tape`], and the client reads the
//! tape: if its connection breaks it has a few seconds to ask for the events behind the last it has seen. What nobody
//! has read yet is bounded, and so the node waits for a slow reader; what was read is kept for a while, since
//! written does not mean arrived.
//!
//! A gateway that is told to stop while others share its Redis leaves there what it takes to go on (`handover`), and the
//! one that is asked for more goes on with it.

mod handover;
mod tape;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::tape::Look;
pub(super) use self::{
    handover::{Handover, Origin, find, give_back},
    tape::Tape,
};
use super::{choices::Kept, flow::Flow};
use crate::{api::error::ApiError, app::App, cache::Cache, id::UserId, life::Life};

/// How long an answer goes on without its reader, and how long a whole one is kept.
const GRACE: Duration = Duration::from_secs(15);
/// Resumable answers of one user, running or kept.
const MAX_PER_USER: usize = 8;
/// Of all users: with two MiB each, 128 MiB at the worst.
const MAX_TAPES: usize = 64;

/// The answers that can be asked for again, by their id. Cheap to clone.
///
/// The lock is held for a look into the map and never while anything is awaited.
#[derive(Clone, Default)]
pub struct Tapes {
    running: Arc<Mutex<HashMap<String, Arc<Shared>>>>,
    /// Another gateway goes on with them.
    leave: CancellationToken,
}

/// An answer that is to be recorded: whose, what gives it, and where it came from.
pub(super) struct Recording {
    pub(super) owner: UserId,
    pub(super) flow: Flow,
    pub(super) origin: Origin,
}

/// What recording takes.
struct Means {
    cache: Cache,
    life: Life,
    leave: CancellationToken,
}

/// One answer, between the task that records it and who reads it.
struct Shared {
    owner: UserId,
    tape: watch::Sender<Tape>,
    /// The reader has made room.
    room: Notify,
    /// Since when nobody reads.
    alone_since: watch::Sender<Option<Instant>>,
}

/// A tape's place among all; dropping it makes room for another.
struct Place {
    tapes: Tapes,
    id: String,
}

impl Tapes {
    /// Other gateways go on with what is recorded here.
    pub fn hand_over(&self) {
        self.leave.cancel();
    }

    /// Records an answer behind what is on a tape of it, and follows it from behind number `seen`.
    ///
    /// # Errors
    /// When there are as many as may be, or those events are gone.
    pub(super) fn record(
        &self,
        app: &App,
        recording: Recording,
        tape: Tape,
        seen: u64,
    ) -> Result<impl Stream<Item = (u64, String)> + Send + use<>, ApiError> {
        let Recording { owner, flow, origin } = recording;
        let id = flow.id().to_owned();
        let (tape, alone_since) = (watch::Sender::new(tape), watch::Sender::new(None));
        let shared = Arc::new(Shared { owner, tape, room: Notify::new(), alone_since });
        let reader = Reader::new(&shared, seen)?;
        self.with(|tapes| {
            let of_user = tapes.values().filter(|tape| tape.owner == owner).count();
            if of_user >= MAX_PER_USER || tapes.len() >= MAX_TAPES {
                return Err(ApiError::TooManyResumable);
            }
            tapes.insert(id.clone(), Arc::clone(&shared));
            Ok(())
        })?;
        let place = Place { tapes: self.clone(), id };
        let means = Means { cache: app.cache.clone(), life: app.life.clone(), leave: self.leave.clone() };
        app.life.tasks.spawn(record(shared, flow, origin, place, means));
        Ok(reader.events())
    }

    /// The events of a user's answer behind number `seen`. Whoever read it before reads no more.
    ///
    /// # Errors
    /// When there is no such answer, or not these events of it.
    pub(super) fn follow(
        &self,
        owner: UserId,
        id: &str,
        seen: u64,
    ) -> Result<impl Stream<Item = (u64, String)> + Send + use<>, ApiError> {
        let found = self.with(|tapes| tapes.get(id).filter(|tape| tape.owner == owner).cloned());
        Ok(Reader::new(&found.ok_or(ApiError::NoSuchCompletion)?, seen)?.events())
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<String, Arc<Shared>>) -> T) -> T {
        // A panic under the lock cannot leave the map half changed: each use is one insert or remove.
        look(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tapes.with(|tapes| tapes.remove(&self.id));
    }
}

/// From the node onto the tape, until the answer has ended or nobody wants it any more.
async fn record(shared: Arc<Shared>, mut flow: Flow, origin: Origin, _place: Place, means: Means) {
    let Means { cache, life, leave } = means;
    loop {
        let next = async {
            // At the gateway's end the answer has one more event, whether there is room or not.
            let _ = life.cancel.run_until_cancelled(shared.has_room()).await;
            flow.next().await
        };
        let event = tokio::select! {
            event = next => event,
            () = shared.abandoned() => return tracing::debug!("nobody has come back for an answer"),
            () = leave.cancelled() => {
                hand_over(&shared, flow, origin, &cache).await;
                return shared.tape.send_modify(Tape::end);
            }
        };
        let Some(event) = event else { break };
        shared.tape.send_modify(|tape| tape.push(event));
    }
    let id = flow.id().to_owned();
    drop(flow);
    shared.tape.send_modify(Tape::end);
    tokio::select! {
        () = shared.abandoned() => {}
        // A reader that is there has the tape; one that is not can come to another gateway.
        () = life.drain.cancelled() => leave_there(&shared, &id, origin, None, &cache).await,
    }
}

/// Leaves it to whichever gateway is asked for the rest. Its reader's connection ends without the answer's end, so that
/// nobody takes it for whole.
async fn hand_over(shared: &Shared, mut flow: Flow, origin: Origin, cache: &Cache) {
    let id = flow.id().to_owned();
    shared.tape.send_modify(|tape| flow.ready().for_each(|event| tape.push(event)));
    let kept = flow.kept();
    // What it has come to is counted when it is dropped.
    drop(flow);
    leave_there(shared, &id, origin, kept, cache).await;
}

async fn leave_there(shared: &Shared, id: &str, origin: Origin, kept: Option<Kept>, cache: &Cache) {
    if cache.others() == 0 {
        return;
    }
    let tape = shared.tape.borrow().events();
    if !handover::leave(cache, id, shared.owner, origin, kept, tape).await {
        tracing::debug!("an answer could not be handed over");
    }
}

impl Shared {
    async fn has_room(&self) {
        loop {
            let room = self.room.notified();
            if self.tape.borrow().has_room() {
                return;
            }
            room.await;
        }
    }

    /// Waits until nobody has read for the grace.
    async fn abandoned(&self) {
        let mut alone_since = self.alone_since.subscribe();
        loop {
            let since = *alone_since.borrow_and_update();
            let over = async {
                match since {
                    Some(since) => sleep_until(since + GRACE).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                // It cannot be closed: we hold the sender.
                _ = alone_since.changed() => {}
            }
        }
    }
}

/// Who reads a tape.
struct Reader {
    shared: Arc<Shared>,
    changes: watch::Receiver<Tape>,
    /// Which of its readers.
    turn: u64,
}

impl Reader {
    fn new(shared: &Arc<Shared>, seen: u64) -> Result<Self, ApiError> {
        let changes = shared.tape.subscribe();
        let mut turn = Err(ApiError::EventsGone);
        // Others are woken: the one before sees that it is not its turn any more.
        shared.tape.send_modify(|tape| turn = tape.rewind(seen).ok_or(ApiError::EventsGone));
        let turn = turn?;
        shared.alone_since.send_replace(None);
        Ok(Self { shared: Arc::clone(shared), changes, turn })
    }

    fn events(self) -> impl Stream<Item = (u64, String)> + Send {
        stream::unfold(self, |mut reader| async move { Some((reader.next().await?, reader)) })
    }

    async fn next(&mut self) -> Option<(u64, String)> {
        loop {
            let mut look = Look::End;
            self.changes.borrow_and_update();
            let turn = self.turn;
            self.shared.tape.send_if_modified(|tape| {
                look = tape.read(turn);
                false
            });
            match look {
                Look::Event(number, event) => {
                    self.shared.room.notify_one();
                    return Some((number, event));
                }
                Look::End => return None,
                Look::Nothing => self.changes.changed().await.ok()?,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.shared.tape.borrow().is_turn_of(self.turn) {
            self.shared.alone_since.send_replace(Some(Instant::now()));
        }
    }
}
