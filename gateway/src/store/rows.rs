//! What is in columns: words, and numbers that SQLite and MySQL give in different widths.

use sqlx::Row;

use super::DbRow;

/// An enum that is a word in a column; a word that is none of them is an error when read.
macro_rules! words {
    ($name:ty { $($variant:path = $word:literal),+ $(,)? }) => {
        impl $crate::store::rows::Word for $name {
            fn word(&self) -> &'static str {
                match self {
                    $($variant => $word,)+
                }
            }

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some($variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use words;

pub(super) trait Word: Sized {
    fn word(&self) -> &'static str;
    fn from_word(word: &str) -> Option<Self>;
}

/// A column that holds something else than this program writes there.
pub(super) fn unreadable(column: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "unexpected value".into() }
}

pub(super) fn word<T: Word>(column: &'static str, text: &str) -> Result<T, sqlx::Error> {
    T::from_word(text).ok_or_else(|| unreadable(column))
}

pub(super) fn parse<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|_| unreadable(column))
}

/// A whole number; one that its type cannot hold is an error.
pub(super) fn number<T: TryFrom<i64>>(row: &DbRow, column: &'static str) -> Result<T, sqlx::Error> {
    T::try_from(row.try_get(column)?).map_err(|_| unreadable(column))
}

/// A whole number, or none.
pub(super) fn maybe_number<T: TryFrom<i64>>(row: &DbRow, column: &'static str) -> Result<Option<T>, sqlx::Error> {
    let number: Option<i64> = row.try_get(column)?;
    number.map(|number| T::try_from(number).map_err(|_| unreadable(column))).transpose()
}

/// Yes or no, which is 1 or 0 in a column.
pub(super) fn flag(row: &DbRow, column: &'static str) -> Result<bool, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}
