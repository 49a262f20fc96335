//! From what the gateway knows to what it says: the one file with both vocabularies.

use std::time::Duration;

use starling_protocol::{
    membership,
    message::{self, Role},
};

use super::{
    Answer, ApiKey, Conversation, ErrorBody, FinishReason, GpuView, Invitation, Invite, KeyScope, LoadableView,
    MemberRole, Memory, MemoryKind, MemoryView, Message, MessageRole, MessageStatus, ModelState, ModelView, Nat,
    NetworkView, NodeView, OfferView, Path, PauseReason, PausedView, Person, SamplingDefaults, SessionView, SignUpMode,
    TokenBudget, UsedMemory, User, UserRole,
    frames::{ServerFrame, SwarmSummary},
};
use crate::{
    accounts::SignUp,
    dispatch::{self, Estimate, View},
    events::Event,
    id::{ConversationId, SessionId, TurnId},
    memory::Found,
    store::{
        characters::Defaults,
        conversations, invitations, invites, keys,
        memories::{self, recalled::Recalled},
        messages, people, sessions, tokens, users,
    },
    turn::{Ended, News},
};

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        Self { id: user.id, username: user.username, role: user.role.into() }
    }
}

impl From<UserRole> for users::Role {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::User => Self::User,
            UserRole::Worker => Self::Worker,
            UserRole::Admin => Self::Admin,
        }
    }
}

impl From<users::Role> for UserRole {
    fn from(role: users::Role) -> Self {
        match role {
            users::Role::User => Self::User,
            users::Role::Worker => Self::Worker,
            users::Role::Admin => Self::Admin,
        }
    }
}

impl Person {
    /// With the tokens that were used, and what each may use unless it is said otherwise.
    pub(in crate::api) fn new(person: people::Person, used: u64, default: u64) -> Self {
        let people::Person { user: users::User { id, username, role }, created_at, disabled, tokens_per_month } =
            person;
        let tokens = TokenBudget { used, per_month: tokens::budget(tokens_per_month, default) };
        Self { id, username, role: role.into(), created_at, disabled, tokens, own_budget: tokens_per_month.is_some() }
    }
}

impl From<invitations::Invitation> for Invitation {
    fn from(one: invitations::Invitation) -> Self {
        let invitations::Invitation { id, label, role, max_uses, uses, created_at, expires_at } = one;
        Self { id, label, role: role.into(), max_uses, uses, created_at, expires_at }
    }
}

impl From<SignUp> for SignUpMode {
    fn from(who: SignUp) -> Self {
        match who {
            SignUp::Open => Self::Open,
            SignUp::Invitation => Self::Invitation,
            SignUp::Closed => Self::Closed,
        }
    }
}

impl SessionView {
    pub(in crate::api) fn new(session: sessions::Session, asking: SessionId) -> Self {
        let sessions::Session { id, created_at, last_used_at, device } = session;
        let current = id == asking;
        Self { id, created_at, last_used_at, agent: device.agent, network: device.network, current }
    }
}

impl From<(keys::Key, u64)> for ApiKey {
    fn from((key, used): (keys::Key, u64)) -> Self {
        let keys::Key { id, label, created_at, last_used_at, scopes, tokens_per_month } = key;
        let tokens = TokenBudget { used, per_month: tokens::budget(Some(tokens_per_month), 0) };
        Self { id, label, created_at, last_used_at, scopes: scopes.into_iter().map(Into::into).collect(), tokens }
    }
}

impl From<keys::Scope> for KeyScope {
    fn from(scope: keys::Scope) -> Self {
        match scope {
            keys::Scope::Chat => Self::Chat,
            keys::Scope::Embeddings => Self::Embeddings,
            keys::Scope::Models => Self::Models,
            keys::Scope::Metrics => Self::Metrics,
        }
    }
}

impl From<KeyScope> for keys::Scope {
    fn from(scope: KeyScope) -> Self {
        match scope {
            KeyScope::Chat => Self::Chat,
            KeyScope::Embeddings => Self::Embeddings,
            KeyScope::Models => Self::Models,
            KeyScope::Metrics => Self::Metrics,
        }
    }
}

impl From<membership::MemberRole> for MemberRole {
    fn from(role: membership::MemberRole) -> Self {
        match role {
            membership::MemberRole::Node => Self::Node,
            membership::MemberRole::Gateway => Self::Gateway,
        }
    }
}

impl From<MemberRole> for membership::MemberRole {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Node => Self::Node,
            MemberRole::Gateway => Self::Gateway,
        }
    }
}

impl From<invites::Invite> for Invite {
    fn from(invite: invites::Invite) -> Self {
        Self {
            id: invite.id,
            label: invite.label,
            role: invite.role.into(),
            max_uses: invite.max_uses,
            uses: invite.uses,
            created_at: invite.created_at,
            expires_at: invite.expires_at,
            revoked_at: invite.revoked_at,
        }
    }
}

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

impl From<&dispatch::NodeView> for NodeView {
    fn from(node: &dispatch::NodeView) -> Self {
        Self {
            peer: node.peer.to_string(),
            name: node.name.clone(),
            path: path(node.relayed),
            rtt_ms: node.rtt.map(milliseconds),
            slots_free: node.slots_free,
            slots_total: node.slots,
            models: node.models.clone(),
            decode_tokens_per_second: node.decode_tokens_per_second,
            device: node.device.clone(),
            version: node.version.clone(),
            warning: node.warning.clone(),
            gpus: node.gpus.iter().map(Into::into).collect(),
            ram: node.ram.into(),
            offers: node.offers.iter().map(Into::into).collect(),
            network: (&node.network).into(),
            drained: node.drained,
            loadable: node.loadable.iter().map(Into::into).collect(),
            paused: node.paused.map(Into::into),
        }
    }
}

impl From<message::Paused> for PausedView {
    fn from(message::Paused { kind, seconds, returning }: message::Paused) -> Self {
        Self { reason: kind.into(), seconds, returning }
    }
}

impl From<message::PauseKind> for PauseReason {
    fn from(kind: message::PauseKind) -> Self {
        match kind {
            message::PauseKind::Other => Self::Other,
            message::PauseKind::ByHand => Self::ByHand,
            message::PauseKind::FullScreen => Self::FullScreen,
            message::PauseKind::Process => Self::Process,
            message::PauseKind::Battery => Self::Battery,
            message::PauseKind::Temperature => Self::Temperature,
            message::PauseKind::Gpu => Self::Gpu,
            message::PauseKind::Schedule => Self::Schedule,
        }
    }
}

impl From<&message::Loadable> for LoadableView {
    fn from(loadable: &message::Loadable) -> Self {
        Self {
            model: loadable.name.clone(),
            bytes: loadable.bytes,
            loading_permille: loadable.loading,
            seconds: loadable.seconds,
            trouble: loadable.trouble.clone(),
        }
    }
}

impl From<dispatch::ModelState> for ModelState {
    fn from(state: dispatch::ModelState) -> Self {
        match state {
            dispatch::ModelState::Loaded => Self::Loaded,
            dispatch::ModelState::Loading => Self::Loading,
            dispatch::ModelState::Loadable => Self::Loadable,
            dispatch::ModelState::Away => Self::Away,
        }
    }
}

impl From<&message::Network> for NetworkView {
    fn from(network: &message::Network) -> Self {
        Self {
            nat: network.nat.into(),
            udp: network.udp,
            ipv6: network.ipv6,
            relays: network.relays,
            mapped: network.mapped,
        }
    }
}

impl From<message::Nat> for Nat {
    fn from(nat: message::Nat) -> Self {
        match nat {
            message::Nat::Unknown => Self::Unknown,
            message::Nat::Open => Self::Open,
            message::Nat::FullCone => Self::FullCone,
            message::Nat::Cone => Self::Cone,
            message::Nat::Symmetric => Self::Symmetric,
        }
    }
}

impl From<&message::Gpu> for GpuView {
    fn from(gpu: &message::Gpu) -> Self {
        Self {
            name: gpu.name.clone(),
            memory: gpu.memory.into(),
            utilization_percent: gpu.utilization_percent,
            temperature_celsius: gpu.temperature_celsius,
            power_watts: gpu.power_watts,
        }
    }
}

impl From<message::Memory> for MemoryView {
    fn from(memory: message::Memory) -> Self {
        Self { total: memory.total, used: memory.used }
    }
}

impl From<&message::Offer> for OfferView {
    fn from(offer: &message::Offer) -> Self {
        Self {
            model: offer.name.clone(),
            device: offer.device.clone(),
            memory_bytes: offer.memory_bytes,
            context_tokens: offer.context_tokens,
            slots_free: offer.slots_free,
            slots_total: offer.slots,
            prefill_tokens_per_second: offer.prefill_tokens_per_second,
            decode_tokens_per_second: offer.decode_tokens_per_second,
            throughput_tokens_per_second: offer.throughput_tokens_per_second,
            restarts: offer.restarts,
            trouble: offer.trouble.clone(),
        }
    }
}

impl From<&dispatch::ModelView> for ModelView {
    fn from(model: &dispatch::ModelView) -> Self {
        Self {
            id: model.name.clone(),
            hash: model.id.to_string(),
            context_tokens: model.context_tokens,
            demo: model.demo,
            nodes: model.nodes,
            slots_free: model.slots_free,
            slots_total: model.slots,
            state: model.state().into(),
            loading_permille: model.loading.filter(|_| model.nodes == 0),
        }
    }
}

impl From<&View> for SwarmSummary {
    fn from(view: &View) -> Self {
        Self {
            nodes: u32::try_from(view.nodes.len()).unwrap_or(u32::MAX),
            models: view.chat_models().map(|model| model.name.clone()).collect(),
        }
    }
}

/// What happened to a person's conversations, as their windows are told.
#[must_use]
pub fn event(event: Event) -> Option<ServerFrame> {
    let copy = |conversation: std::sync::Arc<conversations::Conversation>| (*conversation).clone().into();
    Some(match event {
        Event::Changed(conversation) => ServerFrame::Changed { conversation: copy(conversation) },
        Event::Titled(conversation) => ServerFrame::Titled { conversation: copy(conversation) },
        Event::Deleted(conversation) => ServerFrame::Deleted { conversation },
        Event::Reread(conversation) => ServerFrame::Reread { conversation },
        Event::Began(conversation, turn) => ServerFrame::Began { conversation, turn },
        Event::Ended(conversation, turn) => ServerFrame::Ended { conversation, turn },
        Event::Missed => ServerFrame::Missed,
        Event::Out => return None,
    })
}

/// What happened in a turn, as its readers are told.
#[must_use]
pub fn frame(turn: TurnId, conversation: ConversationId, news: News) -> ServerFrame {
    match news {
        News::Waiting(Estimate { position, seconds }) => ServerFrame::Waiting { turn, position, seconds },
        News::Loading(load) => ServerFrame::LoadingModel {
            turn,
            node_name: load.node_name.clone(),
            model: load.model.clone(),
            permille: load.permille,
        },
        News::Started(who) => ServerFrame::Started {
            turn,
            conversation,
            node_name: who.node_name.clone(),
            node_peer: who.node_peer.clone(),
            path: path(who.relayed),
            model: who.model.clone(),
            nodes: who.nodes.clone(),
        },
        News::Thinking => ServerFrame::Thinking { turn },
        News::Piece { from, seq, text } => ServerFrame::Piece { turn, from, seq, text },
        News::Ended(ended) => end(turn, conversation, &ended),
    }
}

/// A turn's last frame.
pub fn end(turn: TurnId, conversation: ConversationId, ended: &Ended) -> ServerFrame {
    let message = ended.message.clone().map(Message::from);
    match (message, &ended.error) {
        (Some(message), None) => ServerFrame::Done { turn, conversation, message },
        (message, error) => ServerFrame::Failed {
            turn: Some(turn),
            request: None,
            conversation: Some(conversation),
            error: error.clone().map_or_else(deleted, Into::into),
            message,
        },
    }
}

fn deleted() -> ErrorBody {
    let message = "The conversation was deleted while this answer was being given.".to_owned();
    ErrorBody { code: "no_such_conversation".to_owned(), message, field: None }
}

fn path(relayed: bool) -> Path {
    if relayed { Path::Relayed } else { Path::Direct }
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
