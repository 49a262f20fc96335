//! What the runner asks of an engine, seen from the engine: how many steps, for which slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use starling_inference::engine::{
    Admitted, Encoded, Engine, EngineError, Event, Pace, Plan, Progress, Sequence, SlotId, Stepped,
};
use starling_inference::{Invalid, ModelInfo, Request, Runner, Style};

use crate::subject::{Answer, Engine as Running, ask};

/// Long enough that a test sees single steps.
const STEP: Duration = Duration::from_millis(10);

/// Steps so far, and how many of them had each slot in their plan.
#[derive(Default)]
struct Counts {
    steps: AtomicU32,
    planned: [AtomicU32; 2],
}

/// Slot 0 never says anything, as while a long prompt is read; slot 1 gives a token a step, 200 of them.
struct Counting {
    info: ModelInfo,
    counts: Arc<Counts>,
    taken: [bool; 2],
    pause: Duration,
    talks: [bool; 2],
    given: u32,
}

impl Engine for Counting {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn vocabulary(&self) -> u32 {
        256
    }

    fn encode(&self, _request: &Request) -> Result<Encoded, Invalid> {
        Ok(Encoded { tokens: vec![1], style: Style::default() })
    }

    fn token_bytes(&self, _token: u32, bytes: &mut Vec<u8>) {
        bytes.push(b'.');
    }

    fn admit(&mut self, _sequence: Sequence) -> Result<Admitted, EngineError> {
        let slot = self.taken.iter().position(|taken| !taken).unwrap();
        self.taken[slot] = true;
        Ok(Admitted { slot, cached_tokens: 0 })
    }

    fn release(&mut self, slot: SlotId) {
        self.taken[slot] = false;
    }

    fn step(&mut self, plan: &Plan<'_>, progress: &mut Vec<Progress>) -> Result<Stepped, EngineError> {
        std::thread::sleep(self.pause);
        self.counts.steps.fetch_add(1, Ordering::SeqCst);
        for &slot in plan.slots {
            self.counts.planned[slot].fetch_add(1, Ordering::SeqCst);
            if self.talks[slot] {
                self.given += u32::from(slot == 1);
                let event = if slot == 1 && self.given > 200 { Event::End } else { Event::Token(0) };
                progress.push(Progress { slot, event });
            }
        }
        Ok(Stepped { pace: Pace::Ready, prompt_tokens: 0 })
    }
}

fn start(pause: Duration, talks: [bool; 2]) -> (Running, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let info = ModelInfo { context_tokens: 4000, slots: 2, name: "counting".into(), ..ModelInfo::default() };
    let shared = Arc::clone(&counts);
    let engine = move || Counting { info, counts: shared, taken: [false; 2], pause, talks, given: 0 };
    (Running::start_with(move || Runner::new(Box::new(engine()))), counts)
}

#[tokio::test]
async fn a_cancel_takes_effect_within_a_step() {
    let (engine, counts) = start(STEP, [false, true]);
    let reading = engine.generate(ask("a prompt that takes for ever")).await;
    while counts.steps.load(Ordering::SeqCst) < 3 {
        tokio::time::sleep(STEP / 4).await;
    }
    let before = counts.steps.load(Ordering::SeqCst);
    drop(reading);
    engine.wait_for(|load| load.slots_free == 2).await;
    let after = counts.steps.load(Ordering::SeqCst);
    // The step that was running, and one that may have begun between the two looks.
    assert!(after - before <= 2, "{before} {after}");
}

#[tokio::test]
async fn a_slot_whose_reader_is_slow_is_left_out_of_the_steps() {
    let (engine, counts) = start(Duration::ZERO, [true, true]);
    let slow = engine.generate(ask("nobody reads this")).await;
    let answer = engine.answer(ask("this is read")).await;
    assert_eq!(answer.tokens().len(), 200);
    let planned = counts.planned[0].load(Ordering::SeqCst);
    // As many as its queue holds beside its start and its end.
    assert_eq!(planned, 62);
    // Nothing at all is computed while every reader is slow.
    let steps = counts.steps.load(Ordering::SeqCst);
    tokio::time::sleep(STEP).await;
    assert_eq!(counts.steps.load(Ordering::SeqCst), steps);
    drop(slow);
    engine.wait_for(|load| load.slots_free == 2).await;
}

#[tokio::test]
async fn a_slow_reader_that_goes_on_gets_everything() {
    let (engine, counts) = start(Duration::ZERO, [false, true]);
    let silent = engine.generate(ask("takes slot 0")).await;
    let slow = engine.generate(ask("slot 1")).await;
    while counts.planned[1].load(Ordering::SeqCst) < 62 {
        tokio::time::sleep(STEP / 4).await;
    }
    assert_eq!(Answer::read(slow).await.tokens().len(), 200);
    drop(silent);
}
