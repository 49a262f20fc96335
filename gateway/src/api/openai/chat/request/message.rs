//! A conversation's messages, as clients write them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use starling_protocol::{
    limits,
    message::{ChatMessage, Private, Role},
};
use utoipa::ToSchema;

use super::content::{Content, Part};
use crate::api::{error::ApiError, openapi::text_or_list};

#[derive(Deserialize, ToSchema)]
#[schema(as = ChatMessage)]
pub(super) struct InMessage {
    role: InRole,
    #[schema(schema_with = text_or_list::<Part>)]
    content: Option<Content>,
    tool_calls: Option<Vec<Call>>,
    tool_call_id: Option<String>,
    reasoning_content: Option<String>,
    /// What some call `reasoning_content`.
    reasoning: Option<String>,
    function_call: Option<Value>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = ChatRole)]
#[serde(rename_all = "lowercase")]
enum InRole {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

/// A call that the model has made, and that goes back to it in the same form.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = ChatCall)]
struct Call {
    id: String,
    #[serde(rename = "type", default)]
    kind: CallKind,
    function: Function,
}

#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CallKind {
    #[default]
    Function,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = ChatFunction)]
struct Function {
    name: String,
    /// JSON as text.
    arguments: String,
}

/// Checks each message for what its role must have and cannot have.
pub(super) fn check(messages: Vec<InMessage>) -> Result<Vec<ChatMessage>, ApiError> {
    if messages.is_empty() || messages.len() > limits::MAX_MESSAGES {
        return Err(ApiError::field("messages", format!("must be 1 to {} messages", limits::MAX_MESSAGES)));
    }
    let at = |(index, message): (usize, InMessage)| {
        message.check().map_err(|(field, reason)| ApiError::field(format!("messages[{index}].{field}"), reason))
    };
    messages.into_iter().enumerate().map(at).collect()
}

/// A field and what is wrong with it.
type Wrong = (&'static str, &'static str);

impl InMessage {
    fn check(self) -> Result<ChatMessage, Wrong> {
        let role = Role::from(self.role);
        let calls = self.tool_calls.filter(|calls| !calls.is_empty());
        let reasoning = self.reasoning_content.or(self.reasoning).filter(|thoughts| !thoughts.is_empty());
        if self.function_call.is_some_and(|call| !call.is_null()) {
            return Err(("function_call", "is not supported: it is called tool_calls now"));
        }
        if role != Role::Assistant && calls.is_some() {
            return Err(("tool_calls", "belongs to a message of the assistant"));
        }
        if role != Role::Assistant && reasoning.is_some() {
            return Err(("reasoning_content", "belongs to a message of the assistant"));
        }
        if role == Role::Tool && self.tool_call_id.is_none() {
            return Err(("tool_call_id", "is missing"));
        }
        let content = match self.content {
            Some(content) => content.0,
            None if calls.is_some() => String::new(),
            None => return Err(("content", "is missing")),
        };
        let calls = calls.map(|calls| serde_json::to_string(&calls).expect("calls are plain data"));
        Ok(ChatMessage {
            reasoning: reasoning.map(Private),
            tool_calls: calls.map(Private),
            tool_call_id: self.tool_call_id.filter(|_| role == Role::Tool).map(Private),
            ..ChatMessage::new(role, content)
        })
    }
}

impl From<InRole> for Role {
    fn from(role: InRole) -> Self {
        match role {
            // "developer" is what newer clients call it.
            InRole::System | InRole::Developer => Self::System,
            InRole::User => Self::User,
            InRole::Assistant => Self::Assistant,
            InRole::Tool => Self::Tool,
        }
    }
}
