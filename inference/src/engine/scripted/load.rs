//! The made-up loading of a scripted engine: it takes its time, shows how far it is, and may fail halfway.

use std::time::{Duration, Instant};

use super::options::{LoadFault, Options};
use crate::{OpenError, Progress, WHOLE};

/// How often it moves on.
const STEP: Duration = Duration::from_millis(10);
/// Beyond its time, where it stalls: longer than anybody waits for a load that makes no progress.
const STALL: Duration = Duration::from_secs(60);

/// Blocks for as long as the load is to take.
///
/// # Errors
/// What it was told to.
pub(crate) fn load(options: &Options, progress: &Progress) -> Result<(), OpenError> {
    let whole = Duration::from_secs_f64(options.load_seconds);
    let half = whole / 2;
    let begin = Instant::now();
    while begin.elapsed() < whole {
        let elapsed = begin.elapsed();
        if elapsed >= half {
            fail(options.load_fault, whole)?;
        }
        progress.reach((elapsed.as_secs_f64() / whole.as_secs_f64() * f64::from(WHOLE)) as u32);
        std::thread::sleep(STEP.min(whole));
    }
    fail(options.load_fault, whole)?;
    progress.reach(WHOLE);
    Ok(())
}

fn fail(fault: Option<LoadFault>, whole: Duration) -> Result<(), OpenError> {
    let path = "scripted".into();
    match fault {
        None => Ok(()),
        Some(LoadFault::Memory) => Err(OpenError::Memory { path, problem: "it was told so".into() }),
        Some(LoadFault::File) => Err(OpenError::Corrupt { path, problem: "it was told so".into() }),
        Some(LoadFault::Stall) => {
            std::thread::sleep(whole + STALL);
            Err(OpenError::Engine { reason: "it was told to stall".into() })
        }
    }
}
