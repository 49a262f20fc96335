//! The frames of the chat socket, `GET /api/chat`.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Conversation, ErrorBody, Message, NodeView, Path, topology::*};
use crate::id::{ConversationId, MessageId, TurnId};

/// The version of this protocol, said in `hello`. 2: a page must look at `from` of a piece. 3: the page speaks first, with
/// `authenticate`.
pub const VERSION: u32 = 3;

/// What the page says.
#[derive(Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame on every socket, and again with each token that takes the place of one that runs out.
    Authenticate { token: String },
    /// A question. Without a conversation a new one is made. One that is `instead_of` an earlier question begins
    /// another branch there.
    Ask {
        request: String,
        conversation: Option<ConversationId>,
        text: String,
        model: Option<String>,
        #[serde(default)]
        #[ts(optional)]
        instead_of: Option<MessageId>,
    },
    /// Another answer to the question of this one, which stays as another version.
    Again { request: String, conversation: ConversationId, answer: MessageId, model: Option<String> },
    /// No more of this answer; what there is of it is kept.
    Stop { turn: TurnId },
    /// More of an answer that was cut short.
    GoOn { request: String, conversation: ConversationId, turn: TurnId },
    /// Follow the turn that runs in a conversation, from behind `last_seq` of `turn`.
    Join { conversation: ConversationId, turn: Option<TurnId>, last_seq: u64 },
    /// Show the swarm as it lives and has lived; with the key of a node also everything about that one. Again for
    /// another node, or none.
    Watch {
        #[serde(default)]
        #[ts(optional)]
        node: Option<String>,
    },
    /// Enough of that.
    Unwatch,
}

/// How many nodes there are, and what they serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct SwarmSummary {
    pub nodes: u32,
    pub models: Vec<String>,
}

/// What the gateway says.
#[derive(Clone, Serialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The first frame on every socket, once its page has said who it is for.
    Hello { version: u32, swarm: SwarmSummary },
    /// The swarm has changed.
    Swarm(SwarmSummary),
    /// The question is stored. `request` is null for a reader that has joined later.
    Accepted { request: Option<String>, conversation: Conversation, message: Message, turn: TurnId },
    /// Every node is busy; the turn waits for one. Again when its place in the line (from 1) or the estimate changes.
    Waiting { turn: TurnId, position: u32, seconds: u32 },
    /// A node loads the model for this turn. Again as it comes further; `permille` is of a thousand.
    LoadingModel { turn: TurnId, node_name: String, model: String, permille: u32 },
    /// A node answers. Again when another node goes on; `nodes` names all that have given a part, in order.
    Started {
        turn: TurnId,
        conversation: ConversationId,
        node_name: String,
        node_peer: String,
        path: Path,
        model: String,
        nodes: Vec<String>,
    },
    /// The model thinks; of that nothing is shown.
    Thinking { turn: TurnId },
    /// The text from byte `from` up to byte `seq`. From 0 it stands for all that the reader had.
    Piece { turn: TurnId, from: u64, seq: u64, text: String },
    /// The answer has ended as it should, or was stopped.
    Done { turn: TurnId, conversation: ConversationId, message: Message },
    /// The question was refused (no turn), or its answer broke off (`message` has what there is of it).
    Failed {
        turn: Option<TurnId>,
        request: Option<String>,
        conversation: Option<ConversationId>,
        error: ErrorBody,
        message: Option<Message>,
    },
    /// A conversation has a new title, which a model has found.
    Titled { conversation: Conversation },
    /// A conversation was made, renamed, pinned or spoken in, in whichever window.
    Changed { conversation: Conversation },
    /// A conversation is gone.
    Deleted { conversation: ConversationId },
    /// Another branch of a conversation is shown.
    Reread { conversation: ConversationId },
    /// A turn has begun in a conversation, or goes on, for whoever shows it and wants to join.
    Began { conversation: ConversationId, turn: TurnId },
    /// A turn has ended, for whoever did not follow it.
    Ended { conversation: ConversationId, turn: TurnId },
    /// Something of these was missed: read anew what is shown.
    Missed,
    /// Nothing runs in this conversation.
    Idle { conversation: ConversationId },
    /// To one who watches: all that was shown is to be forgotten. The changes that follow lead from `at_ms` to `now_ms`,
    /// which is the gateway's clock, and beyond. `me` is the gateway that says so.
    Picture { at_ms: i64, now_ms: i64, me: u32 },
    /// To one who watches: what has changed by that moment.
    Changes {
        at_ms: i64,
        peers: Vec<TopologyPeer>,
        gone: Vec<u32>,
        pulses: Vec<TopologyPulse>,
        events: Vec<TopologyEvent>,
        totals: TopologyTotals,
    },
    /// To one who watches: everything about the chosen node; null when it is not there.
    Node { peer: String, node: Option<Box<NodeView>> },
    /// A frame that could not be understood.
    Error { error: ErrorBody },
}
