//! From a question to a running turn: its checks, then the database, then the swarm. In this order,
//! so that no question that was taken is lost, and none is computed that was not taken.

use std::sync::Arc;

use starling_protocol::{
    JobId,
    limits::{MAX_MESSAGES, MAX_PROMPT_BYTES},
    message::{Chat, ChatMessage, Kind, Private, Role, Sampling, Task},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Log, Running, TurnRefused, Turns, run::Turn, seats::Seat};
use crate::{
    choice::{Choice, choose},
    dispatch::{Answer, Job, Priority},
    events::{Event, Order},
    id::{ConversationId, MessageId, TurnId, UserId},
    memory::{Room, Shown, write_into},
    secret,
    store::{
        StoreError,
        branches::{MAX_MESSAGES as MAX_STORED, MAX_VERSIONS, UpTo},
        characters::Defaults,
        memories::recalled::Recalled,
        messages::{Message, TurnError},
        progress::Progress,
        tokens::Expected,
        turns::{Accepted, Place},
    },
    title::first_words,
};

/// What somebody asks.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who.
    pub user: UserId,
    /// Where; a new conversation when nowhere.
    pub conversation: Option<ConversationId>,
    /// What.
    pub says: Says,
    /// Of which model; of any when none is named.
    pub model: Option<String>,
}

/// What is said in a question.
#[derive(Clone, Debug)]
pub enum Says {
    /// This, after all that is shown.
    Text(Private),
    /// This in place of an earlier question, which stays as another version.
    Edited {
        /// The earlier one.
        of: MessageId,
        /// The new words.
        text: Private,
    },
    /// Nothing new: another answer is wanted, in place of this one.
    Again {
        /// The answer there is.
        answer: MessageId,
    },
}

impl Says {
    fn text(&self) -> Option<&Private> {
        match self {
            Self::Text(text) | Self::Edited { text, .. } => Some(text),
            Self::Again { .. } => None,
        }
    }

    /// Where it belongs, and the role that stands there.
    fn place(&self) -> (UpTo, Option<Role>) {
        match self {
            Self::Text(_) => (UpTo::End, None),
            Self::Edited { of, .. } => (UpTo::Before(*of), Some(Role::User)),
            Self::Again { answer } => (UpTo::Before(*answer), Some(Role::Assistant)),
        }
    }
}

impl Question {
    /// The question as the model reads it, where it is not among what was said.
    fn asked(&self) -> Option<ChatMessage> {
        Some(ChatMessage::new(Role::User, self.says.text()?.0.clone()))
    }
}

/// A question that was taken.
pub struct Begun {
    /// The turn.
    pub turn: TurnId,
    /// What was stored.
    pub accepted: Arc<Accepted>,
    /// Its answer.
    pub log: watch::Receiver<Log>,
}

impl Turns {
    pub(super) async fn begin_now(&self, question: Question) -> Result<Begun, TurnRefused> {
        if self.life.drain.is_cancelled() {
            return Err(TurnRefused::Stopping);
        }
        if question.says.text().is_some_and(|text| text.0.trim().is_empty()) {
            return Err(TurnRefused::Empty);
        }
        let model = choose(&self.dispatch.view().borrow(), Kind::Chat, question.model.as_deref())?;
        let id = question.conversation.unwrap_or_else(ConversationId::generate);
        let seat = self.seats.reserve(TurnId::generate(), question.user, id)?;
        let (before, max_tokens) = self.said_before_question(&question).await?;
        let remembers = self.store.remembers(question.user).await?;
        // Before anything is looked for: what is too long is refused at once.
        let mut messages = prompt(said(&before, question.asked(), remembers.then_some(&[])))?;
        let mut recalled = vec![];
        if remembers {
            recalled = self.recall(&question, &before, &model, size(&messages)).await;
            messages = prompt(said(&before, question.asked(), Some(&recalled)))?;
        }
        let progress = Progress::new(JobId::generate(), model.id, model.name, seed());
        let prompt_tokens = Expected::new(size(&messages), None).prompt;
        let progress = Progress { max_tokens, recalled, prompt_tokens, ..progress };
        let accepted = self.accept(&question, id, before.last(), seat.turn, &progress).await;
        let accepted = accepted.map_err(given_elsewhere)?;
        self.events.tell(question.user, Event::Changed(Arc::new(accepted.conversation.clone())));
        let answer = self.dispatch.start(job(&progress, messages, accepted.conversation.sampling, question.user));
        Ok(self.run(seat, Arc::new(accepted), progress, async { Ok(answer) }))
    }

    /// What the answer stands behind, but for the question where that is new, and how long it may be.
    async fn said_before_question(&self, question: &Question) -> Result<(Vec<Message>, Option<u32>), TurnRefused> {
        let (up_to, role) = question.says.place();
        let Some(id) = question.conversation else {
            return if role.is_none() { Ok((vec![], None)) } else { Err(TurnRefused::NoSuchMessage) };
        };
        let conversation = self.store.conversation(question.user, id).await?.ok_or(TurnRefused::NoSuchConversation)?;
        let branch = self.store.branch(question.user, id, up_to).await?.ok_or(TurnRefused::NoSuchMessage)?;
        let again = matches!(question.says, Says::Again { .. });
        if branch.role != role || (again && branch.messages.last().is_none_or(|last| last.role != Role::User)) {
            return Err(TurnRefused::NoSuchMessage);
        }
        if branch.versions >= MAX_VERSIONS {
            return Err(TurnRefused::TooManyVersions);
        }
        if branch.total + 2 > MAX_STORED {
            return Err(TurnRefused::ConversationFull);
        }
        Ok((branch.messages, conversation.sampling.max_tokens))
    }

    /// What fits the question from the person's memory.
    async fn recall(&self, question: &Question, before: &[Message], model: &Choice, bytes: usize) -> Vec<Recalled> {
        let asked = question.says.text().or_else(|| before.last().map(|last| &last.text));
        let Some(asked) = asked else { return vec![] };
        let context = self
            .dispatch
            .view()
            .borrow()
            .chat_models()
            .find(|chat| chat.id == model.id)
            .map(|chat| chat.context_tokens);
        let shown = Shown {
            messages: before.iter().map(|message| message.id).collect(),
            memories: before.iter().flat_map(|message| &message.recalled).map(|recalled| recalled.memory).collect(),
        };
        self.memory.recall(question.user, asked, &shown, Room::behind(context.unwrap_or(0), bytes)).await
    }

    async fn accept(
        &self,
        question: &Question,
        id: ConversationId,
        last: Option<&Message>,
        turn: TurnId,
        progress: &Progress,
    ) -> Result<Accepted, TurnRefused> {
        let (user, after) = (question.user, last.map_or(0, |last| last.position.number));
        let accepted = match (question.says.text(), last) {
            (Some(text), _) => {
                let title = || first_words(&text.0);
                let place = question
                    .conversation
                    .map_or_else(|| Place::New { id, title: title() }, |id| Place::In { id, after });
                self.store.accept(user, &place, turn, text, progress).await?
            }
            (None, Some(last)) => self.store.accept_again(user, id, last, turn, progress).await?,
            (None, None) => None,
        };
        accepted.ok_or(TurnRefused::NoSuchConversation)
    }

    /// Shows a turn and spawns its task.
    pub(super) fn run(
        &self,
        seat: Seat,
        accepted: Arc<Accepted>,
        progress: Progress,
        answer: impl Future<Output = Result<Answer, TurnError>> + Send + 'static,
    ) -> Begun {
        let (log, shown) = watch::channel(Log::default());
        let (stop, leave, turn, model) =
            (CancellationToken::new(), self.leave.child_token(), seat.turn, progress.model);
        let task = Turn::new(self, log, progress, [&stop, &leave]);
        let progress = task.progress.subscribe();
        seat.show(Running { accepted: Arc::clone(&accepted), log: shown.clone(), progress, stop, leave });
        let span = tracing::info_span!("turn", id = ?turn);
        let (turns, user, conversation) = (self.clone(), seat.user, accepted.conversation.id);
        self.events.tell(user, Event::Began(conversation, turn));
        let whole = async move {
            if task.run(seat, answer).await.is_break() {
                return turns.events.order(&Order::TakeUp);
            }
            turns.events.tell(user, Event::Ended(conversation, turn));
            turns.memory.wake();
            turns.name(user, conversation, model).await;
        };
        self.life.tasks.spawn(whole.instrument(span));
        Begun { turn, accepted, log: shown }
    }
}

/// Another gateway was faster.
fn given_elsewhere(refused: TurnRefused) -> TurnRefused {
    match refused {
        TurnRefused::Store(StoreError::Conflict) => TurnRefused::TurnRunning,
        other => other,
    }
}

/// Drawn here and kept, so that an answer goes on after a restart as it would have without.
fn seed() -> Option<u64> {
    Some(u64::from_le_bytes(secret::random()))
}

/// The job of an answer, behind what there is of it.
pub(super) fn job(progress: &Progress, messages: Vec<ChatMessage>, sampling: Defaults, owner: UserId) -> Job {
    let task = Task::Chat(Chat {
        messages,
        sampling: Sampling {
            seed: progress.seed,
            drawn: progress.seed.is_some(),
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            ..Sampling::default()
        },
        max_tokens: progress.max_tokens,
        continue_from: progress.tokens.clone(),
        ..Chat::default()
    });
    let job = Job::new(progress.model, task, Priority::Interactive, owner);
    Job { id: progress.job, attempts: progress.attempts, ..job }
}

/// A conversation as a model reads it, with what was put before its last question from memory; `None` where the person
/// wants none of it. What was put before earlier questions stands there again, so that it begins as it did then.
pub(super) fn said(
    before: &[Message],
    asked: Option<ChatMessage>,
    recalled: Option<&[Recalled]>,
) -> impl Iterator<Item = ChatMessage> {
    let mut messages: Vec<ChatMessage> = Vec::with_capacity(before.len() + 1);
    let tell = |messages: &mut Vec<ChatMessage>, recalled: &[Recalled]| {
        if let Some(question) = messages.last_mut().filter(|last| last.role == Role::User) {
            write_into(question, recalled);
        }
    };
    for message in before {
        if recalled.is_some() {
            tell(&mut messages, &message.recalled);
        }
        messages.push(message.clone().into());
    }
    messages.extend(asked);
    tell(&mut messages, recalled.unwrap_or_default());
    messages.into_iter()
}

pub(super) fn size(messages: &[ChatMessage]) -> usize {
    messages.iter().map(|message| message.content.0.len()).sum()
}

impl From<Message> for ChatMessage {
    fn from(message: Message) -> Self {
        Self::new(message.role, message.text.0)
    }
}

/// What a model is given to read. Never cut: what is too long is refused.
pub(super) fn prompt(said: impl Iterator<Item = ChatMessage>) -> Result<Vec<ChatMessage>, TurnRefused> {
    let messages = opened_by_a_person(alternating(said));
    let bytes = size(&messages);
    if bytes > MAX_PROMPT_BYTES || messages.len() > MAX_MESSAGES {
        return Err(TurnRefused::PromptTooLong { bytes });
    }
    Ok(messages)
}

/// Many chat templates refuse an answer before the first question: what a character says first is told to the model as
/// what it has said already.
fn opened_by_a_person(mut messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
    let first = usize::from(messages.first().is_some_and(|message| message.role == Role::System));
    if messages.get(first).is_some_and(|message| message.role == Role::Assistant) {
        let greeting = messages.remove(first).content.0;
        let greeting = format!("You have begun this conversation with these words:\n\n{greeting}");
        match messages.first_mut().filter(|_| first == 1) {
            Some(system) => system.content.0 = format!("{}\n\n{greeting}", system.content.0),
            None => messages.insert(0, ChatMessage::new(Role::System, greeting)),
        }
    }
    messages
}

/// Answers without text are left out, and what one side said twice in a row becomes one message:
/// many chat templates refuse two questions without an answer between them.
fn alternating(messages: impl Iterator<Item = ChatMessage>) -> Vec<ChatMessage> {
    let mut whole: Vec<ChatMessage> = Vec::new();
    for message in messages.filter(|message| !message.content.0.is_empty()) {
        match whole.last_mut().filter(|last| last.role == message.role) {
            Some(last) => {
                last.content.0.push_str("\n\n");
                last.content.0.push_str(&message.content.0);
            }
            None => whole.push(message),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_said_is_lost() {
        let say = |role, text: &str| ChatMessage::new(role, text);
        let said = [
            say(Role::System, "s"),
            say(Role::User, "a"),
            say(Role::Assistant, ""),
            say(Role::User, "b"),
            say(Role::Assistant, "c"),
            say(Role::User, "d"),
        ];
        let expected =
            [say(Role::System, "s"), say(Role::User, "a\n\nb"), say(Role::Assistant, "c"), say(Role::User, "d")];
        assert_eq!(alternating(said.into_iter()), expected);
    }

    #[test]
    fn what_a_character_says_first_is_told_and_not_said() {
        let say = |role, text: &str| ChatMessage::new(role, text);
        let told = "You have begun this conversation with these words:\n\nhello";
        let with = prompt([say(Role::System, "s"), say(Role::Assistant, "hello"), say(Role::User, "q")].into_iter());
        assert_eq!(with.unwrap(), [say(Role::System, &format!("s\n\n{told}")), say(Role::User, "q")]);
        let without = prompt([say(Role::Assistant, "hello"), say(Role::User, "q")].into_iter());
        assert_eq!(without.unwrap(), [say(Role::System, told), say(Role::User, "q")]);
    }

    #[test]
    fn a_job_is_sampled_as_its_conversation_says() {
        let progress =
            Progress::new(JobId::generate(), starling_protocol::ModelId::new([0; 32]), String::new(), Some(7));
        let progress = Progress { max_tokens: Some(9), ..progress };
        let sampling = Defaults { temperature: Some(1.5), top_p: Some(0.5), max_tokens: Some(9) };
        let Task::Chat(chat) = job(&progress, vec![], sampling, UserId::generate()).task else { panic!("no chat") };
        assert_eq!((chat.sampling.temperature, chat.sampling.top_p, chat.max_tokens), (Some(1.5), Some(0.5), Some(9)));
        assert_eq!(chat.sampling.seed, Some(7));
    }
}
