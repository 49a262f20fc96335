//! What a message says: one text, or a list of parts.
//!
//! Read by hand and not as an untagged enum, which could not say where in the list the mistake is.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use utoipa::ToSchema;

/// What a message says: a text, or parts that are texts.
pub(super) struct Content(pub(super) String);

/// One of several.
#[derive(Deserialize, ToSchema)]
#[schema(as = TextPart)]
pub(in crate::api) struct Part {
    #[serde(rename = "type")]
    _kind: PartKind,
    text: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TextPartKind)]
enum PartKind {
    Text,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of text parts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
                let mut whole = String::new();
                while let Some(part) = parts.next_element::<Part>()? {
                    whole.push_str(&part.text);
                }
                Ok(Content(whole))
            }
        }
        deserializer.deserialize_any(Read)
    }
}
