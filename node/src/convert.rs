//! The one place that knows both vocabularies: the wire's and the engine's.

use starling_inference as engine;
use starling_protocol::message as wire;

pub(crate) fn request(request: wire::JobRequest) -> engine::Request {
    engine::Request {
        messages: request.messages.into_iter().map(message).collect(),
        sampling: sampling(&request.sampling),
        max_tokens: request.max_tokens,
        stop: request.stop.into_iter().map(|stop| stop.0).collect(),
        continue_from: request.continue_from,
    }
}

fn message(message: wire::ChatMessage) -> engine::Message {
    let role = match message.role {
        wire::Role::System => engine::Role::System,
        wire::Role::User => engine::Role::User,
        wire::Role::Assistant => engine::Role::Assistant,
    };
    engine::Message { role, content: message.content.0 }
}

/// What the request leaves open takes the engine's default.
fn sampling(sampling: &wire::Sampling) -> engine::Sampling {
    let default = engine::Sampling::default();
    engine::Sampling {
        temperature: sampling.temperature.unwrap_or(default.temperature),
        top_p: sampling.top_p.unwrap_or(default.top_p),
        top_k: sampling.top_k.unwrap_or(default.top_k),
        min_p: sampling.min_p.unwrap_or(default.min_p),
        repetition_penalty: sampling.repetition_penalty.unwrap_or(default.repetition_penalty),
        seed: sampling.seed.or(default.seed),
    }
}

pub(crate) fn refusal(refused: engine::Refused) -> wire::Refusal {
    match refused {
        engine::Refused::Busy => wire::Refusal::Busy,
        engine::Refused::Invalid(invalid) => {
            wire::Refusal::Invalid { field: invalid.field.to_owned(), reason: invalid.reason }
        }
        engine::Refused::PromptTooLong { tokens, limit } => wire::Refusal::PromptTooLong { tokens, limit },
        // The engine is gone, so the model is no longer served here.
        engine::Refused::Stopped => wire::Refusal::UnknownModel,
    }
}

/// The event for an output, or none where the wire has no word for it.
pub(crate) fn event(output: engine::Output, seq: &mut u64) -> Option<wire::JobEvent> {
    match output {
        engine::Output::Started { .. } => None,
        engine::Output::Piece { tokens, text } => {
            let piece = wire::Piece { seq: *seq, tokens, text: text.into() };
            *seq += 1;
            Some(wire::JobEvent::Piece(piece))
        }
        engine::Output::Done { finish, usage, timings } => Some(wire::JobEvent::Done(wire::Done {
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
        })),
        engine::Output::Failed(failure) => Some(wire::JobEvent::Failed(match failure {
            engine::Failure::OutOfMemory => wire::JobFailure::OutOfMemory,
            engine::Failure::EngineDied { .. } => wire::JobFailure::EngineDied,
            engine::Failure::Garbage { .. } => wire::JobFailure::Garbage,
        })),
    }
}

/// What a node says of one of its engines; none when the engine is dead.
pub(crate) fn offer(id: starling_protocol::ModelId, handle: &engine::Handle) -> Option<wire::Offer> {
    let (info, load) = (handle.info(), *handle.load().borrow());
    load.alive.then(|| wire::Offer {
        model: id,
        name: info.name.clone(),
        context_tokens: info.context_tokens,
        slots: info.slots,
        slots_free: load.slots_free.min(info.slots),
        decode_tokens_per_second: load.decode_tokens_per_second as f32,
        prefill_tokens_per_second: load.prefill_tokens_per_second as f32,
        demo: info.demo,
    })
}
