//! An attempt, and at times a second one beside it: what happens next of all that may.

use futures::future::OptionFuture;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Trouble,
    attempt::{Attempt, News},
    rhythm::Rhythm,
    takeover::{ASK_AGAIN, Cause, Taken, Takeover},
};
use crate::dispatch::{DispatchError, Standing};

/// The attempt that is read itself is not in here.
#[derive(Default)]
pub(super) struct Race {
    rhythm: Rhythm,
    second: Option<Takeover>,
    /// Before this no second one is looked for because the node stops.
    not_before: Option<Instant>,
    /// Why the first one is not read any more.
    lost: Option<DispatchError>,
}

/// What happens.
pub(super) enum Step {
    /// The first one gives this.
    News(Result<News, Trouble>),
    /// The second one has come, or has not.
    Taken(Takeover, Result<Taken, Trouble>),
    /// A second one is wanted.
    Wanted(Cause),
}

impl Race {
    pub(super) async fn step(&mut self, attempt: &mut Attempt) -> Step {
        self.rhythm.waits(Instant::now());
        loop {
            let is_read = self.lost.is_none() && !self.second.as_ref().is_some_and(Takeover::replaces);
            let wanted = wanted(self.rhythm.due(), attempt.standing(), self.not_before);
            let taken = tokio::select! {
                // What is there is read before anybody is suspected.
                biased;
                news = attempt.next(), if is_read => return Step::News(news),
                Some(taken) = OptionFuture::from(self.second.as_mut().map(Takeover::taken)) => Some(taken),
                cause = wanted, if self.second.is_none() => {
                    if cause == Cause::Silence && !self.rhythm.is_due(Instant::now()) {
                        continue;
                    }
                    return Step::Wanted(cause);
                }
            };
            if let Some((second, taken)) = self.second.take().zip(taken) {
                return Step::Taken(second, taken);
            }
        }
    }

    /// Whether there is a second one.
    pub(super) fn is_on(&self) -> bool {
        self.second.is_some()
    }

    /// A piece of the first one came.
    pub(super) fn came(&mut self) {
        self.second = None;
        self.rhythm.came(Instant::now());
    }

    /// The first one has lost its way: it may find another, and a second one need not wait for that.
    pub(super) fn cut(&mut self) {
        self.rhythm.cut(Instant::now());
    }

    /// A second one was looked for.
    pub(super) fn asked(&mut self, second: Option<Takeover>) {
        self.second = second;
        self.put_off();
    }

    /// The first one is lost.
    pub(super) fn lost(&mut self, error: DispatchError) {
        self.lost = Some(error);
    }

    /// The second one was of no use: how the first one was lost, if it was.
    pub(super) fn failed(&mut self) -> Option<DispatchError> {
        self.put_off();
        self.lost.take()
    }

    fn put_off(&mut self) {
        let now = Instant::now();
        self.rhythm.asked(now);
        self.not_before = Some(now + ASK_AGAIN);
    }
}

/// Waits until a second attempt is wanted.
async fn wanted(due: Option<Instant>, mut standing: watch::Receiver<Standing>, not_before: Option<Instant>) -> Cause {
    let silent = OptionFuture::from(due.map(sleep_until));
    let stops = async {
        let stops = standing.wait_for(|standing| *standing == Standing::Stopping).await.is_ok();
        if let Some(not_before) = not_before {
            sleep_until(not_before).await;
        }
        stops
    };
    tokio::select! {
        Some(()) = silent => Cause::Silence,
        true = stops => Cause::Stopping,
        // The scheduler has ended, and soon we shall.
        else => std::future::pending().await,
    }
}
