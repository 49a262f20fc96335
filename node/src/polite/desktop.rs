//! `starling-node desktop`: the watcher in somebody's own session on Windows. A service is in a session without a screen,
//! so somebody who sees one has to tell it that a full-screen program runs. It says nothing else, and what it says
//! counts for five seconds.

#[cfg(windows)]
use std::time::Duration;

use starling_protocol::program::Exit;

use super::command::NodeOptions;

/// Between two looks.
#[cfg(windows)]
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks for a node that does not run.
#[cfg(windows)]
const NOBODY: Duration = Duration::from_secs(10);

/// Watches until it is ended, which the system does at sign-out.
///
/// # Errors
/// Elsewhere than on Windows: nothing can be seen there.
#[cfg(windows)]
pub async fn run(options: NodeOptions) -> Result<(), Exit> {
    use super::{command::tell, orders::Order};
    loop {
        let mut pause = INTERVAL;
        if windows::full_screen() && tell(options.data.clone(), Order::FullScreen).await.is_err() {
            // It may be started later; nobody reads what is said here.
            pause = NOBODY;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Watches until it is ended, which the system does at sign-out.
///
/// # Errors
/// Elsewhere than on Windows: nothing can be seen there.
#[cfg(not(windows))]
#[expect(clippy::unused_async, reason = "the same face as on Windows")]
pub async fn run(_options: NodeOptions) -> Result<(), Exit> {
    Err(Exit::usage(
        "only on Windows can a program see that another one fills the screen",
        "name programs with --yield-to, or say starling-node pause",
    ))
}

#[cfg(windows)]
mod windows {
    use windows_sys::Win32::UI::Shell::{
        QUNS_APP, QUNS_BUSY, QUNS_PRESENTATION_MODE, QUNS_RUNNING_D3D_FULL_SCREEN, SHQueryUserNotificationState,
    };

    /// A game, a film or a presentation fills the screen: whatever Windows holds its own notifications back for.
    pub(super) fn full_screen() -> bool {
        const FILLS: [i32; 4] = [QUNS_APP, QUNS_BUSY, QUNS_PRESENTATION_MODE, QUNS_RUNNING_D3D_FULL_SCREEN];
        state().is_some_and(|state| FILLS.contains(&state))
    }

    fn state() -> Option<i32> {
        let mut state = 0;
        #[expect(unsafe_code, reason = "a call of Windows that no safe crate of ours has")]
        // SAFETY: the pointer is to a whole number of this type, which lives for the call.
        let result = unsafe { SHQueryUserNotificationState(&raw mut state) };
        (result >= 0).then_some(state)
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn windows_answers() {
            assert!(super::state().is_some());
        }
    }
}
