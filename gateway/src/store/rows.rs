//! Words in columns.

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
