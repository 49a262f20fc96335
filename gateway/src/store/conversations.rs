//! Conversations. Each function takes the user: one who asks for another's finds nothing.

use sqlx::{QueryBuilder, Row};
use starling_protocol::message::Private;

use super::{
    Db, DbRow, Store, StoreError, Write,
    characters::{Character, Defaults, Persona},
    rows::{self, Word, words},
    seal::{Table, UserKeys},
    turns,
};
use crate::{
    clock::Timestamp,
    id::{CharacterId, ConversationId, UserId},
};

/// What a conversation is called until something is asked in it.
const UNTITLED: &str = "New conversation";

/// A conversation, without its messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// What its owner calls it.
    pub title: Private,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something was last said in it.
    pub updated_at: Timestamp,
    /// It stands before the others.
    pub pinned: bool,
    /// Who has found the title.
    pub titled_by: TitledBy,
    /// With whom it is held.
    pub character: Option<CharacterId>,
    /// How tokens are chosen in it.
    pub sampling: Defaults,
}

/// Who has found a title. What a person has written is never replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TitledBy {
    /// Nobody: it is the question's first words.
    Words,
    /// A model.
    Model,
    /// A person.
    Person,
}

words!(TitledBy { TitledBy::Words = "words", TitledBy::Model = "model", TitledBy::Person = "person" });

/// What is to be changed of a conversation.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Another title, by a person.
    pub title: Option<Private>,
    /// Whether it stands before the others.
    pub pinned: Option<bool>,
    /// How tokens are chosen from now on.
    pub sampling: Option<Defaults>,
    /// What the model is told first, where it is told something.
    pub system_prompt: Option<Private>,
}

impl Conversation {
    pub(super) fn read(row: &DbRow, keys: &UserKeys) -> Result<Self, sqlx::Error> {
        let id: &str = row.try_get("id")?;
        Ok(Self {
            id: rows::parse("id", id)?,
            title: Private(keys.text(Table::Conversations, row, id, "title")?),
            created_at: Timestamp(row.try_get("created_at")?),
            updated_at: Timestamp(row.try_get("updated_at")?),
            pinned: rows::flag(row, "pinned")?,
            titled_by: rows::word("titled_by", row.try_get("titled_by")?)?,
            character: row
                .try_get::<Option<&str>, _>("character_id")?
                .map(|id| rows::parse("character_id", id))
                .transpose()?,
            sampling: match row.try_get::<Option<&str>, _>("sampling")? {
                Some(json) => serde_json::from_str(json).map_err(|_| rows::unreadable("sampling"))?,
                None => Defaults::default(),
            },
        })
    }
}

impl Conversation {
    /// One that nobody has named, begun now.
    #[must_use]
    pub fn new(id: ConversationId, title: Private, now: Timestamp) -> Self {
        Self {
            id,
            title,
            created_at: now,
            updated_at: now,
            pinned: false,
            titled_by: TitledBy::Words,
            character: None,
            sampling: Defaults::default(),
        }
    }
}

impl Store {
    /// A user's conversations, those that are pinned and then the last used first, from behind `before`.
    pub async fn conversations(
        &self,
        user: UserId,
        before: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM conversations WHERE user_id = ");
        query.push_bind(user.to_string());
        if let Some(id) = before {
            let Some(last) = self.conversation(user, id).await? else { return Ok(vec![]) };
            let (pinned, updated_at) = (last.pinned, last.updated_at.0);
            query.push(" AND (pinned < ").push_bind(pinned).push(" OR (pinned = ").push_bind(pinned);
            query.push(" AND (updated_at < ").push_bind(updated_at).push(" OR (updated_at = ").push_bind(updated_at);
            query.push(" AND id < ").push_bind(id.to_string()).push("))))");
        }
        query.push(" ORDER BY pinned DESC, updated_at DESC, id DESC LIMIT ").push_bind(i64::from(limit));
        let (page, keys) = (query.build().fetch_all(&self.readers).await?, self.keys_of(user).await?);
        Ok(page.iter().map(|row| Conversation::read(row, &keys)).collect::<Result<_, _>>()?)
    }

    /// A new conversation, empty but for what its character says first.
    pub async fn create_conversation(
        &self,
        user: UserId,
        title: Option<Private>,
        with: Option<&Character>,
    ) -> Result<Conversation, StoreError> {
        let persona = with.map(|with| with.persona.clone()).unwrap_or_default();
        self.open_conversation(user, title, with.map(|with| with.id), &persona).await
    }

    /// A new conversation that begins with what a persona says, be it a character's or one made for it alone.
    pub async fn open_conversation(
        &self,
        user: UserId,
        title: Option<Private>,
        character: Option<CharacterId>,
        persona: &Persona,
    ) -> Result<Conversation, StoreError> {
        let now = Timestamp::now();
        let id = ConversationId::generate();
        let titled_by = if title.is_some() { TitledBy::Person } else { TitledBy::Words };
        let unnamed = persona.name.0.is_empty();
        let name = || if unnamed { Private(UNTITLED.to_owned()) } else { persona.name.clone() };
        let conversation = Conversation {
            titled_by,
            character,
            sampling: persona.sampling,
            ..Conversation::new(id, title.unwrap_or_else(name), now)
        };
        let keys = self.sealing_keys(user).await?;
        let mut write = self.write().await?;
        insert(&mut write, user, &conversation, &keys).await?;
        turns::open_with(&mut write, id, persona, now, &keys).await?;
        write.commit().await?;
        Ok(conversation)
    }

    /// One of a user's conversations.
    pub async fn conversation(&self, user: UserId, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let found = sqlx::query("SELECT * FROM conversations WHERE id = ? AND user_id = ?")
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = found else { return Ok(None) };
        Ok(Some(Conversation::read(&row, &*self.keys_of(user).await?)?))
    }

    /// Gives it another title, or another place in the list; `None` when the user has none of that id.
    pub async fn change_conversation(
        &self,
        user: UserId,
        id: ConversationId,
        change: &Change,
    ) -> Result<Option<Conversation>, StoreError> {
        let keys = self.sealing_keys(user).await?;
        let title = change.title.as_ref().map(|title| keys.seal(Table::Conversations, id, title.0.as_bytes()));
        // NULL changes nothing.
        let sql = "UPDATE conversations SET sealed = COALESCE(?, sealed), titled_by = COALESCE(?, titled_by),
                       pinned = COALESCE(?, pinned), sampling = COALESCE(?, sampling) WHERE id = ? AND user_id = ?";
        let mut write = self.write().await?;
        sqlx::query(sql)
            .bind(title.transpose()?)
            .bind(change.title.as_ref().map(|_| TitledBy::Person.word()))
            .bind(change.pinned.map(i64::from))
            .bind(change.sampling.map(|sampling| serde_json::to_string(&sampling).unwrap_or_default()))
            .bind(id.to_string())
            .bind(user.to_string())
            .execute(&mut *write)
            .await?;
        if let Some(text) = &change.system_prompt {
            turns::tell_first(&mut write, user, id, text, &keys).await?;
        }
        write.commit().await?;
        self.conversation(user, id).await
    }

    /// Gives it a title that a model has found; `None` when it has a better one, or is gone.
    pub async fn title_by_model(
        &self,
        id: ConversationId,
        title: &Private,
    ) -> Result<Option<Conversation>, StoreError> {
        let owner: Option<String> = sqlx::query_scalar("SELECT user_id FROM conversations WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        let Some(owner) = owner else { return Ok(None) };
        let keys = self.sealing_keys(rows::parse("user_id", &owner)?).await?;
        let mut write = self.write().await?;
        let sql = "UPDATE conversations SET sealed = ?, title = '', titled_by = 'model'
                   WHERE id = ? AND titled_by = 'words'";
        let sealed = keys.seal(Table::Conversations, id, title.0.as_bytes())?;
        let done = sqlx::query(sql).bind(sealed).bind(id.to_string()).execute(&mut *write).await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        let named = read(&mut write, id, &keys).await?;
        write.commit().await?;
        Ok(named)
    }

    /// Deletes it with all its messages; false when the user has none of that id.
    pub async fn delete_conversation(&self, user: UserId, id: ConversationId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM conversations WHERE id = ? AND user_id = ?")
            .bind(id.to_string())
            .bind(user.to_string())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// As it is in this transaction.
pub(super) async fn read(
    write: &mut Write,
    id: ConversationId,
    keys: &UserKeys,
) -> Result<Option<Conversation>, sqlx::Error> {
    let sql = "SELECT * FROM conversations WHERE id = ?";
    let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(&mut **write).await?;
    row.map(|row| Conversation::read(&row, keys)).transpose()
}

pub(super) async fn insert(
    write: &mut Write,
    user: UserId,
    conversation: &Conversation,
    keys: &UserKeys,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO conversations
             (id, user_id, title, sealed, created_at, updated_at, titled_by, character_id, sampling)
         VALUES (?, ?, '', ?, ?, ?, ?, ?, ?)",
    )
    .bind(conversation.id.to_string())
    .bind(user.to_string())
    .bind(keys.seal(Table::Conversations, conversation.id, conversation.title.0.as_bytes())?)
    .bind(conversation.created_at.0)
    .bind(conversation.updated_at.0)
    .bind(conversation.titled_by.word())
    .bind(conversation.character.map(|id| id.to_string()))
    .bind(serde_json::to_string(&conversation.sampling).unwrap_or_default())
    .execute(&mut **write)
    .await
    .map(drop)
}
