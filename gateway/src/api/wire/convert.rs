//! From what the gateway knows to what it says: the one place with both vocabularies.

mod frames;
mod people;
mod swarm;
mod talk;

pub use self::frames::{end, event, frame};
use super::Path;

fn path(relayed: bool) -> Path {
    if relayed { Path::Relayed } else { Path::Direct }
}
