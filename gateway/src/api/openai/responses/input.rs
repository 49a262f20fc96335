//! `input`: a text, or the items of a conversation, as messages that a model's template knows.
//!
//! Read by hand where a field has two shapes, so that an error says where in the list the mistake is.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::{Value, json};
use starling_protocol::{
    limits::MAX_MESSAGES,
    message::{ChatMessage, Private, Role},
};
use utoipa::ToSchema;

use crate::api::{error::ApiError, openapi::text_or_list};

/// What a conversation is to go on from.
pub(super) enum Input {
    Text(String),
    Items(Vec<Item>),
}

/// One item, of whichever kind it says it is: a message when it says nothing.
#[derive(Deserialize, ToSchema)]
#[schema(as = InputItem)]
pub(in crate::api) struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<InRole>,
    #[schema(schema_with = text_or_list::<Part>)]
    content: Option<Words>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    #[schema(schema_with = text_or_list::<Part>)]
    output: Option<Words>,
    #[schema(schema_with = text_or_list::<Part>)]
    summary: Option<Words>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = InputRole)]
#[serde(rename_all = "lowercase")]
enum InRole {
    System,
    Developer,
    User,
    Assistant,
}

/// A text, or parts that are texts.
struct Words(String);

/// One of several.
#[derive(Deserialize, ToSchema)]
#[schema(as = InputPart)]
pub(in crate::api) struct Part {
    #[serde(rename = "type")]
    _kind: PartKind,
    #[serde(alias = "refusal")]
    text: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InputPartKind)]
enum PartKind {
    InputText,
    OutputText,
    SummaryText,
    ReasoningText,
    Text,
    Refusal,
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of text parts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Words, A::Error> {
                let mut whole = String::new();
                while let Some(part) = parts.next_element::<Part>()? {
                    whole.push_str(&part.text);
                }
                Ok(Words(whole))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Input;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of items")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Input, E> {
                Ok(Input::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Input, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                Ok(Input::Items(all))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// Messages as they come, of which those of one turn of the assistant are put together.
#[derive(Default)]
struct Messages {
    all: Vec<ChatMessage>,
    /// Calls of the last message, which is the assistant's.
    calls: Vec<Value>,
    /// Thoughts that stand before what the assistant says next.
    thoughts: Option<String>,
}

/// A field and what is wrong with it.
type Wrong = (&'static str, &'static str);

impl Input {
    /// Checks each item for what its kind must have.
    pub(super) fn messages(self, instructions: Option<String>) -> Result<Vec<ChatMessage>, ApiError> {
        let mut messages = Messages::default();
        messages.all.extend(instructions.map(|instructions| ChatMessage::new(Role::System, instructions)));
        match self {
            Self::Text(text) => messages.all.push(ChatMessage::new(Role::User, text)),
            Self::Items(items) if items.is_empty() || items.len() > MAX_MESSAGES => {
                return Err(ApiError::field("input", format!("must be 1 to {MAX_MESSAGES} items")));
            }
            Self::Items(items) => {
                for (index, item) in items.into_iter().enumerate() {
                    let at = |(field, reason)| ApiError::field(format!("input[{index}].{field}"), reason);
                    messages.add(item).map_err(at)?;
                }
            }
        }
        messages.close();
        Ok(messages.all)
    }
}

impl Messages {
    fn add(&mut self, item: Item) -> Result<(), Wrong> {
        match item.kind.as_deref() {
            None | Some("message") => self.message(item),
            Some("function_call") => self.call(item),
            Some("function_call_output") => self.output(item),
            Some("reasoning") => {
                let thoughts = item.content.or(item.summary).map(|words| words.0);
                self.thoughts = thoughts.filter(|thoughts| !thoughts.is_empty());
                Ok(())
            }
            Some("item_reference") => Err(("type", "item_reference: nothing is stored here, send the item itself")),
            Some(_) => Err(("type", "must be message, function_call, function_call_output or reasoning")),
        }
    }

    fn message(&mut self, item: Item) -> Result<(), Wrong> {
        self.close();
        let content = item.content.ok_or(("content", "is missing"))?.0;
        let role = match item.role.ok_or(("role", "is missing"))? {
            InRole::System | InRole::Developer => Role::System,
            InRole::User => Role::User,
            InRole::Assistant => Role::Assistant,
        };
        let reasoning = self.thoughts.take().filter(|_| role == Role::Assistant).map(Private);
        self.all.push(ChatMessage { reasoning, ..ChatMessage::new(role, content) });
        Ok(())
    }

    fn call(&mut self, item: Item) -> Result<(), Wrong> {
        let id = item.call_id.ok_or(("call_id", "is missing"))?;
        let name = item.name.ok_or(("name", "is missing"))?;
        let arguments = item.arguments.ok_or(("arguments", "is missing"))?;
        if self.calls.is_empty() && self.all.last().is_none_or(|last| last.role != Role::Assistant) {
            let reasoning = self.thoughts.take().map(Private);
            self.all.push(ChatMessage { reasoning, ..ChatMessage::new(Role::Assistant, "") });
        }
        self.calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}));
        Ok(())
    }

    fn output(&mut self, item: Item) -> Result<(), Wrong> {
        self.close();
        let id = item.call_id.ok_or(("call_id", "is missing"))?;
        let output = item.output.ok_or(("output", "is missing"))?.0;
        self.all.push(ChatMessage { tool_call_id: Some(Private(id)), ..ChatMessage::new(Role::Tool, output) });
        Ok(())
    }

    /// The assistant's message has all of its calls.
    fn close(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let calls = Value::Array(std::mem::take(&mut self.calls)).to_string();
        if let Some(last) = self.all.last_mut() {
            last.tool_calls = Some(Private(calls));
        }
    }
}
