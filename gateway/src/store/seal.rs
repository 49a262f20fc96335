//! The words in columns, sealed with a key of their owner's own (`vault`).
//!
//! Each table with words has a column `sealed`, which holds all of a row's words together, and leaves the columns that
//! held them before empty. A row of an earlier release has none; it is read as it is, until `reseal` comes to it.

use std::fmt::Display;

use sqlx::Row;

use super::{DbRow, rows};
use crate::vault::{self, Cipher, Key, Place};

/// The tables with words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Messages,
    /// What broke in an answer.
    Errors,
    Conversations,
    Progress,
    Characters,
    Pictures,
    Memories,
    Vectors,
    Recalled,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Errors => "messages.error",
            Self::Conversations => "conversations",
            Self::Progress => "progress",
            Self::Characters => "characters",
            Self::Pictures => "character_pictures",
            Self::Memories => "memories",
            Self::Vectors => "memories.vector",
            Self::Recalled => "recalled",
        }
    }
}

/// What opens and seals one user's words. Wiped from memory with the last of its clones.
#[derive(Debug)]
pub(super) struct UserKeys {
    owner: String,
    cipher: Cipher,
    /// With their generations, the newest last.
    keys: Vec<(u32, Key)>,
}

impl UserKeys {
    /// The newest key comes last.
    pub(super) fn new(owner: String, cipher: Cipher, keys: Vec<(u32, Key)>) -> Self {
        Self { owner, cipher, keys }
    }

    /// The generation that seals.
    pub(super) fn generation(&self) -> u32 {
        self.keys.last().map_or(0, |(generation, _)| *generation)
    }

    fn place<'a>(&'a self, table: Table, row: &'a str) -> Place<'a> {
        Place { table: table.name(), row, owner: &self.owner }
    }

    /// For the column `sealed` of that row.
    pub(super) fn seal(&self, table: Table, row: impl Display, words: &[u8]) -> Result<Vec<u8>, sqlx::Error> {
        let (generation, key) = self.keys.last().ok_or_else(|| rows::unreadable("sealed"))?;
        Ok(key.seal(self.cipher, *generation, self.place(table, &row.to_string()), words))
    }

    /// What was sealed there.
    pub(super) fn open(&self, table: Table, row: impl Display, sealed: &[u8]) -> Result<Vec<u8>, sqlx::Error> {
        let generation = vault::generation(sealed);
        let key = self.keys.iter().find(|(known, _)| Some(*known) == generation);
        let (_, key) = key.ok_or_else(|| rows::unreadable("sealed"))?;
        let words = key.open(sealed, self.place(table, &row.to_string()));
        words.map(|mut words| std::mem::take(&mut *words)).map_err(|_| rows::unreadable("sealed"))
    }

    /// The words of a row: what is sealed, or else what an earlier release has left in `plain`.
    pub(super) fn text(&self, table: Table, row: &DbRow, id: &str, plain: &str) -> Result<String, sqlx::Error> {
        match row.try_get::<Option<&[u8]>, _>("sealed")? {
            Some(sealed) => utf8(self.open(table, id, sealed)?),
            None => row.try_get(plain),
        }
    }
}

pub(super) fn utf8(bytes: Vec<u8>) -> Result<String, sqlx::Error> {
    String::from_utf8(bytes).map_err(|_| rows::unreadable("sealed"))
}
