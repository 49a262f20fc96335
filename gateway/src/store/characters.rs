//! Characters: a person's own, and those that others share. A private one of another's is not there.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use starling_protocol::message::Private;

use super::{
    DbRow, Store, StoreError, Write, repeat,
    rows::{self, Word, words},
    seal::{Table, UserKeys},
};
use crate::{
    clock::Timestamp,
    id::{CharacterId, UserId},
};

/// Characters that one person may have.
pub const MAX_CHARACTERS: i64 = 100;
/// Shared ones of others that are listed, the newest.
const MAX_SHARED: i64 = 200;

/// Whom a conversation is held with.
#[derive(Clone, Debug)]
pub struct Character {
    /// Its id.
    pub id: CharacterId,
    /// Whose it is.
    pub owner: UserId,
    /// What it is.
    pub persona: Persona,
    /// There is a picture of it.
    pub has_picture: bool,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What its owner has written of a character.
#[derive(Clone, Debug, Default)]
pub struct Persona {
    /// What it is called.
    pub name: Private,
    /// What the model is told before anything is said; may be empty.
    pub system_prompt: Private,
    /// Its first words; may be empty.
    pub greeting: Private,
    /// How its words are chosen.
    pub sampling: Defaults,
    /// Everybody here may talk to it, and read all of this.
    pub shared: bool,
}

/// How tokens are chosen where nobody says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    /// 0 to 2.
    pub temperature: Option<f32>,
    /// Above 0 to 1.
    pub top_p: Option<f32>,
    /// Most tokens in an answer.
    pub max_tokens: Option<u32>,
}

/// Of which kind a picture is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
}

words!(PictureKind { PictureKind::Png = "png", PictureKind::Jpeg = "jpeg", PictureKind::Webp = "webp" });

impl Character {
    fn read(row: &DbRow, keys: &UserKeys) -> Result<Self, sqlx::Error> {
        let id: &str = row.try_get("id")?;
        let [name, system_prompt, greeting] = match row.try_get::<Option<&[u8]>, _>("sealed")? {
            Some(sealed) => serde_json::from_slice(&keys.open(Table::Characters, id, sealed)?)
                .map_err(|_| rows::unreadable("sealed"))?,
            None => [row.try_get("name")?, row.try_get("system_prompt")?, row.try_get("greeting")?],
        };
        Ok(Self {
            id: rows::parse("id", id)?,
            owner: rows::parse("user_id", row.try_get("user_id")?)?,
            persona: Persona {
                name: Private(name),
                system_prompt: Private(system_prompt),
                greeting: Private(greeting),
                sampling: serde_json::from_str(row.try_get("sampling")?).map_err(|_| rows::unreadable("sampling"))?,
                shared: rows::flag(row, "shared")?,
            },
            has_picture: rows::flag(row, "has_picture")?,
            updated_at: Timestamp(row.try_get("updated_at")?),
        })
    }
}

impl Store {
    /// A person's own, and then the shared ones of others.
    pub async fn characters(&self, user: UserId) -> Result<Vec<Character>, StoreError> {
        let own =
            "SELECT *, EXISTS (SELECT 1 FROM character_pictures WHERE character_id = characters.id) AS has_picture
                   FROM characters WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT ?";
        let shared = "SELECT *, EXISTS (SELECT 1 FROM character_pictures WHERE character_id = characters.id)
                          AS has_picture
                      FROM characters WHERE shared = 1 AND user_id <> ? ORDER BY created_at DESC, id DESC LIMIT ?";
        let mut all = vec![];
        for (sql, limit) in [(own, MAX_CHARACTERS), (shared, MAX_SHARED)] {
            for row in sqlx::query(sql).bind(user.to_string()).bind(limit).fetch_all(&self.readers).await? {
                all.push(self.read_character(&row).await?);
            }
        }
        Ok(all)
    }

    /// One that a person may talk to.
    pub async fn character(&self, user: UserId, id: CharacterId) -> Result<Option<Character>, StoreError> {
        let found = sqlx::query(
            "SELECT *, EXISTS (SELECT 1 FROM character_pictures WHERE character_id = characters.id) AS has_picture
             FROM characters WHERE id = ? AND (user_id = ? OR shared = 1)",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(&self.readers)
        .await?;
        match found {
            Some(row) => Ok(Some(self.read_character(&row).await?)),
            None => Ok(None),
        }
    }

    /// Whoever may read one reads it with its owner's key.
    async fn read_character(&self, row: &DbRow) -> Result<Character, StoreError> {
        let keys = self.keys_of(rows::parse("user_id", row.try_get("user_id")?)?).await?;
        Ok(Character::read(row, &keys)?)
    }

    /// A new one; `None` when the person has as many as may be.
    pub async fn create_character(&self, user: UserId, persona: &Persona) -> Result<Option<Character>, StoreError> {
        let keys = self.sealing_keys(user).await?;
        repeat(|| async {
            let (id, now) = (CharacterId::generate(), Timestamp::now());
            let mut write = self.write().await?;
            write.lock_user(user).await?;
            let count = "SELECT COUNT(*) FROM characters WHERE user_id = ?";
            let count: i64 = sqlx::query_scalar(count).bind(user.to_string()).fetch_one(&mut *write).await?;
            if count >= MAX_CHARACTERS {
                return Ok(None);
            }
            insert(&mut write, user, id, persona, now, &keys).await?;
            write.commit().await?;
            Ok(Some(Character { id, owner: user, persona: persona.clone(), has_picture: false, updated_at: now }))
        })
        .await
    }

    /// Writes one of a person's own anew; false when the person has none of that id.
    pub async fn change_character(&self, user: UserId, id: CharacterId, persona: &Persona) -> Result<bool, StoreError> {
        let keys = self.sealing_keys(user).await?;
        let done = sqlx::query(
            "UPDATE characters SET sealed = ?, name = '', system_prompt = '', greeting = '', sampling = ?, shared = ?, updated_at = ?
             WHERE id = ? AND user_id = ?",
        )
        .bind(sealed(persona, id, &keys)?)
        .bind(serde_json::to_string(&persona.sampling).unwrap_or_default())
        .bind(persona.shared)
        .bind(Timestamp::now().0)
        .bind(id.to_string())
        .bind(user.to_string())
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Deletes one of a person's own; conversations with it stay. False when the person has none of that id.
    pub async fn delete_character(&self, user: UserId, id: CharacterId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM characters WHERE id = ? AND user_id = ?")
            .bind(id.to_string())
            .bind(user.to_string())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives one of a person's own a picture, or none; false when the person has none of that id.
    pub async fn set_picture(
        &self,
        user: UserId,
        id: CharacterId,
        picture: Option<(PictureKind, Vec<u8>)>,
    ) -> Result<bool, StoreError> {
        let keys = self.sealing_keys(user).await?;
        let mut write = self.write().await?;
        let done = sqlx::query("UPDATE characters SET updated_at = ? WHERE id = ? AND user_id = ?")
            .bind(Timestamp::now().0)
            .bind(id.to_string())
            .bind(user.to_string())
            .execute(&mut *write)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let delete = sqlx::query("DELETE FROM character_pictures WHERE character_id = ?").bind(id.to_string());
        delete.execute(&mut *write).await?;
        if let Some((kind, bytes)) = picture {
            sqlx::query("INSERT INTO character_pictures (character_id, kind, bytes, sealed) VALUES (?, ?, x'', ?)")
                .bind(id.to_string())
                .bind(kind.word())
                .bind(keys.seal(Table::Pictures, id, &bytes)?)
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
        Ok(true)
    }

    /// The picture of one that a person may talk to.
    pub async fn picture(&self, user: UserId, id: CharacterId) -> Result<Option<(PictureKind, Vec<u8>)>, StoreError> {
        let row = sqlx::query(
            "SELECT user_id, kind, bytes, character_pictures.sealed AS sealed FROM character_pictures JOIN characters ON characters.id = character_id
             WHERE character_id = ? AND (user_id = ? OR shared = 1)",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let bytes = match row.try_get::<Option<&[u8]>, _>("sealed")? {
            Some(sealed) => {
                let owner = self.keys_of(rows::parse("user_id", row.try_get("user_id")?)?).await?;
                owner.open(Table::Pictures, id, sealed)?
            }
            None => row.try_get("bytes")?,
        };
        Ok(Some((rows::word("kind", row.try_get("kind")?)?, bytes)))
    }
}

async fn insert(
    write: &mut Write,
    user: UserId,
    id: CharacterId,
    persona: &Persona,
    now: Timestamp,
    keys: &UserKeys,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO characters
             (id, user_id, name, system_prompt, greeting, sealed, sampling, shared, created_at, updated_at)
         VALUES (?, ?, '', '', '', ?, ?, ?, ?, ?)",
    )
    .bind(id.to_string())
    .bind(user.to_string())
    .bind(sealed(persona, id, keys)?)
    .bind(serde_json::to_string(&persona.sampling).unwrap_or_default())
    .bind(persona.shared)
    .bind(now.0)
    .bind(now.0)
    .execute(&mut **write)
    .await
    .map(drop)
}

fn sealed(persona: &Persona, id: CharacterId, keys: &UserKeys) -> Result<Vec<u8>, sqlx::Error> {
    let Persona { name, system_prompt, greeting, .. } = persona;
    keys.seal(Table::Characters, id, &words(&name.0, &system_prompt.0, &greeting.0))
}

/// What is sealed of a character.
pub(super) fn words(name: &str, system_prompt: &str, greeting: &str) -> Vec<u8> {
    serde_json::to_vec(&[name, system_prompt, greeting]).unwrap_or_default()
}
