//! What a Windows service tells the service control manager, and when, as a state machine. The manager takes a service for
//! hung when it has said nothing within its own hint; a rising checkpoint is how it hears that there is progress.

use std::time::Duration;

/// How long the manager may wait for the next word of a service that starts or stops.
const HINT: Duration = Duration::from_secs(15);
/// How often such a service speaks.
pub(super) const TICK: Duration = Duration::from_secs(2);

/// What happens to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Configuration, key and membership are good; models load from here on.
    Ready,
    /// The system wants it to end.
    Stop,
    /// Time has passed: a [`TICK`].
    Tick,
    /// The node has left, with this exit code.
    Ended(u32),
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Running,
    Stopping,
    Stopped,
}

/// What the manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) phase: Phase,
    /// The manager may ask it to stop. Nobody is asked twice.
    pub(super) accepts_stop: bool,
    pub(super) checkpoint: u32,
    pub(super) hint: Duration,
    /// 0 unless it failed.
    pub(super) code: u32,
}

#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    checkpoint: u32,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Starting, checkpoint: 1 }
    }

    /// What to say at the beginning.
    pub(super) fn first(&self) -> Word {
        self.word(0)
    }

    /// What to say now, if anything.
    pub(super) fn on(&mut self, event: Event) -> Option<Word> {
        let (phase, code) = match (self.phase, event) {
            (Phase::Stopped, _) => return None,
            (_, Event::Ended(code)) => (Phase::Stopped, code),
            (Phase::Starting, Event::Ready) => (Phase::Running, 0),
            (Phase::Starting | Phase::Running, Event::Stop) => (Phase::Stopping, 0),
            (Phase::Starting | Phase::Stopping, Event::Tick) => {
                self.checkpoint += 1;
                return Some(self.word(0));
            }
            _ => return None,
        };
        (self.phase, self.checkpoint) = (phase, u32::from(phase == Phase::Stopping));
        Some(self.word(code))
    }

    fn word(&self, code: u32) -> Word {
        let pending = matches!(self.phase, Phase::Starting | Phase::Stopping);
        Word {
            phase: self.phase,
            accepts_stop: self.phase == Phase::Running,
            checkpoint: self.checkpoint,
            hint: if pending { HINT } else { Duration::ZERO },
            code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(events: &[Event]) -> Vec<(Phase, u32)> {
        let mut machine = Machine::new();
        events.iter().filter_map(|event| machine.on(*event)).map(|word| (word.phase, word.checkpoint)).collect()
    }

    #[test]
    fn a_service_starts_runs_and_stops() {
        use Event::{Ended, Ready, Stop, Tick};
        let said = course(&[Tick, Ready, Tick, Stop, Tick, Tick, Stop, Ready, Ended(0), Tick, Stop, Ended(1)]);
        assert_eq!(
            said,
            [
                (Phase::Starting, 2),
                (Phase::Running, 0),
                (Phase::Stopping, 1),
                (Phase::Stopping, 2),
                (Phase::Stopping, 3),
                (Phase::Stopped, 0),
            ]
        );
    }

    #[test]
    fn a_service_that_is_told_to_stop_while_it_starts_never_runs() {
        use Event::{Ended, Ready, Stop};
        assert_eq!(course(&[Stop, Ready, Ended(0)]), [(Phase::Stopping, 1), (Phase::Stopped, 0)]);
        assert_eq!(course(&[Ended(2), Ready]), [(Phase::Stopped, 0)]);
    }

    #[test]
    fn only_one_that_runs_can_be_stopped_and_only_one_that_waits_gives_hints() {
        let mut machine = Machine::new();
        let first = machine.first();
        assert!(!first.accepts_stop && first.hint > 2 * TICK && first.checkpoint == 1);
        let running = machine.on(Event::Ready).unwrap();
        assert!(running.accepts_stop && running.hint.is_zero());
        assert!(!machine.on(Event::Stop).unwrap().accepts_stop);
        let failed = machine.on(Event::Ended(1)).unwrap();
        assert_eq!((failed.code, failed.accepts_stop, failed.hint), (1, false, Duration::ZERO));
    }
}
