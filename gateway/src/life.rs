//! How the gateway comes to its end, as its many short tasks see it.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Shared by everything that runs on behalf of a person. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Cancelled first: nothing new is begun, what runs may end.
    pub drain: CancellationToken,
    /// Cancelled when nothing runs any more, or the grace is over: what still runs keeps what it has and ends now.
    pub cancel: CancellationToken,
    /// Turns, sockets and connections, those that came during the drain apart: nobody waits for them.
    pub tasks: TaskTracker,
}
