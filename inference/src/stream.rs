//! The way of one answer from the runner to its reader: a bounded queue with one place kept for the end.
//!
//! A reader that is slow pauses its own slot; the runner never waits for it. A reader that leaves cancels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::{Failure, Output};

/// Outputs that may wait for a slow reader before its slot pauses: about a second of a fast answer.
const OUTPUT_QUEUE: usize = 64;

/// An answer in progress. Dropping it cancels: its slot is free within one step.
pub struct Generation {
    outputs: mpsc::Receiver<Output>,
    flow: Arc<Flow>,
    bell: Bell,
    ended: bool,
}

impl Generation {
    /// The next output; `None` after `Done` or `Failed`, one of which always comes. Cancel safe.
    pub async fn next(&mut self) -> Option<Output> {
        if self.ended {
            return None;
        }
        let output = self.outputs.recv().await.unwrap_or_else(lost);
        self.ended = output.is_end();
        if self.flow.resume() {
            self.bell.ring();
        }
        Some(output)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.outputs.close();
        self.bell.ring();
    }
}

/// The runner's end.
pub(crate) struct Reader {
    outputs: mpsc::Sender<Output>,
    last: mpsc::OwnedPermit<Output>,
    flow: Arc<Flow>,
    /// Held for as long as the answer has a slot.
    seat: Option<OwnedSemaphorePermit>,
}

impl Reader {
    /// Whether nobody reads any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.outputs.is_closed()
    }

    /// Whether the answer may go on by one output. If not, the reader rings once it made room.
    pub(crate) fn has_room(&self) -> bool {
        self.room(1) > 0
    }

    /// Room for outputs. When there is less than `wanted`, the reader rings once it took one more.
    pub(crate) fn room(&self, wanted: usize) -> usize {
        if self.outputs.capacity() < wanted {
            self.flow.pause();
        }
        self.outputs.capacity()
    }

    /// Hands out one output; the caller has seen that there is room.
    pub(crate) fn send(&self, output: Output) {
        // Closed: the reader left, which the runner notices before its next step.
        let _ = self.outputs.try_send(output);
    }

    /// Gives the seat to the next request.
    pub(crate) fn leave_seat(&mut self) {
        self.seat = None;
    }

    /// Says that it is over, the seat given back before: who asks again at once finds it free.
    pub(crate) fn end(mut self, output: Output) {
        self.leave_seat();
        self.last.send(output);
    }
}

/// A stream for one answer that holds `seat` while it runs.
pub(crate) fn stream(seat: OwnedSemaphorePermit, bell: Bell) -> (Reader, Generation) {
    let (sender, outputs) = mpsc::channel(OUTPUT_QUEUE);
    let last = sender.clone().try_reserve_owned().expect("a new queue has room");
    let flow = Arc::new(Flow::default());
    let reader = Reader { outputs: sender, last, flow: Arc::clone(&flow), seat: Some(seat) };
    (reader, Generation { outputs, flow, bell, ended: false })
}

/// Wakes who serves the answers where they wait for something to do. Rings that come together count as one.
#[derive(Clone)]
pub(crate) struct Bell(Arc<dyn Fn() + Send + Sync>);

impl Bell {
    pub(crate) fn new(ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(ring))
    }

    pub(crate) fn ring(&self) {
        (self.0)();
    }
}

/// Whether a slot waits for its reader. The fences pair up: either the runner sees the room that the reader made,
/// or the reader sees that the runner waits.
#[derive(Default)]
struct Flow {
    paused: AtomicBool,
}

impl Flow {
    fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    fn resume(&self) -> bool {
        fence(Ordering::SeqCst);
        self.paused.load(Ordering::SeqCst) && self.paused.swap(false, Ordering::SeqCst)
    }
}

/// What a reader is told when the runner went away without a word.
fn lost() -> Output {
    Output::Failed(Failure::EngineDied { reason: "its thread ended".into() })
}
