//! What a job has come to over its attempts: what its reader has, which nodes are of no use to it, and whether it is
//! tried any further. A state machine without clock or network.

use starling_protocol::{
    limits::MAX_CONTINUE_TOKENS,
    message::{JobFailure, JobRequest, Task},
    swarm::PeerId,
};
use tracing::warn;

use super::super::DispatchError;
use crate::scheduler::Need;

/// Attempts that one job may make without a new token.
const MAX_FRUITLESS: u32 = 8;
/// Engines that one job may end before it is taken for the cause. One may have died of anything.
const MAX_ENGINES_LOST: u32 = 2;

/// Said where every node is.
const TOO_OLD: &str = "the nodes that serve this model are of an older release, which takes conversations only: \
    send messages to /v1/chat/completions, or update the nodes";

/// A job over all of its attempts.
pub(super) struct Course {
    /// What the next attempt asks for: `continue_from` grows with what the reader has.
    pub(super) request: JobRequest,
    /// The same for the scheduler.
    pub(super) need: Need,
    /// Nodes that are not asked again.
    tried: Vec<PeerId>,
    /// Nodes that were lost once: they may only have lost the connection that the attempt had.
    lost: Vec<PeerId>,
    /// Of those that are not asked again, nodes whose engine died or hung, or that stopped: it may have been started
    /// again.
    restarting: Vec<PeerId>,
    engines_lost: u32,
    /// Attempts since the last token.
    fruitless: u32,
    /// Whether the reader has any token.
    begun: bool,
    /// The longest prompt that a node which refused this one says it could hold, and the tokens of this one.
    too_long: Option<(u32, u32)>,
    /// Whether a node knows no prompts of this kind.
    too_old: bool,
    last: Option<DispatchError>,
}

impl Course {
    /// A job of which `request.attempt` attempts were begun elsewhere.
    pub(super) fn new(request: JobRequest, mut need: Need) -> Self {
        need.continues = need.answered > 0 && request.attempt > 0;
        let (tried, lost, restarting) = (vec![], vec![], vec![]);
        Self {
            request,
            need,
            tried,
            lost,
            restarting,
            engines_lost: 0,
            fruitless: 0,
            begun: false,
            too_long: None,
            too_old: false,
            last: None,
        }
    }

    /// Whether one more attempt may be made.
    pub(super) fn may_try(&self) -> bool {
        self.fruitless < MAX_FRUITLESS
    }

    /// Another attempt begins: what it asks for.
    pub(super) fn next(&mut self) -> JobRequest {
        self.fruitless += 1;
        self.request.attempt = self.request.attempt.saturating_add(1);
        self.request.clone()
    }

    /// The reader gets these.
    pub(super) fn gave(&mut self, tokens: &[u32]) {
        (self.begun, self.fruitless) = (true, 0);
        let Task::Chat(chat) = &mut self.request.task else { return };
        // One more than may be continued from, so that it can be seen that there are too many.
        let room = (MAX_CONTINUE_TOKENS + 1).saturating_sub(chat.continue_from.len());
        chat.continue_from.extend(tokens.iter().take(room));
        self.need.answered = u32::try_from(chat.continue_from.len()).unwrap_or(u32::MAX);
        self.need.continues = true;
    }

    /// Whether another node could go on with it: what it may be given has a bound.
    pub(super) fn may_continue(&self) -> bool {
        !matches!(&self.request.task, Task::Chat(chat) if chat.continue_from.len() > MAX_CONTINUE_TOKENS)
    }

    /// Whether it may be computed elsewhere as well, in case of need: it ends no engines, and more than a token is to
    /// come.
    pub(super) fn may_warm(&self) -> bool {
        let Task::Chat(chat) = &self.request.task else { return false };
        let comes_more = chat.max_tokens.is_none_or(|most| most > self.need.answered.saturating_add(1));
        comes_more && self.engines_lost == 0 && self.may_continue()
    }

    /// Whether the reader has a part of the answer.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// An attempt has failed on this node.
    ///
    /// # Errors
    /// No node is to be tried any more.
    pub(super) fn failed(&mut self, peer: PeerId, error: DispatchError) -> Result<(), DispatchError> {
        let again = error == DispatchError::NodeLost && !self.lost.contains(&peer);
        if again { &mut self.lost } else { &mut self.tried }.push(peer);
        if let DispatchError::NodeFailed(JobFailure::EngineDied | JobFailure::Hung) = error {
            self.restarting.push(peer);
            self.engines_lost += 1;
            if self.engines_lost >= MAX_ENGINES_LOST {
                warn!("the request has ended {MAX_ENGINES_LOST} engines");
                return Err(if self.begun { error } else { DispatchError::RequestCrashesEngines });
            }
        }
        if error == DispatchError::NodeFailed(JobFailure::Stopping) {
            self.restarting.push(peer);
            if !self.begun {
                // To who waits for the first word it is a node less, and no failure.
                return Ok(());
            }
        }
        self.last = Some(error);
        if self.may_continue() { Ok(()) } else { Err(self.error()) }
    }

    /// The node's context does not hold the prompt: only longer ones are asked.
    pub(super) fn too_long(&mut self, peer: PeerId, tokens: u32, limit: u32) {
        self.tried.push(peer);
        self.too_long = self.too_long.max(Some((limit, tokens)));
        // What a context holds and what fits into it differ by the answer's first token.
        self.need.context_over = self.need.context_over.max(limit.saturating_add(1));
    }

    /// Whether this refusal is one of a node whose release is older than prompts without messages: it sees none.
    pub(super) fn is_unknown(&self, refusal: &DispatchError) -> bool {
        let is_raw = matches!(&self.request.task, Task::Chat(chat) if chat.raw.is_some());
        is_raw && matches!(refusal, DispatchError::Invalid { field, .. } if field == "messages")
    }

    /// The node does not know such prompts: others may.
    pub(super) fn too_old(&mut self, peer: PeerId) {
        self.tried.push(peer);
        self.too_old = true;
    }

    /// Nodes that are not to be asked.
    pub(super) fn tried(&self) -> &[PeerId] {
        &self.tried
    }

    /// Nobody is left to ask. Who was away and comes again is somebody new, and so is an engine that was started again.
    pub(super) fn forgive(&mut self, is_here: impl Fn(&PeerId) -> bool) {
        self.tried.retain(|peer| is_here(peer) && !self.restarting.contains(peer));
        self.lost.retain(is_here);
        self.restarting.clear();
    }

    /// Whether a node has failed it.
    pub(super) fn has_failed(&self) -> bool {
        self.last.is_some() || self.too_long.is_some() || self.too_old
    }

    /// Why there is no more of it, when nobody is left to ask: that others failed says more than that.
    pub(super) fn error(&self) -> DispatchError {
        match (&self.last, self.too_long) {
            (_, Some((limit, tokens))) if !self.begun => DispatchError::PromptTooLong { tokens, limit },
            (Some(error), _) => error.clone(),
            (None, _) if self.too_old => {
                DispatchError::Invalid { field: "prompt".to_owned(), reason: TOO_OLD.to_owned() }
            }
            (None, _) => DispatchError::NoNode,
        }
    }
}

#[cfg(test)]
mod tests {
    use starling_protocol::{
        JobId, ModelId,
        message::{Chat, RawPrompt},
    };

    use super::*;
    use crate::scheduler::Priority;

    fn course(attempts: u32, continue_from: Vec<u32>) -> Course {
        let task = Task::Chat(Chat { continue_from, ..Chat::default() });
        let model = ModelId::new([1; 32]);
        let owner = "0".repeat(32).parse().unwrap();
        let need = Need::new(model, &task, vec![], Priority::Interactive, owner);
        Course::new(JobRequest { job: JobId::generate(), attempt: attempts, model, task, beats: true }, need)
    }

    fn given(course: &Course) -> &[u32] {
        let Task::Chat(chat) = &course.request.task else { panic!("no chat") };
        &chat.continue_from
    }

    const DIED: DispatchError = DispatchError::NodeFailed(JobFailure::EngineDied);

    #[test]
    fn an_attempt_goes_on_behind_what_was_given() {
        let mut course = course(3, vec![7]);
        assert!(course.need.continues, "an earlier process has begun it");
        assert_eq!(course.next().attempt, 4);
        course.gave(&[8, 9]);
        course.failed(PeerId::random(), DispatchError::NodeLost).unwrap();
        let next = course.next();
        assert_eq!((next.attempt, given(&course)), (5, &[7, 8, 9][..]));
        assert_eq!((course.need.answered, course.need.continues), (3, true));
    }

    #[test]
    fn a_question_waits_its_turn_and_so_does_one_that_a_person_lets_go_on() {
        assert!(!course(0, vec![]).need.continues);
        assert!(!course(0, vec![1, 2]).need.continues);
    }

    #[test]
    fn a_node_that_was_lost_is_asked_once_more_and_one_that_failed_is_not() {
        let (mut course, [lost, failed]) = (course(0, vec![]), [PeerId::random(), PeerId::random()]);
        course.failed(lost, DispatchError::NodeLost).unwrap();
        assert_eq!(course.tried(), []);
        course.failed(failed, DispatchError::NodeFailed(JobFailure::OutOfMemory)).unwrap();
        course.failed(lost, DispatchError::NodeLost).unwrap();
        assert_eq!(course.tried(), [failed, lost]);
        course.forgive(|peer| *peer == failed);
        assert_eq!(course.tried(), [failed], "who was away may come again");
    }

    #[test]
    fn a_node_that_stopped_has_not_failed_and_is_asked_again_when_nobody_is_left() {
        let (mut course, peer) = (course(0, vec![]), PeerId::random());
        let stopped = DispatchError::NodeFailed(JobFailure::Stopping);
        course.failed(peer, stopped.clone()).unwrap();
        assert_eq!((course.tried(), course.has_failed(), course.error()), (&[peer][..], false, DispatchError::NoNode));
        course.gave(&[1]);
        course.failed(peer, stopped.clone()).unwrap();
        assert_eq!(course.error(), stopped, "its reader has a part of the answer");
        course.forgive(|_| true);
        assert_eq!(course.tried(), []);
    }

    #[test]
    fn two_engines_are_enough_whether_tokens_came_or_not() {
        for (tokens, expected) in [(&[][..], DispatchError::RequestCrashesEngines), (&[1][..], DIED)] {
            let mut course = course(0, vec![]);
            course.gave(tokens);
            course.begun = !tokens.is_empty();
            let peer = PeerId::random();
            course.failed(peer, DIED).unwrap();
            course.forgive(|_| true);
            assert_eq!(course.tried(), [], "its engine may have been started again");
            assert_eq!(course.failed(peer, DIED), Err(expected));
        }
    }

    #[test]
    fn attempts_without_a_token_are_counted_and_those_with_one_are_not() {
        let mut course = course(0, vec![]);
        for _ in 0..100 {
            course.next();
            course.gave(&[1]);
        }
        let mut more = 0;
        while course.may_try() {
            course.next();
            more += 1;
        }
        assert_eq!(more, MAX_FRUITLESS);
    }

    #[test]
    fn an_answer_that_is_too_long_to_go_on_says_why_it_ended() {
        let mut course = course(0, vec![0; MAX_CONTINUE_TOKENS - 1]);
        course.gave(&[1]);
        assert_eq!(course.failed(PeerId::random(), DispatchError::NodeLost), Ok(()));
        course.gave(&[1, 2, 3]);
        assert_eq!(course.failed(PeerId::random(), DIED), Err(DIED));
        assert_eq!(given(&course).len(), MAX_CONTINUE_TOKENS + 1);
    }

    #[test]
    fn an_older_node_is_passed_over_and_named_when_nobody_else_is_there() {
        let refusal = |field: &str| DispatchError::Invalid { field: field.to_owned(), reason: String::new() };
        let (mut course, peer) = (course(0, vec![]), PeerId::random());
        assert!(!course.is_unknown(&refusal("messages")), "a conversation without messages is at fault itself");
        let Task::Chat(chat) = &mut course.request.task else { panic!("no chat") };
        chat.raw = Some(RawPrompt::Text("once".to_owned().into()));
        assert!(course.is_unknown(&refusal("messages")) && !course.is_unknown(&refusal("prompt")));
        course.too_old(peer);
        assert_eq!((course.tried(), course.has_failed()), (&[peer][..], true));
        let DispatchError::Invalid { field, reason } = course.error() else { panic!("another error") };
        assert!(field == "prompt" && reason.contains("older release"));
    }

    #[test]
    fn a_prompt_that_is_too_long_goes_to_longer_contexts_and_the_longest_is_named() {
        let mut course = course(0, vec![]);
        course.too_long(PeerId::random(), 5_000, 4_095);
        assert_eq!(course.need.context_over, 4_096);
        course.too_long(PeerId::random(), 5_000, 2_047);
        assert_eq!(course.need.context_over, 4_096);
        assert_eq!(course.error(), DispatchError::PromptTooLong { tokens: 5_000, limit: 4_095 });
    }
}
