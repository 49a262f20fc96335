//! The node's door: one task a stream, and a bound on how many there are.

use starling_protocol::swarm::InboundStream;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug_span, warn};

use crate::{Stops, job::Jobs};

/// Streams and attempts at one time. Far above any number of slots, so that a refusal is still said politely, and
/// low enough that a stranger's silent streams cost little.
const MAX_STREAMS: usize = 2_048;

/// Takes job streams until it is told to stop.
pub(crate) struct Door {
    pub(crate) jobs: Jobs,
    pub(crate) stops: Stops,
    pub(crate) tasks: TaskTracker,
}

impl Door {
    pub(crate) async fn run(self, mut streams: mpsc::Receiver<InboundStream>) {
        // Open until the swarm ends: while the node stops, jobs are refused in words.
        while let Some(Some(inbound)) = self.stops.swarm.run_until_cancelled(streams.recv()).await {
            if self.tasks.len() >= MAX_STREAMS {
                warn!("too many streams: one was closed");
                continue;
            }
            let span = debug_span!("job", id = tracing::field::Empty, gateway = tracing::field::Empty);
            self.tasks.spawn(self.jobs.clone().serve(inbound).instrument(span));
        }
    }
}
