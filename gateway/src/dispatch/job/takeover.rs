//! A second attempt beside one that is silent, or on a node that stops. It is only begun where a slot is free that
//! nobody waits for, and the one that is not needed is ended.

use std::{sync::Arc, time::Duration};

use starling_protocol::{message::JobRequest, swarm::PeerId};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, info_span};

use super::{
    super::{
        DispatchError,
        actor::{Command, Lease},
    },
    Means, Trouble,
    attempt::{Attempt, FIRST_TOKEN_TIMEOUT, News},
    course::Course,
};
use crate::scheduler::Need;

/// How long an answer stands still while another node says whether it takes it.
const HAND_OVER: Duration = Duration::from_secs(2);
/// Between two looks for a node that takes the answers of one that stops.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(300);

/// Why a second node is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing comes. The first of both to give a token goes on.
    Silence,
    /// The node stops. It is not read any more, and whoever accepts goes on.
    Stopping,
}

impl Cause {
    /// For the metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Silence => "silent",
            Self::Stopping => "stopping",
        }
    }
}

/// An attempt that takes over, and what it has given.
pub(super) struct Taken {
    pub(super) attempt: Box<Attempt>,
    pub(super) first: Option<News>,
}

/// One on its way. Whoever drops it ends it.
pub(super) struct Takeover {
    pub(super) cause: Cause,
    pub(super) peer: PeerId,
    coming: JoinHandle<Result<Taken, Trouble>>,
    deadline: Instant,
    _stop: DropGuard,
}

impl Takeover {
    pub(super) fn begin(means: &Arc<Means>, lease: Lease, request: JobRequest, cause: Cause) -> Self {
        let (stop, peer) = (CancellationToken::new(), lease.placement.peer);
        let guard = stop.clone().drop_guard();
        let span = info_span!("takeover", %peer, ?cause);
        let coming = means.tasks.spawn(come(Arc::clone(means), lease, request, cause, stop).instrument(span));
        let limit = if cause == Cause::Stopping { HAND_OVER } else { FIRST_TOKEN_TIMEOUT };
        Self { cause, peer, coming, deadline: Instant::now() + limit, _stop: guard }
    }

    /// Whether the attempt beside it is not read any more.
    pub(super) fn replaces(&self) -> bool {
        self.cause == Cause::Stopping
    }

    /// What has come of it. Cancel safe; not to be called again after that.
    pub(super) async fn taken(&mut self) -> Result<Taken, Trouble> {
        match timeout_at(self.deadline, &mut self.coming).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(_)) => Err(Trouble::Unread),
            Err(_) => Err(Trouble::Busy),
        }
    }
}

async fn come(
    means: Arc<Means>,
    lease: Lease,
    request: JobRequest,
    cause: Cause,
    stop: CancellationToken,
) -> Result<Taken, Trouble> {
    let mut attempt = Attempt::begin(&means, lease, &request, &stop).await?;
    if cause == Cause::Stopping {
        return Ok(Taken { attempt: Box::new(attempt), first: None });
    }
    match stop.run_until_cancelled(token(&mut attempt)).await.unwrap_or(Err(Trouble::Unread)) {
        Ok(first) => Ok(Taken { attempt: Box::new(attempt), first: Some(first) }),
        Err(trouble) => {
            attempt.fail(trouble.outcome());
            Err(trouble)
        }
    }
}

async fn token(attempt: &mut Attempt) -> Result<News, Trouble> {
    loop {
        match attempt.next().await? {
            News::Moved(_) | News::Cut => {}
            news => return Ok(news),
        }
    }
}

impl Means {
    /// A slot on another node than this, if one is free that nobody waits for.
    pub(super) async fn spare(&self, course: &Course, but: PeerId) -> Result<Option<Lease>, Trouble> {
        let stopping = || Trouble::Job(DispatchError::Stopping);
        let need = Box::new(Need { continues: true, ..course.need.clone() });
        let mut tried = course.tried().to_vec();
        tried.push(but);
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Spare { need, tried, reply }).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}
