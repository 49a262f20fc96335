//! What is looked at, every two seconds: processes, what feeds the machine, and the clock. A thread of its own, since a
//! system may take its time for any of it.
//!
//! The graphics card's figures come from the hardware's watcher; what is on the screen is said at the desk.

pub(crate) mod battery;
pub(crate) mod gpu;
pub(crate) mod process;
pub(crate) mod schedule;

use std::{
    io,
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use jiff::Zoned;
use tokio::sync::watch;

use self::process::Processes;
use super::options::{Level, Options, While};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// What a first look may take; what it would have seen is seen later.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// What was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looks {
    /// A program that the owner has named runs: this one.
    pub(crate) process: Option<String>,
    /// The machine runs on its battery.
    pub(crate) battery: bool,
    /// It is outside of the hours; until then, if that is known.
    pub(crate) closed: Option<Option<Instant>>,
}

/// Looks for as long as it is held.
pub(crate) struct Eyes {
    _stop: mpsc::SyncSender<()>,
    seen: watch::Receiver<Option<Looks>>,
}

impl Eyes {
    /// Starts the thread. Of a node that is not polite nothing is looked at.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn open(options: &Options) -> io::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel::<()>(0);
        let (found, seen) = watch::channel(None);
        if options.polite == Level::Off {
            found.send_replace(Some(Looks::default()));
            return Ok(Self { _stop: stop, seen });
        }
        let options = options.clone();
        let look = move || {
            let mut processes = Processes::new(options.yield_to.clone());
            loop {
                let looks = Looks {
                    process: processes.running(),
                    battery: options.on_battery == While::Yield && battery::on_battery(),
                    closed: schedule::closed(&options.hours, &Zoned::now()).map(|opens| opens.map(instant)),
                };
                found.send_if_modified(|before| {
                    let news = before.as_ref() != Some(&looks);
                    *before = Some(looks);
                    news
                });
                if stopped.recv_timeout(INTERVAL) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread::Builder::new().name("polite".to_owned()).spawn(look)?;
        Ok(Self { _stop: stop, seen })
    }

    /// Waits for the first look.
    pub(crate) async fn first(&mut self) -> Looks {
        let first = self.seen.wait_for(Option::is_some);
        let first = tokio::time::timeout(FIRST_LOOK, first).await;
        first.ok().and_then(Result::ok).and_then(|looks| looks.clone()).unwrap_or_default()
    }

    /// Waits for what is new. Never, where nothing is looked at. Cancel safe.
    pub(crate) async fn next(&mut self) -> Looks {
        if self.seen.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.seen.borrow_and_update().clone().unwrap_or_default()
    }
}

/// That moment by the clock that nobody sets; to the second, so that it does not tremble from look to look.
fn instant(moment: jiff::Timestamp) -> Instant {
    let ahead = SystemTime::from(moment).duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + Duration::from_secs(ahead.as_secs() + 1)
}
