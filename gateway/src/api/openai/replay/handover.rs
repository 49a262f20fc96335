//! An answer on its way from a gateway that stops to the one that is asked for the rest, through the cache: the request as
//! it came, what there is of the answer, and the events that can still be asked for. It is taken once.

use std::time::Duration;

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use starling_protocol::ModelId;
use tokio::time::sleep;

use super::Tape;
use crate::{
    api::{
        error::ApiError,
        openai::{choices::Kept, head::Head},
    },
    app::App,
    cache::{
        Cache, Rate,
        log::{LogWriter, Place},
    },
    id::UserId,
};

/// Longer than an answer waits in the cache: it is taken by one gateway.
const TAKEN: Rate = Rate { burst: 1, refill: Duration::from_secs(600) };
/// How often it is looked for: the one that stops may still be writing.
const LOOKS: u32 = 20;
/// The wait between two looks.
const AGAIN: Duration = Duration::from_millis(50);

/// Where an answer came from.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::api::openai) struct Origin {
    pub(in crate::api::openai) head: Head,
    pub(in crate::api::openai) model: [u8; 32],
    /// The request, as it came.
    pub(in crate::api::openai) request: String,
    /// For each of its choices, where it named none.
    pub(in crate::api::openai) seeds: Vec<Option<u64>>,
}

/// All of it. Nothing of it is ever shown by `Debug`.
#[derive(Serialize, Deserialize)]
pub(in crate::api::openai) struct Handover {
    owner: UserId,
    pub(in crate::api::openai) origin: Origin,
    /// None when it has ended: then the events are all there is.
    pub(in crate::api::openai) kept: Option<Kept>,
    gone: u64,
    events: Vec<String>,
}

impl Origin {
    pub(in crate::api::openai) fn new(head: Head, model: ModelId, request: &Bytes, seeds: Vec<Option<u64>>) -> Self {
        let request = String::from_utf8_lossy(request).into_owned();
        Self { head, model: *model.as_bytes(), request, seeds }
    }
}

impl Handover {
    pub(in crate::api::openai) fn tape(&mut self) -> Tape {
        Tape::of(self.gone, std::mem::take(&mut self.events))
    }
}

fn name(id: &str) -> String {
    format!("stream {id}")
}

fn bucket(id: &str) -> String {
    format!("taken {id}")
}

/// Leaves an answer; false when there is nobody to leave it to.
pub(super) async fn leave(
    cache: &Cache,
    id: &str,
    owner: UserId,
    origin: Origin,
    kept: Option<Kept>,
    (gone, events): (u64, Vec<String>),
) -> bool {
    let handover = Handover { owner, origin, kept, gone, events };
    let Ok(entry) = serde_json::to_vec(&handover) else { return false };
    let mut writer = LogWriter::new(name(id));
    cache.append(&mut [(&mut writer, vec![entry])]).await;
    !writer.is_new()
}

/// What another gateway has left of a person's answer, for the first who asks for what is behind event number `seen`.
///
/// # Errors
/// When nobody has left it, another one was faster, or these events are gone.
pub(in crate::api::openai) async fn find(app: &App, owner: UserId, id: &str, seen: u64) -> Result<Handover, ApiError> {
    for _ in 0..LOOKS {
        if !app.cache.is_up() {
            break;
        }
        if let Some(chunk) = app.cache.read(&name(id), Place::default()).await {
            let found = chunk.entries.first().and_then(|entry| serde_json::from_slice::<Handover>(entry).ok());
            let found = found.filter(|found| found.owner == owner).ok_or(ApiError::NoSuchCompletion)?;
            if !(found.gone..=found.gone + found.events.len() as u64).contains(&seen) {
                return Err(ApiError::EventsGone);
            }
            let taken = app.cache.take(&bucket(id), TAKEN, 1).await;
            return if taken.allowed { Ok(found) } else { Err(ApiError::NoSuchCompletion) };
        }
        sleep(AGAIN).await;
    }
    Err(ApiError::NoSuchCompletion)
}

/// It could not be gone on with: another try may.
pub(in crate::api::openai) async fn give_back(cache: &Cache, id: &str) {
    cache.give_back(&bucket(id), TAKEN, 1).await;
}
