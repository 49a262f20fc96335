//! A node that leaves its machine to whoever sits there, and comes back by itself.
//!
//! [`state`] decides, from what [`watch`] sees, `starling-node desktop` says and the owner orders; [`Polite`] does it. What
//! the swarm hears of it is the kind of reason, and never more.

mod actor;
pub mod autostart;
pub mod command;
mod crew;
pub mod desktop;
mod options;
mod orders;
mod priority;
mod state;
mod threshold;
mod watch;

use std::time::Instant;

use starling_protocol::message::PauseKind;

pub(crate) use self::{
    actor::{Polite, Seen},
    crew::Crew,
    orders::Orders,
};
pub use self::{
    options::{Level, Options, While},
    priority::lower as lower_priority,
    watch::{process::ProgramName, schedule::Hours},
};

/// A pause, as those on this machine may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) kind: PauseKind,
    /// When it will be over, where that is known.
    pub(crate) back: Option<Instant>,
    /// Which program, where it is one that the owner has named. Never for others.
    pub(crate) program: Option<String>,
    pub(crate) stage: Stage,
    /// Why the models could not be loaded last; empty when nothing went wrong.
    pub(crate) trouble: String,
}

/// How far a pause has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No more jobs; the models are in memory.
    Light,
    /// Nor are they.
    Freed,
    /// They are being loaded again.
    Returning,
}

/// A kind of reason, for logs and programs.
pub(crate) fn word(kind: PauseKind) -> &'static str {
    match kind {
        PauseKind::Other => "other",
        PauseKind::ByHand => "by hand",
        PauseKind::FullScreen => "full screen",
        PauseKind::Process => "process",
        PauseKind::Battery => "battery",
        PauseKind::Temperature => "temperature",
        PauseKind::Gpu => "gpu",
        PauseKind::Schedule => "schedule",
    }
}
