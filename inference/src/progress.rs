//! How far the opening of an engine has come, as a level for whoever waits for it.

use tokio::sync::watch;

/// All of it.
pub const WHOLE: u32 = 1000;

/// Shown by whoever opens an engine, seen by whoever waits for it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress(watch::Sender<u32>);

impl Progress {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Permille so far; it never goes back.
    pub fn seen(&self) -> watch::Receiver<u32> {
        self.0.subscribe()
    }

    /// So much of a thousand has come.
    pub fn reach(&self, permille: u32) {
        let permille = permille.min(WHOLE);
        self.0.send_if_modified(|seen| {
            let further = *seen < permille;
            *seen = permille.max(*seen);
            further
        });
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_goes_one_way_and_ends_at_the_whole() {
        let progress = Progress::new();
        let mut seen = progress.seen();
        for (reached, shown) in [(10, 10), (10, 10), (5, 10), (5000, WHOLE)] {
            progress.reach(reached);
            assert_eq!(*seen.borrow_and_update(), shown);
        }
        progress.reach(3);
        assert!(!seen.has_changed().unwrap());
    }
}
