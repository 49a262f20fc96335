//! The JSON that the gateway and its web page exchange.
//!
//! These types are for the wire only; the page's TypeScript is made of them (`ui/src/wire/index.ts`).
//! None that carries what people say, or a secret, has a `Debug`.

pub mod convert;
mod export;
pub mod frames;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    clock::Timestamp,
    id::{CharacterId, ConversationId, InviteId, KeyId, MessageId, UserId},
};

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    User,
    Admin,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub role: UserRole,
}

#[derive(Clone, Serialize, TS)]
pub struct Conversation {
    pub id: ConversationId,
    pub title: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// It stands before the others.
    pub pinned: bool,
    /// With whom it is held.
    pub character: Option<CharacterId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    System,
    User,
    Assistant,
}

/// How a message ended: whole, cut short with some text, or with none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    Complete,
    Partial,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    Stop,
    Length,
    Cancelled,
    Error,
}

#[derive(Clone, Serialize, TS)]
pub struct Message {
    pub id: MessageId,
    pub role: MessageRole,
    pub text: String,
    pub created_at: Timestamp,
    pub status: MessageStatus,
    pub error: Option<ErrorBody>,
    pub answer: Option<Answer>,
    /// It is cut short, and can go on.
    pub resumable: bool,
    /// What it follows; null at the beginning.
    pub parent: Option<MessageId>,
    /// All that stand in its place, itself among them: edited questions, other answers.
    pub versions: Vec<MessageId>,
}

/// Who gave an answer, and how fast.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct Answer {
    /// The node that gave the last of it.
    pub node_name: String,
    pub node_peer: String,
    /// The names of all that gave a part of it, in order.
    pub nodes: Vec<String>,
    pub device: String,
    pub model: String,
    pub finish_reason: FinishReason,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub first_token_ms: Option<f64>,
    pub tokens_per_second: Option<f64>,
}

/// `code` is stable; `message` says what happened and what to do; `field` names what was wrong in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct ErrorBody {
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub field: Option<String>,
}

/// How a node is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    Direct,
    Relayed,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct NodeView {
    pub peer: String,
    pub name: String,
    pub path: Path,
    pub rtt_ms: Option<f64>,
    pub slots_free: u32,
    pub slots_total: u32,
    pub models: Vec<String>,
    pub decode_tokens_per_second: f32,
    pub device: String,
    pub version: String,
    /// What its owner should know; empty when all is well.
    pub warning: String,
    pub gpus: Vec<GpuView>,
    pub ram: MemoryView,
    pub offers: Vec<OfferView>,
    pub network: NetworkView,
    /// Models that it loads once somebody asks.
    pub loadable: Vec<LoadableView>,
}

/// How a node is seen from outside, as it says; null is what it does not know.
#[derive(Clone, Debug, Serialize, TS)]
pub struct NetworkView {
    pub nat: Nat,
    pub udp: Option<bool>,
    pub ipv6: Option<bool>,
    /// Relays where it can be met.
    pub relays: u32,
    /// Its router has opened a port for it.
    pub mapped: bool,
}

/// What stands between a node and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    Unknown,
    Open,
    FullCone,
    Cone,
    Symmetric,
}

/// A GPU as its driver describes it; null is what it does not say.
#[derive(Clone, Debug, Serialize, TS)]
pub struct GpuView {
    pub name: String,
    pub memory: MemoryView,
    pub utilization_percent: Option<u32>,
    pub temperature_celsius: Option<u32>,
    pub power_watts: Option<u32>,
}

/// In bytes; a total of 0 is not known.
#[derive(Clone, Copy, Debug, Serialize, TS)]
pub struct MemoryView {
    pub total: u64,
    pub used: u64,
}

/// One of a node's models, and how it does there. Speeds are 0 until known.
#[derive(Clone, Debug, Serialize, TS)]
pub struct OfferView {
    pub model: String,
    pub device: String,
    pub memory_bytes: u64,
    pub context_tokens: u32,
    pub slots_free: u32,
    pub slots_total: u32,
    pub prefill_tokens_per_second: f32,
    pub decode_tokens_per_second: f32,
    pub throughput_tokens_per_second: f32,
    pub restarts: u32,
    /// What went wrong with its engine last; empty when nothing did.
    pub trouble: String,
}

/// A model that a node does not serve and would load.
#[derive(Clone, Debug, Serialize, TS)]
pub struct LoadableView {
    pub model: String,
    #[ts(type = "number")]
    pub bytes: u64,
    /// It is being loaded, and so much of a thousand has come.
    pub loading_permille: Option<u32>,
    /// How long a whole load is thought to take.
    pub seconds: u32,
    /// Why it could not be loaded last; empty when nothing went wrong.
    pub trouble: String,
}

/// Whether a model is there, or comes once somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    Loaded,
    Loading,
    Loadable,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct ModelView {
    pub id: String,
    pub hash: String,
    pub context_tokens: u32,
    pub demo: bool,
    pub nodes: u32,
    pub slots_free: u32,
    pub slots_total: u32,
    pub state: ModelState,
    /// While it is being loaded, how much of a thousand has come.
    pub loading_permille: Option<u32>,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct ApiKey {
    pub id: KeyId,
    pub label: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    Node,
    Gateway,
}

/// An invite, without the string that is redeemed.
#[derive(Clone, Debug, Serialize, TS)]
pub struct Invite {
    pub id: InviteId,
    pub label: String,
    pub role: MemberRole,
    pub max_uses: u32,
    pub uses: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// A member of the swarm: one that came in through this gateway, or one that is connected.
#[derive(Clone, Debug, Serialize, TS)]
pub struct Member {
    pub peer: String,
    /// What its owner called it when it joined; empty when it joined elsewhere.
    pub name: String,
    pub role: MemberRole,
    pub connected: bool,
    /// Of its certificate, which renews itself; null while it is not connected.
    pub expires_at: Option<Timestamp>,
    /// Null when it joined elsewhere.
    pub joined_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Peers that were no members, counted since the gateway's start.
#[derive(Clone, Debug, Serialize, TS)]
pub struct RefusedPeers {
    /// A stable word, such as `forged` or `expired`.
    pub reason: String,
    pub count: u64,
}

// Whole bodies, by endpoint.

/// Every error under `/api`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct ErrorAnswer {
    pub error: ErrorBody,
}

/// `GET /api/setup`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct SetupState {
    pub needed: bool,
}

/// `POST /api/setup`.
#[derive(Deserialize, TS)]
pub struct SetupRequest {
    pub code: String,
    pub username: String,
    pub password: String,
}

/// `POST /api/session`.
#[derive(Deserialize, TS)]
pub struct SignInRequest {
    pub username: String,
    pub password: String,
}

/// `POST /api/setup`, `POST /api/session` and `GET /api/me`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct UserAnswer {
    pub user: User,
}

/// `GET /api/models`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct ModelList {
    pub models: Vec<ModelView>,
}

/// `GET /api/swarm`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct SwarmView {
    pub nodes: Vec<NodeView>,
    pub peers: u32,
}

/// `GET /api/invites`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct InviteList {
    pub invites: Vec<Invite>,
    /// Whether this gateway can make any.
    pub authority: bool,
}

/// `POST /api/invites`.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct NewInvite {
    #[serde(default)]
    #[ts(optional)]
    pub label: Option<String>,
    /// A node when missing.
    #[serde(default)]
    #[ts(optional)]
    pub role: Option<MemberRole>,
    /// 1 when missing.
    #[serde(default)]
    #[ts(optional)]
    pub max_uses: Option<u32>,
    /// A week when missing.
    #[serde(default)]
    #[ts(optional)]
    pub expires_in_seconds: Option<u64>,
}

/// The answer to `POST /api/invites`: the only time that the string is shown.
#[derive(Clone, Serialize, TS)]
pub struct InviteAnswer {
    pub invite: Invite,
    pub text: String,
}

/// `GET /api/members`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct MemberList {
    /// The swarm, as 64 hexadecimal digits.
    pub swarm: String,
    pub members: Vec<Member>,
    pub refused: Vec<RefusedPeers>,
}

/// Whom a conversation is held with.
#[derive(Clone, Serialize, TS)]
pub struct Character {
    pub id: CharacterId,
    pub name: String,
    /// What the model is told first; may be empty.
    pub system_prompt: String,
    /// Its first words; may be empty.
    pub greeting: String,
    pub sampling: SamplingDefaults,
    /// Everybody here may talk to it.
    pub shared: bool,
    pub mine: bool,
    pub has_picture: bool,
    pub updated_at: Timestamp,
}

/// How tokens are chosen; null leaves it to the node.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, TS)]
pub struct SamplingDefaults {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub max_tokens: Option<u32>,
}

/// `GET /api/characters`.
#[derive(Clone, Serialize, TS)]
pub struct CharacterList {
    pub characters: Vec<Character>,
}

/// `POST /api/characters` and `PUT /api/characters/{id}`.
#[derive(Deserialize, TS)]
pub struct NewCharacter {
    pub name: String,
    #[serde(default)]
    pub system_prompt: String,
    #[serde(default)]
    pub greeting: String,
    #[serde(default)]
    pub sampling: SamplingDefaults,
    #[serde(default)]
    pub shared: bool,
}

/// The answer to both.
#[derive(Clone, Serialize, TS)]
pub struct CharacterAnswer {
    pub character: Character,
}

/// `PUT /api/characters/{id}/picture`: PNG, JPEG or WebP; null is none.
#[derive(Deserialize, TS)]
pub struct NewPicture {
    pub base64: Option<String>,
}

/// `GET /api/conversations`.
#[derive(Clone, Serialize, TS)]
pub struct ConversationList {
    pub conversations: Vec<Conversation>,
}

/// `POST /api/conversations`.
#[derive(Deserialize, TS)]
pub struct NewConversation {
    #[serde(default)]
    #[ts(optional)]
    pub title: Option<String>,
    /// With whom: it begins with what that one says.
    #[serde(default)]
    #[ts(optional)]
    pub character: Option<CharacterId>,
}

/// `PATCH /api/conversations/{id}`.
#[derive(Deserialize, TS)]
pub struct ChangeConversation {
    #[serde(default)]
    #[ts(optional)]
    pub title: Option<String>,
    /// It stands before the others.
    #[serde(default)]
    #[ts(optional)]
    pub pinned: Option<bool>,
}

/// `POST /api/conversations` and `PATCH /api/conversations/{id}`.
#[derive(Clone, Serialize, TS)]
pub struct ConversationAnswer {
    pub conversation: Conversation,
}

/// `GET /api/conversations/{id}`.
#[derive(Clone, Serialize, TS)]
pub struct ConversationDetail {
    pub conversation: Conversation,
    pub messages: Vec<Message>,
}

/// The answer to `POST /api/messages/{id}/go-on`.
#[derive(Clone, Serialize, TS)]
pub struct GoOnAnswer {
    pub conversation: Conversation,
    pub turn: MessageId,
}

/// `GET /api/keys`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct KeyList {
    pub keys: Vec<ApiKey>,
}

/// `POST /api/keys`.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct NewKey {
    pub label: String,
}

/// The answer to `POST /api/keys`: the only time that the secret is shown.
#[derive(Clone, Serialize, TS)]
pub struct KeyAnswer {
    pub key: ApiKey,
    pub secret: String,
}
