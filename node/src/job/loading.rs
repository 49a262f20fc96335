//! A job whose model is being loaded: its stream is told how far that is, until there is an engine.
//!
//! What is said here is no event of the attempt. A stream that breaks meanwhile ends the job and not the load.

use std::{io, time::Duration};

use starling_protocol::{
    frame,
    limits::LOADING_INTERVAL,
    message::{JobEvent, Loading, Refusal},
    swarm::Stream,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    Stops,
    engines::Served,
    shelf::{Coming, Stage, Use},
};

/// Between two words at least: progress is for people to see.
const MIN_INTERVAL: Duration = Duration::from_millis(250);

/// Waits until the model is there, or is not going to be.
///
/// # Errors
/// When nobody reads the stream any more.
pub(super) async fn wait(
    coming: Coming,
    stops: &Stops,
    stream: &mut Stream,
) -> io::Result<Result<(Served, Option<Use>), Refusal>> {
    let Coming { mut stage, right } = coming;
    let seen = stage.clone();
    let over = async move { stage.wait_for(|stage| stage.permille().is_none()).await.ok().map(|stage| stage.clone()) };
    tokio::pin!(over);
    let mut news = News { told: None, ticks: interval(MIN_INTERVAL) };
    news.ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            stage = &mut over => return Ok(match stage {
                Some(Stage::Here(served)) => Ok((served, Some(right))),
                Some(Stage::Away(why)) => Err(Refusal::NotLoaded(why)),
                Some(Stage::Loading(_)) | None => Err(Refusal::Stopping),
            }),
            () = stops.accepting.cancelled() => return Ok(Err(Refusal::Stopping)),
            _ = news.ticks.tick() => {
                let due = seen.borrow().permille().filter(|permille| news.is_due(*permille));
                if let Some(permille) = due {
                    frame::write(stream, &JobEvent::Loading(Loading { permille })).await?;
                }
            }
        }
    }
}

/// What the stream was told last.
struct News {
    told: Option<(u32, Instant)>,
    ticks: tokio::time::Interval,
}

impl News {
    /// News are told at once, and again before the gateway takes the silence for something else.
    fn is_due(&mut self, permille: u32) -> bool {
        let due = self.told.is_none_or(|(told, at)| told != permille || at.elapsed() + MIN_INTERVAL > LOADING_INTERVAL);
        if due {
            self.told = Some((permille, Instant::now()));
        }
        due
    }
}
