//! Every bound on what a peer may send, in one file.
//!
//! A bound is checked before the memory it protects is allocated.

use std::time::Duration;

/// Largest job request frame, in bytes: a request at all of its limits at once, with room to spare.
pub const MAX_REQUEST_FRAME: usize = 5 << 18;
/// Largest job event frame, in bytes: a piece is a few tokens, but a stop string may hold some hundred back, and each
/// may come with twenty alternatives.
pub const MAX_EVENT_FRAME: usize = 256 << 10;
/// Largest frame of an order on a job stream, in bytes.
pub const MAX_ORDER_FRAME: usize = 64;
/// Events of an answer after which a gateway says that they have come. A node keeps more than this that nobody
/// has acknowledged, or both would wait for each other.
pub const RECEIPT_EVERY: u64 = 32;
/// A gateway that says so in its request is heard on each of its job streams at least this often.
pub const BEAT: Duration = Duration::from_secs(2);
/// Largest status frame, in bytes: a node with many models and the prefixes that they hold.
pub const MAX_STATUS_FRAME: usize = 256 << 10;

/// Largest frame of a member stream or a join stream, in bytes.
pub const MAX_MEMBER_FRAME: usize = 64 << 10;
/// Largest first frame of a member stream, in bytes: an introduction, from somebody who is nobody yet.
pub const MAX_HELLO_FRAME: usize = 2 << 10;
/// Revocations in one frame.
pub const MAX_REVOCATIONS_PER_FRAME: usize = 256;
/// Revocations remembered; each lasts for as long as a certificate.
pub const MAX_REVOCATIONS: usize = 4_096;
/// Longest invite, in characters.
pub const MAX_INVITE_CHARACTERS: usize = 4_096;
/// First addresses in an invite or with a certificate.
pub const MAX_INVITE_ADDRESSES: usize = 16;

/// Most messages in one request.
pub const MAX_MESSAGES: usize = 4_096;
/// Longest text of all messages of a request together, in bytes.
pub const MAX_PROMPT_BYTES: usize = 768 << 10;
/// Most token ids in a prompt that comes as such: on the wire they take less than [`MAX_PROMPT_BYTES`].
pub const MAX_PROMPT_TOKENS: usize = 131_072;
/// Bytes of text that a token stands for, about.
pub const BYTES_PER_TOKEN: usize = 4;
/// Most token ids a request may continue from.
pub const MAX_CONTINUE_TOKENS: usize = 32_768;
/// Most tokens that may be asked for in one answer.
pub const MAX_ANSWER_TOKENS: u32 = 131_072;
/// Most stop strings in one request.
pub const MAX_STOPS: usize = 16;
/// Longest stop string, in bytes.
pub const MAX_STOP_BYTES: usize = 256;

/// Longest JSON schema that an answer can be asked to follow, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// Most entries in `logit_bias`.
pub const MAX_LOGIT_BIAS: usize = 1_024;
/// Most alternatives shown for each token.
pub const MAX_TOP_LOGPROBS: usize = 20;
/// Most texts in one embedding request.
pub const MAX_TEXTS: usize = 256;
/// Most numbers in a vector: one and its frame stay below [`MAX_EVENT_FRAME`].
pub const MAX_DIMENSIONS: usize = 8_192;

/// Most conversation prefixes a model's offer may say that it holds.
pub const MAX_HELD_PREFIXES: usize = 256;
/// Most GPUs one node may show.
pub const MAX_GPUS: usize = 16;
/// Longest warning or reason in a status, in bytes.
pub const MAX_REASON_BYTES: usize = 512;
/// Most models one node may offer.
pub const MAX_OFFERS: usize = 64;
/// Most models that one node may offer to load.
pub const MAX_LOADABLE: usize = 64;
/// Longest time that a load may be said to take, in seconds.
pub const MAX_LOAD_SECONDS: u32 = 3_600;
/// Longest pause that a node may announce, in seconds: a month.
pub const MAX_PAUSE_SECONDS: u32 = 31 * 24 * 3_600;
/// All of a load, in permille.
pub const WHOLE_LOAD: u32 = 1_000;
/// Longest name of a model, in bytes.
pub const MAX_MODEL_NAME_BYTES: usize = 128;
/// Longest name of a node, device or version, in bytes.
pub const MAX_LABEL_BYTES: usize = 64;
/// Most slots one model offer may claim.
pub const MAX_SLOTS: u32 = 4_096;

/// How long a peer may take to send the frame that a stream begins with.
pub const FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node may take to answer a request with its first event.
pub const ADMISSION_TIMEOUT: Duration = Duration::from_secs(5);
/// A node that loads a model for a job says how far it is at least this often, before its first event proper.
pub const LOADING_INTERVAL: Duration = Duration::from_secs(1);
/// A load that has come no further for this long is given up.
pub const LOADING_STALL: Duration = Duration::from_secs(60);
/// How long a stream may take to open and settle on its protocol.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer may take to accept one frame before it counts as gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A node pushes its status on change and at least this often.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// A node that has been silent for this long is not scheduled.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Inbound streams of one protocol that may wait for their task.
pub const INBOUND_QUEUE: usize = 256;
/// Streams that may be in negotiation on one connection, in one direction.
///
/// The accepting side of libp2p drops what goes beyond its own limit without a word, so that limit
/// ([`MAX_NEGOTIATING_INBOUND`]) lies well above what our openers use.
pub const MAX_NEGOTIATING_OUTBOUND: usize = 64;
/// libp2p's limit for inbound streams in negotiation on one connection: twice what our openers use, since each
/// takes some 5 kB that a stranger can make us keep.
pub const MAX_NEGOTIATING_INBOUND: usize = 128;
/// Opens that may wait on one connection for their turn to negotiate.
pub const MAX_PENDING_OPENS: usize = 2_048;
/// Refusals that may be under way on one connection; past that a stream is just closed.
pub const MAX_REFUSALS: usize = 1_024;
/// Streams a connection's multiplexer allows (QUIC and Yamux alike).
pub const MAX_STREAMS: usize = 1_024;

/// Connections one peer may hold: QUIC punching often leaves two direct ones.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 8;
/// Connections others may have opened with us, all together.
pub const MAX_INCOMING: u32 = 4_096;
/// How many of those may be strangers': peers that have not shown a certificate of our swarm. Far fewer, so that
/// no number of them keeps members out; and as few as make some 150 MB with all the streams they can begin.
pub const MAX_STRANGERS: usize = 256;
/// Member streams that a peer may have open on one connection: one, and some that are about to end.
pub const MAX_MEMBER_STREAMS: usize = 4;
/// Join streams that a peer may have open on one connection.
pub const MAX_JOIN_STREAMS: usize = 1;
/// Refusals that may be under way on one connection with a stranger.
pub const MAX_STRANGER_REFUSALS: usize = 16;
/// Connection attempts under way, in each direction.
pub const MAX_PENDING_CONNECTIONS: u32 = 256;
/// Peers whose addresses and redial times are remembered.
pub const MAX_REMEMBERED_PEERS: usize = 4_096;
