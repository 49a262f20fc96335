//! The limits of a request, each with a sentence for who went beyond it.

use super::{Invalid, MAX_MESSAGES, MAX_PROMPT_BYTES, MAX_STOP_BYTES, MAX_STOPS, MAX_TEXTS, Message, RawPrompt};

pub(super) fn within(field: &'static str, value: f32, low: f32, high: f32) -> Result<(), Invalid> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(field, format!("must be from {low} to {high}, is {value}")))
}

pub(super) fn validate_messages(messages: &[Message], tools: Option<&str>) -> Result<(), Invalid> {
    if messages.is_empty() {
        return Err(Invalid::new("messages", "must have at least one message"));
    }
    if messages.len() > MAX_MESSAGES {
        return Err(Invalid::new("messages", format!("at most {MAX_MESSAGES} messages, there are {}", messages.len())));
    }
    let bytes = messages.iter().map(Message::bytes).sum::<usize>() + tools.map_or(0, str::len);
    if bytes > MAX_PROMPT_BYTES {
        return Err(Invalid::new("messages", format!("at most {MAX_PROMPT_BYTES} bytes of text, there are {bytes}")));
    }
    Ok(())
}

pub(super) fn validate_raw(raw: &RawPrompt) -> Result<(), Invalid> {
    // A token takes four bytes here, and about as many in a text.
    let (count, bytes) = match raw {
        RawPrompt::Text(text) => (text.len(), text.len()),
        RawPrompt::Tokens(tokens) => (tokens.len(), tokens.len().saturating_mul(size_of::<u32>())),
    };
    if count == 0 {
        return Err(Invalid::new("prompt", "must not be empty"));
    }
    if bytes > MAX_PROMPT_BYTES {
        return Err(Invalid::new("prompt", format!("at most {MAX_PROMPT_BYTES} bytes, there are {bytes}")));
    }
    Ok(())
}

pub(super) fn validate_stops(stops: &[String]) -> Result<(), Invalid> {
    if stops.len() > MAX_STOPS {
        return Err(Invalid::new("stop", format!("at most {MAX_STOPS} strings, there are {}", stops.len())));
    }
    for stop in stops {
        if stop.is_empty() {
            return Err(Invalid::new("stop", "a stop string must not be empty"));
        }
        if stop.len() > MAX_STOP_BYTES {
            return Err(Invalid::new("stop", format!("at most {MAX_STOP_BYTES} bytes each, one has {}", stop.len())));
        }
    }
    Ok(())
}

/// Checks texts to embed, as far as that needs no engine.
pub(crate) fn validate_texts(texts: &[String]) -> Result<(), Invalid> {
    if texts.is_empty() {
        return Err(Invalid::new("input", "must have at least one text"));
    }
    if texts.len() > MAX_TEXTS {
        return Err(Invalid::new("input", format!("at most {MAX_TEXTS} texts, there are {}", texts.len())));
    }
    if let Some(empty) = texts.iter().position(String::is_empty) {
        return Err(Invalid::new("input", format!("text {empty} is empty")));
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    if bytes > MAX_PROMPT_BYTES {
        return Err(Invalid::new("input", format!("at most {MAX_PROMPT_BYTES} bytes of text, there are {bytes}")));
    }
    Ok(())
}
