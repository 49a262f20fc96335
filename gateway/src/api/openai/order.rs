//! What is to be answered: a job for each answer.

use starling_protocol::{
    ModelId,
    message::{Chat, Task, ToolChoice},
};

use crate::{
    dispatch::{Job, Priority},
    id::UserId,
    secret,
    store::tokens::Expected,
};

/// The jobs of one request.
pub(super) struct Order {
    /// One for each answer; those to one prompt stand together.
    pub(super) jobs: Vec<Job>,
    /// How many answers there are to each prompt.
    pub(super) per_prompt: usize,
    /// Whether calls of tools can be in the answers.
    pub(super) tools: bool,
    /// Whether log-probabilities are wanted.
    pub(super) logprobs: bool,
    /// Whether it may have to go on at another gateway.
    pub(super) keeps: bool,
}

/// For whom, and by what.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) model: ModelId,
    pub(super) owner: UserId,
    pub(super) priority: Priority,
}

impl Order {
    /// So many answers to each of these chats, which want the same of them.
    pub(super) fn new(chats: &[Chat], each: u32, terms: Terms) -> Self {
        let job = |(chat, choice): (&Chat, u32)| {
            let mut chat = chat.clone();
            // A seed of its own, or all would be the same.
            chat.sampling.seed = chat.sampling.seed.map(|seed| seed.wrapping_add(u64::from(choice)));
            Job::new(terms.model, Task::Chat(chat), terms.priority, terms.owner)
        };
        Self {
            jobs: chats.iter().flat_map(|chat| (0..each).map(move |choice| (chat, choice))).map(job).collect(),
            per_prompt: each as usize,
            tools: chats.iter().any(may_call),
            logprobs: chats.iter().any(|chat| chat.sampling.top_logprobs.is_some()),
            keeps: false,
        }
    }

    /// It may have to go on elsewhere: what there is of it is kept, and the seeds that nobody has given are drawn, so that
    /// it goes on as it would have here.
    pub(super) fn draw_seeds(&mut self) -> Vec<Option<u64>> {
        self.keeps = true;
        let draw = |job: &mut Job| {
            let Task::Chat(chat) = &mut job.task else { return None };
            if chat.sampling.seed.is_none() {
                chat.sampling.seed = Some(u64::from_le_bytes(secret::random()));
                chat.sampling.drawn = true;
                return chat.sampling.seed;
            }
            None
        };
        self.jobs.iter_mut().map(draw).collect()
    }

    /// The same that were drawn elsewhere.
    pub(super) fn with_seeds(mut self, drawn: &[Option<u64>]) -> Self {
        self.keeps = true;
        for (job, seed) in self.jobs.iter_mut().zip(drawn) {
            if let (Task::Chat(chat), Some(seed)) = (&mut job.task, seed) {
                (chat.sampling.seed, chat.sampling.drawn) = (Some(*seed), true);
            }
        }
        self
    }

    /// What all of it may come to. A prompt counts once, however many answers there are to it.
    pub(super) fn expected(&self) -> Expected {
        let all = self.jobs.iter().map(Job::expected).enumerate();
        all.fold(Expected::default(), |sum, (index, more)| Expected {
            prompt: if index.is_multiple_of(self.per_prompt) {
                sum.prompt.saturating_add(more.prompt)
            } else {
                sum.prompt
            },
            answer: sum.answer.saturating_add(more.answer),
        })
    }
}

/// Whether calls of tools can be in the answer.
fn may_call(chat: &Chat) -> bool {
    let may = match chat.tool_choice {
        // An answer of another form has no calls in it.
        ToolChoice::Auto => chat.format.is_none(),
        ToolChoice::Never => false,
        ToolChoice::Required | ToolChoice::Named(_) => true,
    };
    chat.tools.is_some() && may
}
