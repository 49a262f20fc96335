//! All that is one's own, as one JSON document that is written while it is read: a page of the database is in memory at
//! one time, and never the whole.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::json;
use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{auth::SignedIn, characters, error::ApiError, portable, wire};
use crate::{
    app::App,
    clock::Timestamp,
    store::{StoreError, conversations::Conversation, users::User},
};

const FORMAT: &str = "starling-account";
const VERSION: u32 = 1;
/// Documents that are written at one time, of all people.
const AT_ONCE: usize = 4;
/// Pieces that wait for a slow reader.
const QUEUE: usize = 2;
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages read at one time: each may be some megabytes.
const MESSAGES: u32 = 16;
/// Rows of other kinds read at one time.
const ROWS: u32 = 100;

/// Room for documents that are being written. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Exports {
    /// Room for one more; none while there are as many as may be.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Why a document is not whole.
#[derive(Debug, Error)]
enum Broken {
    #[error("its reader has left, or takes nothing")]
    Left,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// `GET /api/account/export`
#[utoipa::path(
    get,
    path = "/api/account/export",
    summary = "All that is one's own, as a file",
    responses((status = 200, description = "A JSON document that is written while it is read", body = serde_json::Value)),
)]
pub(super) async fn export(State(app): State<App>, by: SignedIn) -> Result<Response, ApiError> {
    let room = app.exports.enter().ok_or(ApiError::TooManyExports)?;
    let (pieces, body) = mpsc::channel(QUEUE);
    let (user, stop) = (by.user, app.life.cancel.clone());
    let name = format!("attachment; filename=\"starling-{}.json\"", user.username);
    // What cannot be read at all is told as such, and not in the midst of a document.
    let account = account(&app, &user).await?;
    let document = Document { app: app.clone(), user, to: pieces, _room: room };
    app.life.tasks.spawn(async move { stop.run_until_cancelled(document.send(account)).await });
    let head = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((head, Body::from_stream(ReceiverStream::new(body))).into_response())
}

/// Who one is here, and what one has that is not said: sessions, keys without their secrets, nodes.
async fn account(app: &App, user: &User) -> Result<serde_json::Value, StoreError> {
    let person = app.store.person_named(&user.username).await?.map(|person| {
        json!({"username": person.user.username, "role": wire::UserRole::from(person.user.role), "created_at": person.created_at})
    });
    let sessions = app.store.sessions(user.id, Timestamp::now()).await?;
    let keys = app.store.keys(user.id).await?;
    let keys = keys
        .iter()
        .map(|(key, _)| json!({"label": key.label, "created_at": key.created_at, "last_used_at": key.last_used_at}));
    let nodes = app.store.members_of(user.id).await?;
    let nodes = nodes.iter().map(
        |node| json!({"peer": node.peer.to_string(), "name": node.name, "joined_at": node.joined_at, "revoked_at": node.revoked_at}),
    );
    let sessions = sessions.iter().map(
        |one| json!({"created_at": one.created_at, "last_used_at": one.last_used_at, "agent": one.device.agent, "network": one.device.network}),
    );
    Ok(json!({
        "person": person,
        "remembers": app.store.remembers(user.id).await?,
        "sessions": sessions.collect::<Vec<_>>(),
        "keys": keys.collect::<Vec<_>>(),
        "nodes": nodes.collect::<Vec<_>>(),
    }))
}

/// One that is being written.
struct Document {
    app: App,
    user: User,
    to: mpsc::Sender<Result<Bytes, io::Error>>,
    _room: OwnedSemaphorePermit,
}

impl Document {
    async fn send(self, account: serde_json::Value) {
        if let Err(error) = self.write(&account).await {
            tracing::debug!(%error, "an export broke off");
            // The connection breaks with it: half of a document must not look like all of it.
            let _ = timeout(PATIENCE, self.to.send(Err(io::Error::other("the export broke off")))).await;
        }
    }

    async fn write(&self, account: &serde_json::Value) -> Result<(), Broken> {
        let (now, account) = (Timestamp::now(), serde_json::to_string(account)?);
        let head = format!(r#"{{"format":"{FORMAT}","version":{VERSION},"exported_at":"{now}","account":{account}"#);
        self.put(head).await?;
        self.put(r#","characters":["#).await?;
        self.characters().await?;
        self.put(r#"],"memories":["#).await?;
        self.memories().await?;
        self.put(r#"],"conversations":["#).await?;
        self.conversations().await?;
        self.put("]}\n").await
    }

    async fn characters(&self) -> Result<(), Broken> {
        let all = self.app.store.characters(self.user.id).await?;
        let mut items = Items::default();
        for character in all.into_iter().filter(|character| character.owner == self.user.id) {
            let picture = match character.has_picture {
                true => self.app.store.picture(self.user.id, character.id).await?,
                false => None,
            };
            let kind = picture.as_ref().map(|(kind, _)| characters::mime(*kind));
            let bytes = picture.map(|(_, bytes)| BASE64_STANDARD.encode(bytes));
            let character = characters::shown(character, self.user.id);
            let item = json!({"character": character, "picture": {"kind": kind, "base64": bytes}});
            items.put(self, &item).await?;
        }
        Ok(())
    }

    async fn memories(&self) -> Result<(), Broken> {
        let (mut before, mut items) = (None, Items::default());
        loop {
            let page = self.app.store.memories(self.user.id, None, before, i64::from(ROWS)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.id);
            for memory in page {
                items.put(self, &wire::Memory::from(memory)).await?;
            }
        }
    }

    async fn conversations(&self) -> Result<(), Broken> {
        let (mut after, mut items) = (None, Items::default());
        loop {
            let page = self.app.store.conversations_made(self.user.id, after, ROWS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for conversation in &page {
                self.put(items.comma()).await?;
                self.conversation(conversation).await?;
            }
        }
    }

    /// As `portable` writes one, so that each of them can be taken in again.
    async fn conversation(&self, conversation: &Conversation) -> Result<(), Broken> {
        self.put(portable::head(conversation)?).await?;
        let (mut numbers, mut after, mut items) = (BTreeMap::new(), -1, Items::default());
        loop {
            let page = self.app.store.said(self.user.id, conversation.id, after, MESSAGES).await?;
            let Some(last) = page.last() else { break };
            after = last.message.position.number;
            for said in page {
                let follows = numbers.get(&said.follows).copied().unwrap_or(0);
                numbers.insert(said.message.position.number, numbers.len() + 1);
                items.put(self, &portable::message(said.message, follows)).await?;
            }
        }
        let shown = self.app.store.shown(self.user.id, conversation.id).await?;
        let shown = shown.and_then(|number| numbers.get(&number)).map(|at| format!(r#","shown":{at}"#));
        self.put(format!("]{}}}", shown.unwrap_or_default())).await
    }

    async fn put(&self, piece: impl Into<Bytes>) -> Result<(), Broken> {
        let piece = piece.into();
        if piece.is_empty() {
            return Ok(());
        }
        timeout(PATIENCE, self.to.send(Ok(piece))).await.map_err(|_| Broken::Left)?.map_err(|_| Broken::Left)
    }
}

/// The items of a list, and what stands between them.
#[derive(Default)]
struct Items(bool);

impl Items {
    fn comma(&mut self) -> &'static str {
        if std::mem::replace(&mut self.0, true) { "," } else { "" }
    }

    async fn put(&mut self, to: &Document, item: &impl Serialize) -> Result<(), Broken> {
        to.put(format!("{}{}", self.comma(), serde_json::to_string(item)?)).await
    }
}
