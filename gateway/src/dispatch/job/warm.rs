//! A node that computes what there is of an answer beforehand: should the answer have to go on elsewhere, it goes on
//! there, and the switch costs a round trip and not a prefill.
//!
//! It is done where nothing else is, makes room for everybody, and whatever comes of it the answer knows nothing of it.

use std::sync::Arc;

use futures::FutureExt;
use starling_protocol::{
    JobId,
    message::{JobRequest, Task},
    swarm::PeerId,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinHandle,
    time::{Duration, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, debug, info_span};

use super::{
    super::actor::{Command, Lease},
    Means, Trouble,
    attempt::{Attempt, News},
    course::Course,
};
use crate::scheduler::{Need, Priority, Warm};

/// Nodes that all jobs together warm at one time.
pub(in crate::dispatch) const MAX_WARMINGS: usize = 64;
/// Where nobody was idle it is tried again after this part of the tokens that an answer must have.
const AGAIN: u32 = 4;
/// How long an answer that needs another node waits until its own warming has left the slot it has.
const LEAVES: Duration = Duration::from_millis(300);

/// What came of it.
enum Warmed {
    /// The node holds it.
    By(Warm),
    /// Nobody was idle, or not for long enough.
    Nobody,
    Failed,
}

/// When it is time: at so many tokens, and again at each doubling.
struct Plan {
    after: u32,
    due_at: Option<u32>,
}

impl Plan {
    fn new(after: u32) -> Self {
        Self { after, due_at: Some(after).filter(|after| *after > 0) }
    }

    fn is_due(&self, answered: u32) -> bool {
        self.due_at.is_some_and(|due_at| answered >= due_at)
    }

    fn came(&mut self, warmed: &Warmed, answered: u32) {
        self.due_at = match warmed {
            Warmed::By(warm) => Some(warm.answered.saturating_mul(2)),
            Warmed::Nobody => Some(answered.saturating_add(self.after.div_ceil(AGAIN))),
            Warmed::Failed => None,
        };
    }

    /// The answer has gone on there, and needs another one.
    fn used(&mut self) {
        self.due_at = self.due_at.map(|_| self.after);
    }
}

/// Of one job.
pub(super) struct Warming {
    plan: Plan,
    under_way: Option<(JoinHandle<Warmed>, DropGuard)>,
}

impl Warming {
    pub(super) fn new(after: u32) -> Self {
        Self { plan: Plan::new(after), under_way: None }
    }

    /// The answer has grown, on this node: begins where it is time.
    pub(super) fn grown(&mut self, means: &Arc<Means>, course: &mut Course, peer: Option<PeerId>) {
        if let Some(warmed) = self.under_way.as_mut().and_then(|(coming, _)| coming.now_or_never()) {
            self.under_way = None;
            self.came(warmed.unwrap_or(Warmed::Failed), means, course);
        }
        if self.under_way.is_some() || !self.plan.is_due(course.need.answered) || !course.may_warm() {
            return;
        }
        match (peer, Arc::clone(&means.warmings).try_acquire_owned()) {
            (Some(peer), Ok(permit)) => self.under_way = begin(means, course, peer, permit),
            _ => self.plan.came(&Warmed::Nobody, course.need.answered),
        }
    }

    /// Another node is about to be asked for: what is under way leaves its slot, or is just done.
    pub(super) async fn settle(&mut self, means: &Means, course: &mut Course) {
        let Some((coming, stop)) = self.under_way.take() else { return };
        drop(stop);
        let warmed = timeout(LEAVES, coming).await.ok().and_then(Result::ok).unwrap_or(Warmed::Nobody);
        self.came(warmed, means, course);
    }

    /// The answer goes on on this node.
    pub(super) fn taken_over(&mut self, means: &Means, course: &mut Course, peer: Option<PeerId>) {
        if course.need.warm.take_if(|warm| Some(warm.peer) == peer).is_some() {
            means.jobs.warmed("used");
            self.plan.used();
        }
    }

    fn came(&mut self, warmed: Warmed, means: &Means, course: &mut Course) {
        self.plan.came(&warmed, course.need.answered);
        if let Warmed::By(warm) = warmed {
            debug!(peer = %warm.peer, tokens = warm.answered, "a node is warm");
            means.jobs.warmed("done");
            course.need.warm = Some(warm);
        }
    }
}

fn begin(
    means: &Arc<Means>,
    course: &Course,
    but: PeerId,
    permit: OwnedSemaphorePermit,
) -> Option<(JoinHandle<Warmed>, DropGuard)> {
    let request = request(&course.request)?;
    let need = Need { warms: true, continues: true, priority: Priority::Background, ..course.need.clone() };
    let tried = [course.tried(), &[but]].concat();
    let (stop, means) = (CancellationToken::new(), means.aside());
    let guard = stop.clone().drop_guard();
    let tasks = means.tasks.clone();
    let warmed = async move {
        let _permit = permit;
        let Some(lease) = means.idle(need, tried, stop.clone()).await else { return Warmed::Nobody };
        warm(&means, lease, &request, &stop).instrument(info_span!("warming")).await
    };
    Some((tasks.spawn(warmed.in_current_span()), guard))
}

/// What has the node compute all there is: one token behind it, since whoever is asked for none computes nothing.
fn request(request: &JobRequest) -> Option<JobRequest> {
    let mut request = JobRequest { job: JobId::generate(), attempt: 1, ..request.clone() };
    let Task::Chat(chat) = &mut request.task else { return None };
    chat.max_tokens = Some(u32::try_from(chat.continue_from.len()).ok()?.checked_add(1)?);
    // The node will hold a part of the answer only, and must not say that it holds the conversation.
    chat.prefixes.pop();
    Some(request)
}

async fn warm(means: &Means, lease: Lease, request: &JobRequest, stop: &CancellationToken) -> Warmed {
    let peer = lease.placement.peer;
    let mut attempt = match Attempt::begin(means, lease, request, stop).await {
        Ok(attempt) => attempt,
        Err(Trouble::Busy | Trouble::Unread) => return Warmed::Nobody,
        Err(_) => return Warmed::Failed,
    };
    let Some(end) = stop.run_until_cancelled(last(&mut attempt)).await else {
        attempt.leave().await;
        return Warmed::Nobody;
    };
    let Task::Chat(chat) = &request.task else { return Warmed::Failed };
    match end {
        Ok(done) => {
            attempt.finish(&done).await;
            Warmed::By(Warm { peer, answered: u32::try_from(chat.continue_from.len()).unwrap_or(u32::MAX) })
        }
        Err(trouble) => {
            attempt.fail(trouble.outcome());
            Warmed::Failed
        }
    }
}

async fn last(attempt: &mut Attempt) -> Result<starling_protocol::message::Done, Trouble> {
    loop {
        if let News::Done(done) = attempt.next().await? {
            return Ok(done);
        }
        attempt.passed_on();
    }
}

impl Means {
    /// The same for work that the reader hears nothing of.
    fn aside(&self) -> Self {
        let (events, _) = mpsc::channel(1);
        Self {
            swarm: self.swarm.clone(),
            members: self.members.clone(),
            view: self.view.clone(),
            commands: self.commands.clone(),
            events,
            jobs: self.jobs.clone(),
            tasks: self.tasks.clone(),
            cancel: self.cancel.clone(),
            warmings: Arc::clone(&self.warmings),
            warm_after: self.warm_after,
        }
    }

    /// A node that does nothing, until `stop` says that somebody wants it.
    async fn idle(&self, need: Need, tried: Vec<PeerId>, stop: CancellationToken) -> Option<Lease> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Idle { need: Box::new(need), tried, stop, reply }).await.ok()?;
        answer.await.ok()?
    }
}

#[cfg(test)]
mod tests {
    use starling_protocol::{ModelId, message::Chat};

    use super::*;

    fn by(answered: u32) -> Warmed {
        Warmed::By(Warm { peer: PeerId::random(), answered })
    }

    #[track_caller]
    fn check(plan: &Plan, due_at: u32) {
        assert!(plan.is_due(due_at) && !plan.is_due(due_at - 1), "{:?}", plan.due_at);
    }

    #[test]
    fn it_is_time_at_each_doubling() {
        let mut plan = Plan::new(256);
        check(&plan, 256);
        plan.came(&by(260), 270);
        check(&plan, 520);
        plan.came(&by(520), 530);
        check(&plan, 1_040);
    }

    #[test]
    fn where_nobody_is_idle_it_is_tried_again_and_a_failure_is_the_last() {
        let mut plan = Plan::new(256);
        plan.came(&Warmed::Nobody, 256);
        check(&plan, 320);
        plan.came(&Warmed::Failed, 512);
        plan.used();
        assert!(!plan.is_due(u32::MAX));
        assert!(!Plan::new(0).is_due(u32::MAX), "never");
    }

    #[test]
    fn an_answer_that_has_moved_wants_another_one() {
        let mut plan = Plan::new(256);
        plan.came(&by(600), 600);
        plan.used();
        check(&plan, 256);
    }

    #[test]
    fn it_asks_for_one_token_and_claims_no_conversation() {
        let chat = Chat { continue_from: vec![1, 2], max_tokens: Some(900), prefixes: vec![7, 8], ..Chat::default() };
        let (job, model) = (JobId::generate(), ModelId::new([1; 32]));
        let of = |task| request(&JobRequest { job, attempt: 3, model, task, beats: true });
        let warm = of(Task::Chat(chat)).unwrap();
        let Task::Chat(chat) = warm.task else { panic!("no chat") };
        assert_eq!((chat.max_tokens, chat.prefixes, chat.continue_from), (Some(3), vec![7], vec![1, 2]));
        assert_ne!(warm.job, job, "it is no attempt at the answer");
        assert!(of(Task::Embed(vec![])).is_none());
    }
}
