//! Conversations, messages, answers and what is remembered of them.

use starling_protocol::message::Role;

use super::super::{
    Answer, Conversation, ErrorBody, FinishReason, Memory, MemoryKind, Message, MessageRole, MessageStatus,
    SamplingDefaults, UsedMemory,
};
use crate::{
    memory::Found,
    store::{
        characters::Defaults,
        conversations,
        memories::{self, recalled::Recalled},
        messages,
    },
};

impl From<Defaults> for SamplingDefaults {
    fn from(Defaults { temperature, top_p, max_tokens }: Defaults) -> Self {
        Self { temperature, top_p, max_tokens }
    }
}

impl From<conversations::Conversation> for Conversation {
    fn from(from: conversations::Conversation) -> Self {
        Self {
            id: from.id,
            title: from.title.0,
            created_at: from.created_at,
            updated_at: from.updated_at,
            pinned: from.pinned,
            character: from.character,
            sampling: from.sampling.into(),
        }
    }
}

impl From<messages::Message> for Message {
    fn from(message: messages::Message) -> Self {
        Self {
            id: message.id,
            role: match message.role {
                Role::System => MessageRole::System,
                Role::User => MessageRole::User,
                // A tool's message is never stored: the column takes none.
                Role::Assistant | Role::Tool => MessageRole::Assistant,
            },
            text: message.text.0,
            created_at: message.created_at,
            status: match message.status {
                messages::Status::Complete => MessageStatus::Complete,
                // A running answer is not listed; one that is asked for by name is partial so far.
                messages::Status::Running | messages::Status::Partial => MessageStatus::Partial,
                messages::Status::Failed => MessageStatus::Failed,
            },
            error: message.error.map(Into::into),
            answer: message.answer.map(|answer| Answer { memories: used(message.recalled), ..answer.into() }),
            resumable: message.resumable,
            parent: message.position.parent,
            versions: message.position.versions,
        }
    }
}

/// As a reader is told; the similarity was a float of 32 bits.
fn used(recalled: Vec<Recalled>) -> Vec<UsedMemory> {
    let used = |one: Recalled| UsedMemory { id: one.memory, text: one.text.0, similarity: one.similarity as f32 };
    recalled.into_iter().map(used).collect()
}

impl From<memories::Memory> for Memory {
    fn from(memory: memories::Memory) -> Self {
        Self {
            id: memory.id,
            kind: match memory.kind {
                memories::Kind::Fact => MemoryKind::Fact,
                memories::Kind::Message => MemoryKind::Message,
            },
            text: memory.text.0,
            conversation: memory.conversation,
            created_at: memory.created_at,
            updated_at: memory.updated_at,
            similarity: None,
        }
    }
}

impl From<Found> for Memory {
    fn from(found: Found) -> Self {
        Self { similarity: Some(found.similarity), ..found.memory.into() }
    }
}

impl From<MemoryKind> for memories::Kind {
    fn from(kind: MemoryKind) -> Self {
        match kind {
            MemoryKind::Fact => Self::Fact,
            MemoryKind::Message => Self::Message,
        }
    }
}

impl From<messages::TurnError> for ErrorBody {
    fn from(error: messages::TurnError) -> Self {
        Self { code: error.code, message: error.message, field: None }
    }
}

impl From<messages::Answer> for Answer {
    fn from(answer: messages::Answer) -> Self {
        Self {
            node_name: answer.node_name,
            node_peer: answer.node_peer,
            nodes: answer.nodes,
            device: answer.device,
            model: answer.model,
            finish_reason: match answer.finish_reason {
                messages::FinishReason::Stop => FinishReason::Stop,
                messages::FinishReason::Length => FinishReason::Length,
                messages::FinishReason::Cancelled => FinishReason::Cancelled,
                messages::FinishReason::Error => FinishReason::Error,
            },
            prompt_tokens: answer.prompt_tokens,
            completion_tokens: answer.completion_tokens,
            first_token_ms: answer.first_token_ms,
            tokens_per_second: answer.tokens_per_second,
            memories: vec![],
        }
    }
}

impl From<Answer> for messages::Answer {
    fn from(answer: Answer) -> Self {
        Self {
            node_name: answer.node_name,
            node_peer: answer.node_peer,
            nodes: answer.nodes,
            device: answer.device,
            model: answer.model,
            finish_reason: match answer.finish_reason {
                FinishReason::Stop => messages::FinishReason::Stop,
                FinishReason::Length => messages::FinishReason::Length,
                FinishReason::Cancelled => messages::FinishReason::Cancelled,
                FinishReason::Error => messages::FinishReason::Error,
            },
            prompt_tokens: answer.prompt_tokens,
            completion_tokens: answer.completion_tokens,
            first_token_ms: answer.first_token_ms,
            tokens_per_second: answer.tokens_per_second,
        }
    }
}
