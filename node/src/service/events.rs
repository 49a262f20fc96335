//! What a service's owner finds in the event log of Windows: start, stop, failure, and what needs attention. On other
//! systems the log of the service has it all (systemd keeps what is said on stderr), so there this is silent.

/// Something that its owner should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It serves.
    Started,
    /// It was told to end, and has.
    Stopped,
    /// It ended by itself.
    Failed,
    /// It runs, and something is not as it should be.
    Attention,
}

/// Notes it. Nothing waits for that, and where it fails the node goes on.
pub fn note(event: Event, what: &str) {
    #[cfg(windows)]
    super::windows::event_log::note(event, what);
    #[cfg(not(windows))]
    let _ = (event, what);
}
