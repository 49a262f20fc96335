//! A model that is being loaded for a job: whether it comes further, and what the reader is told.

use std::time::Duration;

use starling_protocol::{
    limits::{LOADING_STALL, WHOLE_LOAD},
    message::{LoadFailure, Loading},
};
use tokio::time::Instant;

use crate::dispatch::DispatchError;

/// However far it comes, a load is given up after this.
const LONGEST: Duration = Duration::from_secs(600);

/// One load, as its node tells of it.
pub(super) struct Load {
    began: Instant,
    moved: Instant,
    permille: Option<u32>,
}

impl Load {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { began: now, moved: now, permille: None }
    }

    /// Whether there was any.
    pub(super) fn has_begun(&self) -> bool {
        self.permille.is_some()
    }

    /// What the node says of it now; none when that is no news.
    ///
    /// # Errors
    /// It came no further for too long.
    pub(super) fn came(&mut self, Loading { permille }: Loading) -> Result<Option<u32>, DispatchError> {
        let permille = permille.min(WHOLE_LOAD);
        if self.permille.is_none_or(|before| before < permille) {
            (self.moved, self.permille) = (Instant::now(), Some(permille));
            return if self.began.elapsed() < LONGEST { Ok(Some(permille)) } else { Err(stalled()) };
        }
        if self.moved.elapsed() < LOADING_STALL { Ok(None) } else { Err(stalled()) }
    }
}

fn stalled() -> DispatchError {
    DispatchError::NotLoaded(LoadFailure::Stalled)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_load_that_moves_is_waited_for_and_one_that_stands_still_is_not() {
        let mut load = Load::new();
        assert!(!load.has_begun());
        for permille in [0, 100, 200] {
            assert_eq!(load.came(Loading { permille }), Ok(Some(permille)));
            advance(LOADING_STALL / 2).await;
            assert_eq!(load.came(Loading { permille }), Ok(None), "the node only says that it lives");
        }
        assert!(load.has_begun());
        assert_eq!(load.came(Loading { permille: 150 }), Ok(None), "it never goes back");
        advance(LOADING_STALL / 2).await;
        assert_eq!(load.came(Loading { permille: 200 }), Err(stalled()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_creeps_is_given_up_too() {
        let mut load = Load::new();
        let mut permille = 0;
        while load.came(Loading { permille }).is_ok() {
            advance(LOADING_STALL / 2).await;
            permille += 1;
        }
        assert_eq!(load.began.elapsed(), LONGEST);
    }
}
