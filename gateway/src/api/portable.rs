//! Conversations as files: all branches as JSON, which can be taken in again, or the shown branch as Markdown to read.

mod markdown;

use std::collections::HashMap;

use axum::{
    Json as Answer,
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};
use starling_protocol::{limits::MAX_PROMPT_BYTES, message::Role};
use utoipa::ToSchema;

use super::{
    auth::SignedIn,
    conversations::{self, check_title},
    error::ApiError,
    extract::{InPath, LargeJson},
    wire::{self, ConversationAnswer, MessageRole, MessageStatus},
};
use crate::{
    app::App,
    clock::Timestamp,
    id::{ConversationId, MessageId},
    store::{
        branches::{MAX_VERSIONS, Position, UpTo},
        conversations::{Conversation, TitledBy},
        messages::{Message, Status},
        portable::Whole,
    },
    turn::TurnRefused,
};

const FORMAT: &str = "starling-conversation";
const VERSION: u32 = 1;
/// Messages that one file may bring.
const MAX_MESSAGES: usize = 2_000;
/// Longest of the words around an answer (node, model, device), in bytes.
const MAX_WORDS: usize = 256;
/// Nodes that one answer may name.
const MAX_NODES: usize = 64;

/// A conversation in a file.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Portable {
    format: String,
    version: u32,
    title: String,
    created_at_ms: i64,
    /// The message, counted from 1, where the branch ends that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<usize>,
    messages: Vec<PortableMessage>,
}

#[derive(Serialize, Deserialize, ToSchema)]
struct PortableMessage {
    /// The message that it follows, counted from 1; 0 at the beginning.
    follows: usize,
    role: MessageRole,
    text: String,
    created_at_ms: i64,
    status: MessageStatus,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "without_memories")]
    answer: Option<wire::Answer>,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    #[default]
    Json,
    Markdown,
}

#[derive(Deserialize)]
pub(super) struct Export {
    #[serde(default)]
    format: Format,
}

/// `GET /api/conversations/{id}/export?format=json|markdown`
#[utoipa::path(
    get,
    path = "/api/conversations/{id}/export",
    summary = "A conversation as a file",
    params(("id" = ConversationId, Path), ("format" = Option<Format>, Query, description = "json when missing")),
    responses((status = 200, description = "", content((Portable = "application/json"), (String = "text/markdown")))),
)]
pub(super) async fn export(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<ConversationId>,
    query: Result<Query<Export>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(Export { format }) = query.map_err(|error| ApiError::field("format", error.body_text()))?;
    let whole = app.store.whole(by.user.id, id).await?.ok_or(TurnRefused::NoSuchConversation)?;
    let (kind, name, body) = match format {
        Format::Json => ("application/json", "conversation.json", written(whole)),
        Format::Markdown => {
            let branch = app.store.branch(by.user.id, id, UpTo::End).await?.ok_or(TurnRefused::NoSuchConversation)?;
            let text = markdown::write(&whole.conversation.title.0, &branch.messages);
            ("text/markdown; charset=utf-8", "conversation.md", text)
        }
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response())
}

/// `POST /api/conversations/import`: a file as `export` writes it becomes a new conversation.
#[utoipa::path(
    post,
    path = "/api/conversations/import",
    summary = "Takes in a conversation from a file",
    request_body = Portable,
    responses((status = 201, description = "", body = ConversationAnswer)),
)]
pub(super) async fn import(
    State(app): State<App>,
    by: SignedIn,
    LargeJson(portable): LargeJson<Portable>,
) -> Result<(StatusCode, Answer<ConversationAnswer>), ApiError> {
    let whole = read(portable)?;
    app.store.import(by.user.id, &whole).await?;
    Ok((StatusCode::CREATED, conversations::tell(&app, by.user.id, whole.conversation)))
}

fn written(whole: Whole) -> String {
    let numbers: HashMap<MessageId, usize> =
        whole.messages.iter().enumerate().map(|(at, message)| (message.id, at + 1)).collect();
    let shown = whole.leaf.and_then(|leaf| whole.messages.iter().position(|message| message.position.number == leaf));
    let portable = Portable {
        format: FORMAT.to_owned(),
        version: VERSION,
        title: whole.conversation.title.0,
        created_at_ms: whole.conversation.created_at.0,
        shown: shown.map(|at| at + 1),
        messages: whole
            .messages
            .into_iter()
            .map(|message| {
                let follows = message.position.parent.and_then(|id| numbers.get(&id).copied());
                PortableMessage::of(message, follows.unwrap_or(0))
            })
            .collect(),
    };
    serde_json::to_string_pretty(&portable).unwrap_or_default()
}

/// What a conversation's file begins with, up to its first message, for one that is written piece by piece.
pub(super) fn head(conversation: &Conversation) -> Result<String, serde_json::Error> {
    let (title, made) = (serde_json::to_string(&conversation.title.0)?, conversation.created_at.0);
    Ok(format!(r#"{{"format":"{FORMAT}","version":{VERSION},"title":{title},"created_at_ms":{made},"messages":["#))
}

/// A message of such a file, and the number of the one that it follows, counted from 1.
pub(super) fn message(message: Message, follows: usize) -> impl Serialize {
    PortableMessage::of(message, follows)
}

impl PortableMessage {
    fn of(message: Message, follows: usize) -> Self {
        let created_at_ms = message.created_at.0;
        let wire: wire::Message = message.into();
        Self { follows, role: wire.role, text: wire.text, created_at_ms, status: wire.status, answer: wire.answer }
    }
}

/// What was in its reader's memory is no part of what was said.
fn without_memories<S: Serializer>(answer: &Option<wire::Answer>, to: S) -> Result<S::Ok, S::Error> {
    let mut answer = serde_json::to_value(answer).map_err(S::Error::custom)?;
    if let Some(fields) = answer.as_object_mut() {
        fields.shift_remove("memories");
    }
    answer.serialize(to)
}

/// Checked as what a stranger says: nothing of it was made here for certain.
fn read(portable: Portable) -> Result<Whole, ApiError> {
    if portable.format != FORMAT || portable.version != VERSION {
        return Err(ApiError::field("format", format!("must be {FORMAT}, version {VERSION}")));
    }
    if portable.messages.len() > MAX_MESSAGES {
        return Err(ApiError::field("messages", format!("are over the limit of {MAX_MESSAGES}")));
    }
    let now = Timestamp::now();
    let fresh = Conversation::new(ConversationId::generate(), check_title(portable.title)?, now);
    let created_at = past(portable.created_at_ms, now);
    let conversation = Conversation { created_at, titled_by: TitledBy::Person, ..fresh };
    let ids: Vec<MessageId> = portable.messages.iter().map(|_| MessageId::generate()).collect();
    let (mut messages, mut versions) = (Vec::with_capacity(ids.len()), HashMap::new());
    for (at, message) in portable.messages.into_iter().enumerate() {
        let beside: &mut usize = versions.entry((message.follows, message.role)).or_default();
        *beside += 1;
        if *beside > MAX_VERSIONS {
            return Err(ApiError::field(format!("messages[{at}]"), format!("has over {MAX_VERSIONS} versions")));
        }
        messages.push(checked(at, message, &ids, &messages, now)?);
    }
    let leaf = portable.shown.map(|shown| match messages.get(shown.wrapping_sub(1)) {
        Some(message) => Ok(message.position.number),
        None => Err(ApiError::field("shown", "must be the number of a message")),
    });
    Ok(Whole { conversation, messages, leaf: leaf.transpose()? })
}

fn checked(
    at: usize,
    message: PortableMessage,
    ids: &[MessageId],
    before: &[Message],
    now: Timestamp,
) -> Result<Message, ApiError> {
    let wrong = |field: &str, reason: &str| ApiError::field(format!("messages[{at}].{field}"), reason);
    let parent = match message.follows {
        0 => None,
        number => Some(before.get(number - 1).ok_or_else(|| wrong("follows", "must be an earlier message"))?),
    };
    let role = match message.role {
        MessageRole::System if parent.is_none() => Role::System,
        MessageRole::System => return Err(wrong("role", "of the system is only the first message")),
        MessageRole::User => Role::User,
        MessageRole::Assistant => Role::Assistant,
    };
    if message.text.len() > MAX_PROMPT_BYTES {
        return Err(wrong("text", "is too long"));
    }
    if message.answer.as_ref().is_some_and(|answer| !is_bounded(answer)) {
        return Err(wrong("answer", "is too long"));
    }
    let status = match message.status {
        MessageStatus::Complete => Status::Complete,
        MessageStatus::Partial => Status::Partial,
        MessageStatus::Failed => Status::Failed,
    };
    Ok(Message {
        id: ids[at],
        role,
        text: message.text.into(),
        status,
        created_at: past(message.created_at_ms, now),
        error: None,
        answer: message.answer.map(Into::into),
        resumable: false,
        position: Position {
            number: i64::try_from(at).unwrap_or(i64::MAX - 1) + 1,
            parent: parent.map(|parent| parent.id),
            versions: vec![],
        },
        recalled: vec![],
    })
}

fn is_bounded(answer: &wire::Answer) -> bool {
    let words = [&answer.node_name, &answer.node_peer, &answer.device, &answer.model];
    answer.nodes.len() <= MAX_NODES && words.into_iter().chain(&answer.nodes).all(|word| word.len() <= MAX_WORDS)
}

/// Not later than now: the order of the list is made of times.
fn past(ms: i64, now: Timestamp) -> Timestamp {
    Timestamp(ms.clamp(0, now.0))
}
