//! What a job asks for, and how it went: the vocabulary between the scheduler and whoever runs the jobs.

use std::time::Duration;

use starling_protocol::{
    ModelId,
    limits::MAX_PROMPT_BYTES,
    message::{LoadFailure, RawPrompt, Task, Usage},
    swarm::PeerId,
};

use crate::{id::UserId, prefix::Label};

/// Labels of one conversation that are looked for on nodes: those of its latest messages, as many as a node
/// remembers.
const MAX_LABELS: usize = 64;

/// Who goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A person looks at the page.
    Interactive,
    /// A program asks.
    #[default]
    Normal,
    /// Nobody is in a hurry: it takes what is left over.
    Background,
}

impl Priority {
    /// A job that found no slot in this time is refused. A person sees how the line moves and can leave it; a
    /// program gives up by itself and is better told at once.
    pub(super) const fn max_wait(self) -> Duration {
        match self {
            Self::Interactive => Duration::from_secs(60),
            Self::Normal => Duration::from_secs(30),
            Self::Background => Duration::from_secs(120),
        }
    }
}

/// What a job needs of a node. It holds sizes and labels, and no text.
#[derive(Clone, Debug)]
pub struct Need {
    /// The model, by content.
    pub model: ModelId,
    /// Who goes first.
    pub priority: Priority,
    /// Among whom the swarm is shared.
    pub owner: UserId,
    /// Of all that is to be read, in bytes.
    pub prompt_bytes: u64,
    /// Of what a context must hold at once: all of a chat, and the longest of some texts.
    pub longest_bytes: u64,
    /// What a node may hold of it, the longest last.
    pub labels: Vec<Label>,
    /// Tokens of the answer that an earlier attempt has given: they are read again and not written again.
    pub answered: u32,
    /// Most tokens in the answer; 0 where there is none, as for vectors.
    pub max_tokens: Option<u32>,
    /// Its reader has a part of the answer and sees it stand still: it goes before those who wait, and takes the first
    /// slot there is.
    pub continues: bool,
    /// Only contexts of more tokens than this are of use to it.
    pub context_over: u32,
    /// It computes what there is of an answer for later: only on a node that does nothing else, and until anybody else
    /// wants that node.
    pub warms: bool,
    /// Where that was done for this one.
    pub warm: Option<Warm>,
}

/// A node that has computed a prompt and a part of its answer, in case the answer has to go on there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warm {
    /// Which one.
    pub peer: PeerId,
    /// Tokens of the answer that it holds.
    pub answered: u32,
}

impl Need {
    /// What `task` needs.
    #[must_use]
    pub fn new(model: ModelId, task: &Task, mut labels: Vec<Label>, priority: Priority, owner: UserId) -> Self {
        labels.drain(..labels.len().saturating_sub(MAX_LABELS));
        let (bytes, longest, answered, max_tokens) = match task {
            Task::Chat(chat) => {
                let tools = chat.tools.as_ref().map_or(0, |tools| tools.0.len());
                let said: usize = chat.messages.iter().map(|message| message.bytes()).sum();
                let raw = chat.raw.as_ref().map_or(0, RawPrompt::bytes);
                let all = said + tools + raw;
                (all, all, chat.continue_from.len(), chat.max_tokens)
            }
            Task::Embed(texts) => {
                let lengths = || texts.iter().map(|text| text.0.len());
                (lengths().sum(), lengths().max().unwrap_or(0), 0, Some(0))
            }
        };
        // What is longer is refused before it gets here.
        let [prompt_bytes, longest_bytes] = [bytes, longest].map(|bytes| bytes.min(MAX_PROMPT_BYTES) as u64);
        let answered = u32::try_from(answered).unwrap_or(u32::MAX);
        let (continues, context_over, warms, warm) = (false, 0, false, None);
        Self {
            model,
            priority,
            owner,
            prompt_bytes,
            longest_bytes,
            labels,
            answered,
            max_tokens,
            continues,
            context_over,
            warms,
            warm,
        }
    }
}

/// Names a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// A slot that a job has on a node, until [`Scheduler::ended`](super::Scheduler::ended).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where.
    pub peer: PeerId,
    /// For which model.
    pub model: ModelId,
    pub(super) id: u64,
}

/// Where a waiting job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Its place in the line, from 1.
    pub position: u32,
    /// Until it has a slot, as far as can be told, rounded up.
    pub seconds: u32,
}

/// What becomes of a job that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It has a slot.
    Place(Placed),
    /// It is in line: [`Scheduler::placements`](super::Scheduler::placements) will name the ticket.
    Wait(Ticket, Estimate),
    /// The line is so long that its turn would not come in time. It may come again after this.
    Full(Duration),
    /// Nobody serves the model, apart from those that the job has tried.
    Nobody,
    /// No context holds the prompt, however few tokens it has.
    TooLong {
        /// Tokens of the prompt, as far as can be told.
        tokens: u32,
        /// What the longest context holds.
        limit: u32,
    },
}

/// What a waiting job has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has a slot.
    Placed(Placed),
    /// It has waited for too long, or others have a better right to its place. It may come again after this.
    Refused(Duration),
    /// Nobody serves its model any more.
    Nobody,
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It says how it is.
    Here,
    /// It says that it stops.
    Stopping,
    /// It says nothing any more.
    Gone,
}

/// How a job ended on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a whole answer.
    Served,
    /// Its reader has left, or the request was at fault.
    Left,
    /// The node had no slot after all.
    Busy,
    /// The node failed.
    Failed,
    /// The node could not load the model.
    NotLoaded(LoadFailure),
    /// The node stops in order, or leaves its machine to others for a while: no fault of its own.
    Stopped,
}

/// What was seen of a job, by our own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed {
    /// From the request to the first token (or to the vectors).
    pub first_token: Option<Duration>,
    /// From the first token to the last; `None` where the reader was what we waited for.
    pub decode: Option<Duration>,
    /// Tokens that came.
    pub tokens: u32,
    /// From the request to the end.
    pub spent: Duration,
    /// What the node says of it; with a whole answer only.
    pub usage: Option<Usage>,
}
