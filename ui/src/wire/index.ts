// Made of the Rust types in gateway/src/api/wire; do not edit.
// Anew: STARLING_EXPORT=1 cargo test -p starling-gateway export_bindings

export type UserId = string;

export type ConversationId = string;

export type MessageId = string;

export type CharacterId = string;

export type KeyId = string;

export type InviteId = string;

export type AuditId = string;

export type MemoryId = string;

export type Timestamp = string;

export type UserRole = "user" | "worker" | "admin";

export type User = { id: UserId, username: string, role: UserRole, };

export type Conversation = { id: ConversationId, title: string, created_at: Timestamp, updated_at: Timestamp, 
/**
 * It stands before the others.
 */
pinned: boolean, 
/**
 * With whom it is held.
 */
character: CharacterId | null, 
/**
 * How tokens are chosen in it.
 */
sampling: SamplingDefaults, };

export type MessageRole = "system" | "user" | "assistant";

export type MessageStatus = "complete" | "partial" | "failed";

export type FinishReason = "stop" | "length" | "cancelled" | "error";

export type Message = { id: MessageId, role: MessageRole, text: string, created_at: Timestamp, status: MessageStatus, error: ErrorBody | null, answer: Answer | null, 
/**
 * It is cut short, and can go on.
 */
resumable: boolean, 
/**
 * What it follows; null at the beginning.
 */
parent: MessageId | null, 
/**
 * All that stand in its place, itself among them: edited questions, other answers.
 */
versions: Array<MessageId>, };

export type UsedMemory = { id: MemoryId, text: string, similarity: number, };

export type Answer = { 
/**
 * The node that gave the last of it.
 */
node_name: string, node_peer: string, 
/**
 * The names of all that gave a part of it, in order.
 */
nodes: Array<string>, device: string, model: string, finish_reason: FinishReason, prompt_tokens: number, completion_tokens: number, first_token_ms: number | null, tokens_per_second: number | null, 
/**
 * What it was given with, from its reader's memory.
 */
memories: Array<UsedMemory>, };

export type ErrorBody = { code: string, message: string, field?: string, };

export type Path = "direct" | "relayed";

export type PausedView = { reason: PauseReason, 
/**
 * Until it comes back, where that is known.
 */
seconds: number | null, 
/**
 * The reason is gone, and its models are being loaded.
 */
returning: boolean, };

export type PauseReason = "other" | "by_hand" | "full_screen" | "process" | "battery" | "temperature" | "gpu" | "schedule";

export type NodeView = { peer: string, name: string, path: Path, rtt_ms: number | null, slots_free: number, slots_total: number, models: Array<string>, decode_tokens_per_second: number, device: string, version: string, 
/**
 * What its owner should know; empty when all is well.
 */
warning: string, gpus: Array<GpuView>, ram: MemoryView, offers: Array<OfferView>, network: NetworkView, 
/**
 * Models that it loads once somebody asks.
 */
loadable: Array<LoadableView>, 
/**
 * An administrator wants it to be given no more.
 */
drained: boolean, 
/**
 * It leaves its machine to whoever sits there, and comes back by itself; null when it does not.
 */
paused: PausedView | null, };

export type GpuView = { name: string, memory: MemoryView, utilization_percent: number | null, temperature_celsius: number | null, power_watts: number | null, };

export type MemoryView = { total: number, used: number, };

export type OfferView = { model: string, device: string, memory_bytes: number, context_tokens: number, slots_free: number, slots_total: number, prefill_tokens_per_second: number, decode_tokens_per_second: number, throughput_tokens_per_second: number, restarts: number, 
/**
 * What went wrong with its engine last; empty when nothing did.
 */
trouble: string, };

export type LoadableView = { model: string, bytes: number, 
/**
 * It is being loaded, and so much of a thousand has come.
 */
loading_permille: number | null, 
/**
 * How long a whole load is thought to take.
 */
seconds: number, 
/**
 * Why it could not be loaded last; empty when nothing went wrong.
 */
trouble: string, };

export type ModelState = "loaded" | "loading" | "loadable" | "away";

export type NetworkView = { nat: Nat, udp: boolean | null, ipv6: boolean | null, 
/**
 * Relays where it can be met.
 */
relays: number, 
/**
 * Its router has opened a port for it.
 */
mapped: boolean, };

export type Nat = "unknown" | "open" | "full_cone" | "cone" | "symmetric";

export type ModelView = { id: string, hash: string, context_tokens: number, demo: boolean, nodes: number, slots_free: number, slots_total: number, state: ModelState, 
/**
 * While it is being loaded, how much of a thousand has come.
 */
loading_permille: number | null, };

export type KeyScope = "chat" | "embeddings" | "models" | "metrics";

export type TokenBudget = { used: number, 
/**
 * Null where nothing bounds them.
 */
per_month: number | null, };

export type ApiKey = { id: KeyId, label: string, created_at: Timestamp, last_used_at: Timestamp | null, scopes: Array<KeyScope>, tokens: TokenBudget, };

export type MemberRole = "node" | "gateway";

export type Invite = { id: InviteId, label: string, role: MemberRole, max_uses: number, uses: number, created_at: Timestamp, expires_at: Timestamp, revoked_at: Timestamp | null, };

export type Member = { peer: string, 
/**
 * What its owner called it when it joined; empty when it joined elsewhere.
 */
name: string, role: MemberRole, connected: boolean, 
/**
 * Of its certificate, which renews itself; null while it is not connected.
 */
expires_at: Timestamp | null, 
/**
 * Null when it joined elsewhere.
 */
joined_at: Timestamp | null, revoked_at: Timestamp | null, };

export type RefusedPeers = { 
/**
 * A stable word, such as `forged` or `expired`.
 */
reason: string, count: number, };

export type ErrorAnswer = { error: ErrorBody, };

export type SetupState = { needed: boolean, sign_up: SignUpMode, };

export type SetupRequest = { code: string, username: string, password: string, };

export type SignInRequest = { username: string, password: string, };

export type SessionAnswer = { user: User, 
/**
 * For `Authorization: Bearer`, and for the chat socket.
 */
access_token: string, 
/**
 * For so many seconds.
 */
expires_in: number, };

export type UserAnswer = { user: User, tokens: TokenBudget, };

export type SessionId = string;

export type SessionView = { id: SessionId, created_at: Timestamp, last_used_at: Timestamp, 
/**
 * The browser and the system, in a few words.
 */
agent: string, 
/**
 * The network of the address.
 */
network: string, 
/**
 * The one that asks.
 */
current: boolean, };

export type SessionList = { sessions: Array<SessionView>, };

export type ModelList = { models: Array<ModelView>, };

export type SwarmView = { nodes: Array<NodeView>, peers: number, };

export type ConversationList = { conversations: Array<Conversation>, };

export type Character = { id: CharacterId, name: string, 
/**
 * What the model is told first; may be empty.
 */
system_prompt: string, 
/**
 * Its first words; may be empty.
 */
greeting: string, sampling: SamplingDefaults, 
/**
 * Everybody here may talk to it.
 */
shared: boolean, mine: boolean, has_picture: boolean, updated_at: Timestamp, };

export type SamplingDefaults = { temperature: number | null, top_p: number | null, max_tokens: number | null, };

export type CharacterList = { characters: Array<Character>, };

export type NewCharacter = { name: string, system_prompt: string, greeting: string, sampling: SamplingDefaults, shared: boolean, };

export type CharacterAnswer = { character: Character, };

export type NewPicture = { base64: string | null, };

export type MemoryKind = "fact" | "message";

export type Memory = { id: MemoryId, kind: MemoryKind, text: string, 
/**
 * Where it was said; null of a fact.
 */
conversation: ConversationId | null, 
/**
 * When it was said, or written.
 */
created_at: Timestamp, updated_at: Timestamp, 
/**
 * In a search, how near it is to what was looked for: 1 is the same.
 */
similarity: number | null, };

export type MemoryList = { memories: Array<Memory>, };

export type MemoryText = { text: string, };

export type MemoryAnswer = { memory: Memory, };

export type MemoryStanding = { enabled: boolean, facts: number, max_facts: number, passages: number, 
/**
 * Facts and passages that no model has read yet, and that are not found so far.
 */
waiting: number, 
/**
 * The model that reads them; null while no node serves one.
 */
model: string | null, };

export type MemorySwitch = { enabled: boolean, };

export type NewConversation = { title?: string, 
/**
 * With whom: it begins with what that one says.
 */
character?: CharacterId, 
/**
 * What the model is told first, in place of what the character has for that.
 */
system_prompt?: string, 
/**
 * How tokens are chosen, in place of what the character has for that.
 */
sampling?: SamplingDefaults, };

export type ChangeConversation = { title?: string, 
/**
 * It stands before the others.
 */
pinned?: boolean, 
/**
 * What the model is told first from now on.
 */
system_prompt?: string, 
/**
 * How tokens are chosen from now on.
 */
sampling?: SamplingDefaults, };

export type ConversationAnswer = { conversation: Conversation, };

export type ConversationDetail = { conversation: Conversation, messages: Array<Message>, };

export type GoOnAnswer = { conversation: Conversation, turn: MessageId, };

export type ChangeNode = { 
/**
 * It is given no more; what it computes it finishes.
 */
drained: boolean, };

export type AuditEntry = { id: AuditId, at: Timestamp, 
/**
 * A user name as it was then.
 */
actor: string, 
/**
 * A stable word, such as `member_revoked`.
 */
action: string, 
/**
 * An id, or a user name.
 */
target: string, 
/**
 * The address it was done from.
 */
from: string, };

export type AuditList = { entries: Array<AuditEntry>, };

export type KeyList = { keys: Array<ApiKey>, };

export type NewKey = { label: string, 
/**
 * All of them when missing.
 */
scopes?: Array<KeyScope>, 
/**
 * Tokens that may be used with it in a calendar month; without a limit when missing or 0.
 */
tokens_per_month?: number, };

export type KeyAnswer = { key: ApiKey, secret: string, };

export type InviteList = { invites: Array<Invite>, 
/**
 * Whether this gateway can make any.
 */
authority: boolean, };

export type NewInvite = { label?: string, 
/**
 * A node when missing.
 */
role?: MemberRole, 
/**
 * 1 when missing.
 */
max_uses?: number, 
/**
 * A week when missing.
 */
expires_in_seconds?: number, };

export type InviteAnswer = { invite: Invite, text: string, 
/**
 * Null while this gateway hands out no programs.
 */
installs: Installs | null, };

export type Installs = { 
/**
 * How the gateway is called in that command: scheme, host and port.
 */
origin: string, linux: boolean, windows: boolean, };

export type MemberList = { 
/**
 * The swarm, as 64 hexadecimal digits.
 */
swarm: string, members: Array<Member>, refused: Array<RefusedPeers>, };

export type PeerRole = "node" | "gateway" | "bootstrap";

export type PeerLink = "none" | "direct" | "relayed";

export type TopologyPeer = { id: number, role: PeerRole, peer: string, name: string, nat: Nat, 
/**
 * What computes there: its first GPU, else its device.
 */
gpu: string, 
/**
 * Eight at most.
 */
models: Array<string>, slots: number, version: string, drained: boolean, 
/**
 * It computes nothing for a while, and why; null when it does.
 */
paused: PauseReason | null, 
/**
 * Its owner should know something.
 */
warned: boolean, };

export type TopologyPulse = [number, PeerLink, number | null, number, number];

export type TopologyWhat = "joined" | "left" | "direct" | "relayed" | "lost" | "drained" | "undrained" | "paused" | "back" | "models" | "waits" | "loads" | "began" | "moved" | "ended" | "failed";

export type TopologyEvent = { at_ms: number, what: TopologyWhat, peer?: number, from?: number, answer?: number, tokens?: number, reason?: PauseReason, };

export type TopologyTotals = { 
/**
 * All nodes, also those that are not shown.
 */
nodes: number, 
/**
 * Answers that this gateway has in progress.
 */
running: number, 
/**
 * Of these, answers that wait for a slot.
 */
waiting: number, };

export type ClientFrame = { "type": "authenticate", token: string, } | { "type": "ask", request: string, conversation: ConversationId | null, text: string, model: string | null, instead_of?: MessageId, } | { "type": "again", request: string, conversation: ConversationId, answer: MessageId, model: string | null, } | { "type": "stop", turn: MessageId, } | { "type": "go_on", request: string, conversation: ConversationId, turn: MessageId, } | { "type": "join", conversation: ConversationId, turn: MessageId | null, last_seq: number, } | { "type": "watch", node?: string, } | { "type": "unwatch" };

export type SwarmSummary = { nodes: number, models: Array<string>, };

export type ServerFrame = { "type": "hello", version: number, swarm: SwarmSummary, } | { "type": "swarm" } & SwarmSummary | { "type": "accepted", request: string | null, conversation: Conversation, message: Message, turn: MessageId, } | { "type": "waiting", turn: MessageId, position: number, seconds: number, } | { "type": "loading_model", turn: MessageId, node_name: string, model: string, permille: number, } | { "type": "started", turn: MessageId, conversation: ConversationId, node_name: string, node_peer: string, path: Path, model: string, nodes: Array<string>, } | { "type": "thinking", turn: MessageId, } | { "type": "piece", turn: MessageId, from: number, seq: number, text: string, } | { "type": "done", turn: MessageId, conversation: ConversationId, message: Message, } | { "type": "failed", turn: MessageId | null, request: string | null, conversation: ConversationId | null, error: ErrorBody, message: Message | null, } | { "type": "titled", conversation: Conversation, } | { "type": "changed", conversation: Conversation, } | { "type": "deleted", conversation: ConversationId, } | { "type": "reread", conversation: ConversationId, } | { "type": "began", conversation: ConversationId, turn: MessageId, } | { "type": "ended", conversation: ConversationId, turn: MessageId, } | { "type": "missed" } | { "type": "idle", conversation: ConversationId, } | { "type": "picture", at_ms: number, now_ms: number, me: number, } | { "type": "changes", at_ms: number, peers: Array<TopologyPeer>, gone: Array<number>, pulses: Array<TopologyPulse>, events: Array<TopologyEvent>, totals: TopologyTotals, } | { "type": "node", peer: string, node: NodeView | null, } | { "type": "error", error: ErrorBody, };

export type SignUpMode = "open" | "invitation" | "closed";

export type SignUpRequest = { username: string, password: string, 
/**
 * Needed where not everybody may make an account.
 */
invitation?: string, };

export type NewPassword = { old: string, new: string, };

export type DeleteAccount = { password: string, };

export type Person = { id: UserId, username: string, role: UserRole, created_at: Timestamp, 
/**
 * It cannot come in.
 */
disabled: boolean, tokens: TokenBudget, 
/**
 * Its budget is its own, and not what the gateway says for all.
 */
own_budget: boolean, };

export type PersonList = { users: Array<Person>, };

export type ChangePerson = { role?: UserRole, disabled?: boolean, 
/**
 * A budget of its own, in a calendar month (UTC); 0 for no limit.
 */
tokens_per_month?: number, 
/**
 * False gives it back what the gateway says for all.
 */
own_budget?: boolean, };

export type PersonAnswer = { user: Person, };

export type InvitationId = string;

export type Invitation = { id: InvitationId, label: string, role: UserRole, max_uses: number, uses: number, created_at: Timestamp, expires_at: Timestamp, };

export type InvitationList = { invitations: Array<Invitation>, };

export type NewInvitation = { label?: string, 
/**
 * A user when missing.
 */
role?: UserRole, 
/**
 * 1 when missing.
 */
max_uses?: number, 
/**
 * A week when missing.
 */
expires_in_seconds?: number, };

export type InvitationAnswer = { invitation: Invitation, text: string, };

export type MyNode = { peer: string, name: string, joined_at: Timestamp, revoked_at: Timestamp | null, 
/**
 * The invite that it came in with; null once that is forgotten.
 */
invite: InviteId | null, 
/**
 * How it does; null while it is not in sight.
 */
now: NodeView | null, };

export type MyNodes = { nodes: Array<MyNode>, };

export type FigureSpan = "hour" | "day";

export type FigureSample = { 
/**
 * When the step ended.
 */
at: Timestamp, 
/**
 * All answers together.
 */
tokens_per_second: number, 
/**
 * Answers at one time, at most; those that wait are among them.
 */
running: number, 
/**
 * Of these, those in the queue.
 */
waiting: number, 
/**
 * Answers that ended.
 */
ended: number, 
/**
 * Of these, those that broke.
 */
errors: number, 
/**
 * Answers that a node began.
 */
begun: number, 
/**
 * Of these, those that came through a relay.
 */
relayed: number, 
/**
 * From the question to the first token; null where there was none.
 */
first_token_p50_ms: number | null, first_token_p95_ms: number | null, };

export type FigureList = { span: FigureSpan, 
/**
 * What one sample stands for.
 */
step_seconds: number, 
/**
 * Since when this process counts.
 */
since: Timestamp, 
/**
 * Oldest first.
 */
samples: Array<FigureSample>, };

export type LimitUnit = "requests_per_minute" | "minutes" | "each";

export type LimitView = { 
/**
 * A stable word, such as `user`.
 */
name: string, unit: LimitUnit, 
/**
 * Null is no limit.
 */
most: number | null, 
/**
 * Of requests, so many at once.
 */
burst: number | null, 
/**
 * The option of the program that changes it, without its dashes; null where none does.
 */
option: string | null, };

export type LimitList = { sign_up: SignUpMode, limits: Array<LimitView>, };
