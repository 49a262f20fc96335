//! Engines that break the rules of the trait: the runner answers with failures, never with somebody else's tokens.

use starling_inference::engine::{
    Admitted, Encoded, Engine, EngineError, Event, Pace, Plan, Progress, Sequence, SlotId, Stepped,
};
use starling_inference::{Failure, Invalid, ModelInfo, Output, Refused, Request, Runner, Style};

use crate::subject::{Engine as Running, ask, within};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    PanicInEncode,
    TakenSlot,
    NoSuchSlot,
    MemoryAtAdmission,
    PromptOfNothing,
    SequenceFails,
    TwoTokensInAStep,
}

struct Rogue {
    info: ModelInfo,
    wrong: Wrong,
    steps: u32,
}

impl Engine for Rogue {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn vocabulary(&self) -> u32 {
        256
    }

    fn encode(&self, _request: &Request) -> Result<Encoded, Invalid> {
        assert!(self.wrong != Wrong::PanicInEncode, "as told");
        let tokens = vec![1; usize::from(self.wrong != Wrong::PromptOfNothing)];
        Ok(Encoded { tokens, style: Style::default() })
    }

    fn token_bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        bytes.push(u8::try_from(token).unwrap());
    }

    fn admit(&mut self, _sequence: Sequence) -> Result<Admitted, EngineError> {
        match self.wrong {
            Wrong::MemoryAtAdmission => Err(EngineError::OutOfMemory),
            Wrong::TakenSlot => Ok(Admitted { slot: 9, cached_tokens: 0 }),
            _ => Ok(Admitted { slot: 0, cached_tokens: 0 }),
        }
    }

    fn release(&mut self, _slot: SlotId) {}

    fn step(&mut self, _plan: &Plan<'_>, progress: &mut Vec<Progress>) -> Result<Stepped, EngineError> {
        self.steps += 1;
        let token = Event::Token(u32::from(b'a'));
        match self.wrong {
            Wrong::NoSuchSlot => progress.push(Progress { slot: 7, event: token }),
            Wrong::SequenceFails => {
                let failure = Failure::Garbage { what: "told so".into() };
                progress.push(Progress { slot: 0, event: Event::Failed(failure) });
            }
            _ => {
                progress.push(Progress { slot: 0, event: token.clone() });
                progress.push(Progress { slot: 0, event: token });
                progress.push(Progress { slot: 0, event: Event::End });
                progress.push(Progress { slot: 0, event: Event::Token(9999) });
            }
        }
        Ok(Stepped { pace: Pace::Ready, prompt_tokens: 0 })
    }
}

fn start(wrong: Wrong) -> Running {
    let info = ModelInfo { context_tokens: 100, slots: 2, name: "rogue".into(), ..ModelInfo::default() };
    Running::start_with(move || Runner::new(Box::new(Rogue { info, wrong, steps: 0 })))
}

#[tokio::test]
async fn a_panic_while_admitting_is_a_stop() {
    let engine = start(Wrong::PanicInEncode);
    assert_eq!(engine.refused(ask("x")).await, Refused::Stopped);
    engine.wait_for(|load| !load.alive).await;
    assert_eq!(engine.refused(ask("x")).await, Refused::Stopped);
}

#[tokio::test]
async fn a_slot_that_is_not_there_ends_the_engine() {
    let engine = start(Wrong::TakenSlot);
    assert_eq!(engine.refused(ask("x")).await, Refused::Stopped);
    let engine = start(Wrong::NoSuchSlot);
    let answer = engine.answer(ask("x")).await;
    assert!(matches!(answer.failure(), Failure::EngineDied { .. }));
    assert!(answer.tokens().is_empty());
}

#[tokio::test]
async fn no_memory_at_admission_is_a_failure_of_that_answer() {
    let engine = start(Wrong::MemoryAtAdmission);
    for _ in 0..5 {
        assert_eq!(*engine.answer(ask("x")).await.failure(), Failure::OutOfMemory);
    }
    engine.wait_for(|load| load.slots_free == 2 && load.alive).await;
}

#[tokio::test]
async fn a_sequence_that_fails_fails_alone() {
    let engine = start(Wrong::SequenceFails);
    assert_eq!(*engine.answer(ask("x")).await.failure(), Failure::Garbage { what: "told so".into() });
    engine.wait_for(|load| load.slots_free == 2 && load.alive).await;
}

#[tokio::test]
async fn a_prompt_of_nothing_is_refused() {
    let engine = start(Wrong::PromptOfNothing);
    match engine.refused(ask("")).await {
        Refused::Invalid(invalid) => assert_eq!(invalid.field, "messages"),
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn what_comes_behind_an_end_is_dropped() {
    let engine = start(Wrong::TwoTokensInAStep);
    let mut generation = engine.generate(ask("x")).await;
    let mut text = String::new();
    while let Some(output) = within(generation.next()).await {
        match output {
            Output::Piece { text: piece, .. } => text.push_str(&piece),
            Output::Failed(failure) => panic!("{failure:?}"),
            Output::Started { .. } | Output::Vector { .. } | Output::Done { .. } => {}
        }
    }
    assert_eq!(text, "aa");
}
