//! The one place that knows both vocabularies: the wire's and the engine's.

use starling_inference as engine;
use starling_protocol::{limits, message as wire};

pub(crate) fn request(chat: wire::Chat) -> engine::Request {
    let tools = match chat.tool_choice {
        wire::ToolChoice::Never => None,
        _ => text(chat.tools),
    };
    let constraint = match (chat.tool_choice, chat.format) {
        (wire::ToolChoice::Required, _) => Some(engine::Constraint::ToolCall(None)),
        (wire::ToolChoice::Named(name), _) => Some(engine::Constraint::ToolCall(Some(name.0))),
        (_, Some(wire::Format::Json)) => Some(engine::Constraint::Json),
        (_, Some(wire::Format::Schema(schema))) => Some(engine::Constraint::Schema(schema.0)),
        (_, None) => None,
    };
    engine::Request {
        messages: chat.messages.into_iter().map(message).collect(),
        sampling: sampling(chat.sampling),
        max_tokens: chat.max_tokens,
        stop: chat.stop.into_iter().map(|stop| stop.0).collect(),
        continue_from: chat.continue_from,
        tools,
        constraint,
        thinking: chat.thinking,
        prefixes: chat.prefixes,
        raw: chat.raw.map(|raw| match raw {
            wire::RawPrompt::Text(text) => engine::RawPrompt::Text(text.0),
            wire::RawPrompt::Tokens(tokens) => engine::RawPrompt::Tokens(tokens.0),
        }),
    }
}

fn text(private: Option<wire::Private>) -> Option<String> {
    private.map(|private| private.0)
}

fn message(message: wire::ChatMessage) -> engine::Message {
    let role = match message.role {
        wire::Role::System => engine::Role::System,
        wire::Role::User => engine::Role::User,
        wire::Role::Assistant => engine::Role::Assistant,
        wire::Role::Tool => engine::Role::Tool,
    };
    engine::Message {
        role,
        content: message.content.0,
        reasoning: text(message.reasoning),
        tool_calls: text(message.tool_calls),
        tool_call_id: text(message.tool_call_id),
    }
}

/// What the request leaves open takes the engine's default.
fn sampling(sampling: wire::Sampling) -> engine::Sampling {
    let default = engine::Sampling::default();
    engine::Sampling {
        temperature: sampling.temperature.unwrap_or(default.temperature),
        top_p: sampling.top_p.unwrap_or(default.top_p),
        top_k: sampling.top_k.unwrap_or(default.top_k),
        min_p: sampling.min_p.unwrap_or(default.min_p),
        repetition_penalty: sampling.repetition_penalty.unwrap_or(default.repetition_penalty),
        seed: sampling.seed.or(default.seed),
        drawn: sampling.drawn,
        frequency_penalty: sampling.frequency_penalty.unwrap_or(default.frequency_penalty),
        presence_penalty: sampling.presence_penalty.unwrap_or(default.presence_penalty),
        logit_bias: sampling.logit_bias.into_iter().map(|entry| (entry.token, entry.bias)).collect(),
        top_logprobs: sampling.top_logprobs,
    }
}

pub(crate) fn refusal(refused: engine::Refused) -> wire::Refusal {
    match refused {
        engine::Refused::Busy | engine::Refused::Restarting => wire::Refusal::Busy,
        engine::Refused::Invalid(invalid) => {
            wire::Refusal::Invalid { field: invalid.field.into_owned(), reason: invalid.reason }
        }
        engine::Refused::PromptTooLong { tokens, limit } => wire::Refusal::PromptTooLong { tokens, limit },
        // The engine is gone, so the model is no longer served here.
        engine::Refused::Stopped => wire::Refusal::UnknownModel,
    }
}

/// The event for an output.
pub(crate) fn event(output: engine::Output, seq: &mut u64) -> wire::JobEvent {
    match output {
        engine::Output::Started { style, .. } => wire::JobEvent::Accepted(wire::Accepted { style: self::style(style) }),
        engine::Output::Piece { tokens, text, logprobs } => {
            let logprobs = logprobs.into_iter().map(logprob).collect();
            let piece = wire::Piece { seq: *seq, tokens, text: text.into(), logprobs };
            *seq += 1;
            wire::JobEvent::Piece(piece)
        }
        engine::Output::Vector { index, values } => wire::JobEvent::Vector(wire::Vector::new(index, &values)),
        engine::Output::Done { finish, usage, timings } => wire::JobEvent::Done(wire::Done {
            finish: match finish {
                engine::Finish::Stop => wire::Finish::Stop,
                engine::Finish::Length => wire::Finish::Length,
            },
            usage: wire::Usage {
                prompt_tokens: usage.prompt_tokens,
                cached_tokens: usage.cached_tokens,
                completion_tokens: usage.completion_tokens,
            },
            timings: wire::Timings { prefill_ms: timings.prefill_ms, decode_ms: timings.decode_ms },
        }),
        engine::Output::Failed(failure) => wire::JobEvent::Failed(match failure {
            engine::Failure::OutOfMemory => wire::JobFailure::OutOfMemory,
            engine::Failure::EngineDied { .. } => wire::JobFailure::EngineDied,
            engine::Failure::Garbage { .. } => wire::JobFailure::Garbage,
            engine::Failure::Hung => wire::JobFailure::Hung,
        }),
    }
}

fn style(style: engine::Style) -> wire::Style {
    let reasoning = match style.reasoning {
        engine::Reasoning::Never => wire::Reasoning::Never,
        engine::Reasoning::Marked => wire::Reasoning::Marked,
        engine::Reasoning::Open => wire::Reasoning::Open,
    };
    wire::Style { reasoning, tool_calls: style.tool_calls }
}

fn logprob(logprob: engine::TokenLogprob) -> wire::TokenLogprob {
    let likely = |likely: engine::Likely| wire::Likely {
        token: likely.token,
        logprob: likely.logprob,
        text: wire::PrivateBytes(likely.bytes),
    };
    wire::TokenLogprob { taken: likely(logprob.taken), top: logprob.top.into_iter().map(likely).collect() }
}

/// What a node says of one of its engines; none when the engine is dead.
pub(crate) fn offer(id: starling_protocol::ModelId, handle: &engine::Handle) -> Option<wire::Offer> {
    let (info, load) = (handle.info(), handle.load().borrow().clone());
    let (kind, dimensions) = match info.kind {
        engine::Kind::Chat => (wire::Kind::Chat, 0),
        engine::Kind::Embedding { dimensions } => (wire::Kind::Embedding, dimensions),
    };
    (load.alive || load.restarting).then(|| wire::Offer {
        context_tokens: info.context_tokens,
        slots: info.slots,
        slots_free: load.slots_free.min(info.slots),
        decode_tokens_per_second: load.decode_tokens_per_second as f32,
        prefill_tokens_per_second: load.prefill_tokens_per_second as f32,
        demo: info.demo,
        kind,
        dimensions,
        device: cut(&info.device, limits::MAX_LABEL_BYTES),
        memory_bytes: info.memory_bytes,
        prefixes: load.prefixes.iter().copied().take(limits::MAX_HELD_PREFIXES).collect(),
        throughput_tokens_per_second: load.throughput_tokens_per_second as f32,
        restarts: load.restarts,
        trouble: cut(&load.trouble, limits::MAX_REASON_BYTES),
        ..wire::Offer::new(id, cut(&info.name, limits::MAX_MODEL_NAME_BYTES))
    })
}

/// At most that many bytes of a text, in whole characters.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(9), 7), "üüü");
        assert_eq!(cut("short", 7), "short");
    }
}
