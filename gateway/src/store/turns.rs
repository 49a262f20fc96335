//! A turn's first write and its last: the question before anything is computed, the answer when it has ended. What is
//! kept between the two is `progress`.

use sqlx::Row;
use starling_protocol::message::{Private, Role};

use super::{
    Store, StoreError, Write,
    branches::{Position, Tree},
    characters::Persona,
    conversations::{self, Conversation},
    memories::recalled,
    messages::{Answer, Message, Status, TurnError},
    progress::{Progress, write},
    rows::{self, Word},
    seal::{Table, UserKeys},
    tokens::{self, Given},
};
use crate::{
    clock::Timestamp,
    id::{ConversationId, MessageId, TurnId, UserId},
    title::first_words,
};

/// Where a question belongs.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a conversation that is there.
    In {
        /// Its id.
        id: ConversationId,
        /// The number of the message that it follows; 0 at the beginning.
        after: i64,
    },
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
            Self::In { id, .. } | Self::New { id, .. } => *id,
        }
    }

    fn after(&self) -> i64 {
        match self {
            Self::In { after, .. } => *after,
            Self::New { .. } => 0,
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
    ///
    /// # Errors
    /// [`StoreError::Conflict`] while another gateway gives an answer in it, [`StoreError::Exhausted`] where the person has
    /// no tokens left.
    pub async fn accept(
        &self,
        user: UserId,
        place: &Place,
        turn: TurnId,
        text: &Private,
        progress: &Progress,
    ) -> Result<Option<Accepted>, StoreError> {
        let (now, keys) = (Timestamp::now(), self.sealing_keys(user).await?);
        let mut write = self.write().await?;
        self.hold_turn(&mut write, (user, turn), progress.expected(), 0).await?;
        let Some(conversation) = enter(&mut write, user, place, now, &keys).await? else { return Ok(None) };
        let question = Message { text: text.clone(), ..said(MessageId::generate(), Role::User, now) };
        let conversation = match place {
            Place::In { .. } => name(&mut write, conversation, text, &keys).await?,
            Place::New { .. } => conversation,
        };
        let number = insert(&mut write, conversation.id, &question, place.after(), &keys).await?;
        self.begin_answer(&mut write, conversation.id, turn, number, progress, &keys).await?;
        let tree = Tree::read(&mut *write, &conversation.id.to_string()).await?;
        write.commit().await?;
        Ok(Some(Accepted { conversation, question: tree.place(question) }))
    }

    /// Stores the place of another answer to a question that is there; `None` when the user has none such.
    pub async fn accept_again(
        &self,
        user: UserId,
        id: ConversationId,
        question: &Message,
        turn: TurnId,
        progress: &Progress,
    ) -> Result<Option<Accepted>, StoreError> {
        let after = question.position.number;
        let keys = self.sealing_keys(user).await?;
        let mut write = self.write().await?;
        self.hold_turn(&mut write, (user, turn), progress.expected(), 0).await?;
        let entered = enter(&mut write, user, &Place::In { id, after }, Timestamp::now(), &keys).await?;
        let Some(conversation) = entered else { return Ok(None) };
        self.begin_answer(&mut write, id, turn, after, progress, &keys).await?;
        write.commit().await?;
        Ok(Some(Accepted { conversation, question: question.clone() }))
    }

    /// Stores how a turn ended; `None` when its conversation has been deleted meanwhile, or another gateway gives it.
    pub async fn finish(&self, turn: TurnId, ending: &Ending) -> Result<Option<Message>, StoreError> {
        let (error, answer) = (ending.error.as_ref(), ending.answer.as_ref());
        let nodes = answer.filter(|answer| answer.nodes.len() > 1).map(|answer| &answer.nodes);
        let given = given(ending);
        let Some(person) = self.people_of(&[turn]).await?.remove(&turn) else {
            // It was deleted, and was computed all the same.
            self.settle_alone(turn, given).await?;
            return Ok(None);
        };
        let keys = self.sealing_keys(person).await?;
        let mut transaction = self.write().await?;
        let ours = match &ending.progress {
            Some(progress) => write::update(&mut transaction, turn, progress, &keys, &self.owner, None).await?,
            None => write::forget(&mut transaction, turn, &self.owner).await?,
        };
        if !ours {
            return Ok(None);
        }
        let done = sqlx::query(
            "UPDATE messages SET text = '', sealed = ?, status = ?, error_code = ?, error_message = NULL, sealed_error = ?,
                 node_name = ?,
                 node_peer = ?, device = ?, model = ?, finish_reason = ?, prompt_tokens = ?, completion_tokens = ?,
                 first_token_ms = ?, tokens_per_second = ?, nodes = ?, resumable = ?
             WHERE id = ? AND status = 'running'",
        )
        .bind(keys.seal(Table::Messages, turn, ending.text.0.as_bytes())?)
        .bind(ending.status.word())
        .bind(error.map(|error| &error.code))
        .bind(error.map(|error| error.seal(turn, &keys)).transpose()?)
        .bind(answer.map(|answer| &answer.node_name))
        .bind(answer.map(|answer| &answer.node_peer))
        .bind(answer.map(|answer| &answer.device))
        .bind(answer.map(|answer| &answer.model))
        .bind(answer.map(|answer| answer.finish_reason.word()))
        .bind(answer.map(|answer| i64::from(answer.prompt_tokens)))
        .bind(answer.map(|answer| i64::from(answer.completion_tokens)))
        .bind(answer.and_then(|answer| answer.first_token_ms))
        .bind(answer.and_then(|answer| answer.tokens_per_second))
        .bind(nodes.map(|nodes| serde_json::to_string(nodes).unwrap_or_default()))
        .bind(ending.progress.is_some())
        .bind(turn.to_string())
        .execute(&mut *transaction)
        .await?;
        let message = match done.rows_affected() {
            0 => None,
            _ => {
                tokens::settle(&mut transaction, turn, given).await?;
                Some(ended(&mut transaction, turn, &keys).await?)
            }
        };
        transaction.commit().await?;
        Ok(message)
    }

    /// A running answer behind the message of that number.
    async fn begin_answer(
        &self,
        write: &mut Write,
        conversation: ConversationId,
        turn: TurnId,
        after: i64,
        progress: &Progress,
        keys: &UserKeys,
    ) -> Result<(), StoreError> {
        if write::is_taken(write, conversation, &self.owner).await? {
            return Err(StoreError::Conflict);
        }
        let answer = Message { status: Status::Running, ..said(turn, Role::Assistant, Timestamp::now()) };
        write::close_earlier(write, conversation).await?;
        insert(write, conversation, &answer, after, keys).await?;
        Ok(write::insert(write, turn, progress, keys, &self.owner).await?)
    }
}

/// What an answer has come to.
fn given(ending: &Ending) -> Given {
    let Some(answer) = &ending.answer else { return Given::default() };
    Given { prompt: Some(answer.prompt_tokens).filter(|tokens| *tokens > 0), answer: answer.completion_tokens }
}

/// A message as it is now, in its place.
async fn ended(write: &mut Write, turn: TurnId, keys: &UserKeys) -> Result<Message, StoreError> {
    let sql = "SELECT * FROM messages WHERE id = ?";
    let row = sqlx::query(sql).bind(turn.to_string()).fetch_one(&mut **write).await?;
    let tree = Tree::read(&mut **write, row.try_get("conversation_id")?).await?;
    let recalled = recalled::of(&mut **write, turn, keys).await?;
    Ok(tree.place(Message { recalled, ..Message::read(&row, keys)? }))
}

/// The conversation that a question goes to, made or marked as used now. On a server it stays locked, so that two
/// questions in it get two numbers.
async fn enter(
    write: &mut Write,
    user: UserId,
    place: &Place,
    now: Timestamp,
    keys: &UserKeys,
) -> Result<Option<Conversation>, StoreError> {
    match place {
        Place::In { id, .. } => {
            let sql = "UPDATE conversations SET updated_at = ?, leaf = NULL WHERE id = ? AND user_id = ?";
            let done =
                sqlx::query(sql).bind(now.0).bind(id.to_string()).bind(user.to_string()).execute(&mut **write).await?;
            Ok(if done.rows_affected() == 0 { None } else { conversations::read(write, *id, keys).await? })
        }
        Place::New { id, title } => {
            let new = Conversation::new(*id, title.clone(), now);
            conversations::insert(write, user, &new, keys).await?;
            Ok(Some(new))
        }
    }
}

/// The first question is what a conversation is called that nobody has named.
async fn name(
    write: &mut Write,
    conversation: Conversation,
    question: &Private,
    keys: &UserKeys,
) -> Result<Conversation, StoreError> {
    sqlx::query(
        "UPDATE conversations SET sealed = ?, title = '' WHERE id = ? AND titled_by = 'words'
             AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation_id = conversations.id AND role = 'user')",
    )
    .bind(keys.seal(Table::Conversations, conversation.id, first_words(&question.0).0.as_bytes())?)
    .bind(conversation.id.to_string())
    .execute(&mut **write)
    .await?;
    Ok(conversations::read(write, conversation.id, keys).await?.unwrap_or(conversation))
}

/// What a character says at the beginning of a conversation, as it is then.
pub(super) async fn open_with(
    write: &mut Write,
    conversation: ConversationId,
    persona: &Persona,
    now: Timestamp,
    keys: &UserKeys,
) -> Result<(), StoreError> {
    let mut after = 0;
    for (role, text) in [(Role::System, &persona.system_prompt), (Role::Assistant, &persona.greeting)] {
        if !text.0.is_empty() {
            let message = Message { text: text.clone(), ..said(MessageId::generate(), role, now) };
            after = insert(write, conversation, &message, after, keys).await?;
        }
    }
    Ok(())
}

/// Other words in place of what the model is told first in a user's conversation. Where it was told nothing they come
/// before the beginning of every branch, which is behind number 0.
pub(super) async fn tell_first(
    write: &mut Write,
    user: UserId,
    conversation: ConversationId,
    text: &Private,
    keys: &UserKeys,
) -> Result<(), StoreError> {
    let sql = "SELECT m.id FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id AND m.role = 'system'
               WHERE c.id = ? AND c.user_id = ?";
    let found: Option<Option<String>> = sqlx::query_scalar(sql)
        .bind(conversation.to_string())
        .bind(user.to_string())
        .fetch_optional(&mut **write)
        .await?;
    let change = match found {
        Some(Some(id)) => {
            let id: MessageId = rows::parse("id", &id)?;
            sqlx::query("UPDATE messages SET text = '', sealed = ? WHERE id = ?")
                .bind(keys.seal(Table::Messages, id, text.0.as_bytes())?)
                .bind(id.to_string())
        }
        Some(None) if !text.0.is_empty() => {
            let id = MessageId::generate();
            let sql = "INSERT INTO messages (id, conversation_id, position, role, text, sealed, status, created_at)
                       SELECT ?, id, 0, 'system', '', ?, 'complete', created_at FROM conversations WHERE id = ?";
            sqlx::query(sql)
                .bind(id.to_string())
                .bind(keys.seal(Table::Messages, id, text.0.as_bytes())?)
                .bind(conversation.to_string())
        }
        _ => return Ok(()),
    };
    change.execute(&mut **write).await?;
    Ok(())
}

/// A message with nothing in it.
pub(super) fn said(id: MessageId, role: Role, created_at: Timestamp) -> Message {
    Message {
        id,
        role,
        text: Private::default(),
        status: Status::Complete,
        created_at,
        error: None,
        answer: None,
        resumable: false,
        position: Position::default(),
        recalled: vec![],
    }
}

/// Its number, which is greater than all others in its conversation.
async fn insert(
    write: &mut Write,
    conversation: ConversationId,
    message: &Message,
    after: i64,
    keys: &UserKeys,
) -> Result<i64, StoreError> {
    let last = "SELECT COALESCE(MAX(position), 0) FROM messages WHERE conversation_id = ?";
    let last: i64 = sqlx::query_scalar(last).bind(conversation.to_string()).fetch_one(&mut **write).await?;
    sqlx::query(
        "INSERT INTO messages (id, conversation_id, position, parent, role, text, sealed, status, created_at)
         VALUES (?, ?, ?, ?, ?, '', ?, ?, ?)",
    )
    .bind(message.id.to_string())
    .bind(conversation.to_string())
    .bind(last + 1)
    .bind(after)
    .bind(message.role.word())
    .bind(keys.seal(Table::Messages, message.id, message.text.0.as_bytes())?)
    .bind(message.status.word())
    .bind(message.created_at.0)
    .execute(&mut **write)
    .await?;
    Ok(last + 1)
}
