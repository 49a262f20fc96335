//! Asking the scheduler for a slot, and waiting for it.

use std::time::Duration;

use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

use super::{
    super::{
        AnswerEvent, DispatchError, Estimate,
        actor::{Command, Lease, Reply},
    },
    Means, Trouble,
    course::Course,
};

/// How long an answer that has begun waits for a node to come when there is none.
const NODE_PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions while nobody is there.
const ASK_AGAIN: Duration = Duration::from_millis(250);

type Found = Result<Lease, DispatchError>;

impl Means {
    /// A slot for the job as it stands. A job whose reader has a part of the answer waits a while for a node to come.
    pub(super) async fn lease(&self, course: &mut Course) -> Result<Lease, Trouble> {
        let (mut view, patience) = (self.view.clone(), Instant::now() + NODE_PATIENCE);
        loop {
            view.borrow_and_update();
            match self.ask(course).await {
                Err(Trouble::Node(DispatchError::NoNode)) if !course.has_begun() => {
                    return Err(Trouble::Job(course.error()));
                }
                Err(Trouble::Node(DispatchError::NoNode)) => {}
                found => return found,
            }
            // A node that comes, or one that goes and so may come again.
            if !matches!(timeout_at(patience, view.changed()).await, Ok(Ok(()))) {
                return Err(Trouble::Job(course.error()));
            }
            sleep(ASK_AGAIN).await;
            course.forgive(|peer| view.borrow().nodes.iter().any(|node| node.peer == *peer));
        }
    }

    async fn ask(&self, course: &Course) -> Result<Lease, Trouble> {
        let stopping = || Trouble::Job(DispatchError::Stopping);
        let (reply, answer) = oneshot::channel();
        let (need, tried) = (Box::new(course.need.clone()), course.tried().to_vec());
        self.commands.send(Command::Ask { need, tried, reply }).await.map_err(|_| stopping())?;
        let lease = match answer.await.map_err(|_| stopping())? {
            Reply::Now(lease) => *lease,
            Reply::Later(later, estimates) => self.wait(later, estimates).await?.ok_or_else(stopping)?,
        };
        lease.map_err(Trouble::Node)
    }

    /// Waits for the slot that will come, and tells how long it may take. `None` when the gateway stops.
    async fn wait(
        &self,
        mut later: oneshot::Receiver<Found>,
        mut estimates: watch::Receiver<Estimate>,
    ) -> Result<Option<Found>, Trouble> {
        loop {
            let estimate = *estimates.borrow_and_update();
            self.tell(AnswerEvent::Waiting(estimate)).await?;
            let moved = tokio::select! {
                lease = &mut later => return Ok(lease.ok()),
                moved = estimates.changed() => moved,
            };
            // Without a sender the slot is on its way, or will never come.
            if moved.is_err() {
                return Ok(later.await.ok());
            }
        }
    }
}
