//! Messages as chat templates expect them: what OpenAI's API calls them, with the arguments of calls as objects.

use minijinja::value::{Serde, Value};
use serde_json::{Map, Value as Json};

use crate::{Invalid, Message};

/// The list that a template sees.
pub(super) fn values(messages: &[Message]) -> Result<Value, Invalid> {
    let messages: Vec<Json> = messages.iter().map(value).collect::<Result<_, _>>()?;
    Ok(Value::from(Serde(messages)))
}

/// What a message does not have is not there at all: templates ask whether it is defined.
fn value(message: &Message) -> Result<Json, Invalid> {
    let mut value = Map::new();
    value.insert("role".into(), message.role.as_str().into());
    value.insert("content".into(), message.content.as_str().into());
    if let Some(reasoning) = &message.reasoning {
        value.insert("reasoning_content".into(), reasoning.as_str().into());
    }
    if let Some(calls) = &message.tool_calls {
        value.insert("tool_calls".into(), parse_calls(calls)?);
    }
    if let Some(id) = &message.tool_call_id {
        value.insert("tool_call_id".into(), id.as_str().into());
    }
    Ok(value.into())
}

fn parse_calls(text: &str) -> Result<Json, Invalid> {
    let Ok(Json::Array(mut calls)) = serde_json::from_str(text) else {
        return Err(Invalid::new("messages", "tool_calls must be a JSON list"));
    };
    for call in &mut calls {
        let Some(function) = call.get_mut("function").filter(|function| function["name"].is_string()) else {
            return Err(Invalid::new("messages", "each of tool_calls must have a function with a name"));
        };
        // The API has them as text; templates write objects. What a model once wrote may be no JSON and stays text.
        if let Some(arguments) = function.get_mut("arguments")
            && let Some(object) = arguments.as_str().and_then(|text| serde_json::from_str::<Json>(text).ok())
            && object.is_object()
        {
            *arguments = object;
        }
    }
    Ok(calls.into())
}
