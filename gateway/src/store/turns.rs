//! A turn's first write and its last: the question before anything is computed, the answer when it has ended. What is
//! kept between the two is `progress`.

use sqlx::{Sqlite, Transaction};
use starling_protocol::message::{Private, Role};

use super::{
    Store, StoreError,
    conversations::{self, Conversation},
    messages::{Answer, Message, Status, TurnError},
    progress::{Progress, write},
    rows::Word,
};
use crate::{
    clock::Timestamp,
    id::{ConversationId, MessageId, TurnId, UserId},
};

/// Where a question belongs.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a conversation that is there.
    In(ConversationId),
    /// In a new one.
    New {
        /// Its id.
        id: ConversationId,
        /// Its title.
        title: Private,
    },
}

impl Place {
    /// The conversation.
    #[must_use]
    pub fn id(&self) -> ConversationId {
        match self {
            Self::In(id) | Self::New { id, .. } => *id,
        }
    }
}

/// A question as it was stored.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Where.
    pub conversation: Conversation,
    /// The question.
    pub question: Message,
}

/// How a turn ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// All there is of the answer.
    pub text: Private,
    /// Whole or not.
    pub status: Status,
    /// What broke, if anything did.
    pub error: Option<TurnError>,
    /// Who gave it, if a node did.
    pub answer: Option<Answer>,
    /// What it takes to go on, if one can.
    pub progress: Option<Progress>,
}

impl Store {
    /// Stores a question and the place of its answer; `None` when the user has no such conversation.
    pub async fn accept(
        &self,
        user: UserId,
        place: &Place,
        turn: TurnId,
        text: &Private,
        progress: &Progress,
    ) -> Result<Option<Accepted>, StoreError> {
        let now = Timestamp::now();
        let mut transaction = self.write().await?;
        let Some(conversation) = enter(&mut transaction, user, place, now).await? else { return Ok(None) };
        let question = Message {
            id: MessageId::generate(),
            role: Role::User,
            text: text.clone(),
            status: Status::Complete,
            created_at: now,
            error: None,
            answer: None,
            resumable: false,
        };
        let answer = Message {
            id: turn,
            role: Role::Assistant,
            text: Private::default(),
            status: Status::Running,
            ..question.clone()
        };
        write::close_earlier(&mut transaction, conversation.id).await?;
        insert(&mut transaction, conversation.id, &question).await?;
        insert(&mut transaction, conversation.id, &answer).await?;
        write::insert(&mut transaction, turn, progress).await?;
        transaction.commit().await?;
        Ok(Some(Accepted { conversation, question }))
    }

    /// Stores how a turn ended; `None` when its conversation has been deleted meanwhile.
    pub async fn finish(&self, turn: TurnId, ending: &Ending) -> Result<Option<Message>, StoreError> {
        let (error, answer) = (ending.error.as_ref(), ending.answer.as_ref());
        let nodes = answer.filter(|answer| answer.nodes.len() > 1).map(|answer| &answer.nodes);
        let mut transaction = self.write().await?;
        match &ending.progress {
            Some(progress) => write::update(&mut transaction, turn, progress).await?,
            None => write::forget(&mut transaction, turn).await?,
        }
        let message = sqlx::query_as(
            "UPDATE messages SET text = ?, status = ?, error_code = ?, error_message = ?, node_name = ?,
                 node_peer = ?, device = ?, model = ?, finish_reason = ?, prompt_tokens = ?, completion_tokens = ?,
                 first_token_ms = ?, tokens_per_second = ?, nodes = ?, resumable = ?
             WHERE id = ? AND status = 'running' RETURNING *",
        )
        .bind(&ending.text.0)
        .bind(ending.status.word())
        .bind(error.map(|error| &error.code))
        .bind(error.map(|error| &error.message))
        .bind(answer.map(|answer| &answer.node_name))
        .bind(answer.map(|answer| &answer.node_peer))
        .bind(answer.map(|answer| &answer.device))
        .bind(answer.map(|answer| &answer.model))
        .bind(answer.map(|answer| answer.finish_reason.word()))
        .bind(answer.map(|answer| answer.prompt_tokens))
        .bind(answer.map(|answer| answer.completion_tokens))
        .bind(answer.and_then(|answer| answer.first_token_ms))
        .bind(answer.and_then(|answer| answer.tokens_per_second))
        .bind(nodes.map(|nodes| serde_json::to_string(nodes).unwrap_or_default()))
        .bind(ending.progress.is_some())
        .bind(turn.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(message)
    }
}

/// The conversation that a question goes to, made or marked as used now.
async fn enter(
    write: &mut Transaction<'static, Sqlite>,
    user: UserId,
    place: &Place,
    now: Timestamp,
) -> Result<Option<Conversation>, StoreError> {
    match place {
        Place::In(id) => {
            let found =
                sqlx::query_as("UPDATE conversations SET updated_at = ? WHERE id = ? AND user_id = ? RETURNING *")
                    .bind(now.0)
                    .bind(id.to_string())
                    .bind(user.to_string())
                    .fetch_optional(&mut **write)
                    .await?;
            Ok(found)
        }
        Place::New { id, title } => {
            let new = Conversation { id: *id, title: title.clone(), created_at: now, updated_at: now };
            conversations::insert(&mut **write, user, &new).await?;
            Ok(Some(new))
        }
    }
}

async fn insert(
    write: &mut Transaction<'static, Sqlite>,
    conversation: ConversationId,
    message: &Message,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO messages (id, conversation_id, position, role, text, status, created_at)
         SELECT ?1, ?2, COALESCE(MAX(position), 0) + 1, ?3, ?4, ?5, ?6 FROM messages WHERE conversation_id = ?2",
    )
    .bind(message.id.to_string())
    .bind(conversation.to_string())
    .bind(message.role.word())
    .bind(&message.text.0)
    .bind(message.status.word())
    .bind(message.created_at.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}
