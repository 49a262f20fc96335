//! How long a running answer pauses while somebody's long prompt is read: never for more than 250 ms.
//!
//! Seen from an engine whose steps take a known time, so that what is checked is how much it was asked to do, and a
//! busy machine, on which all takes longer, only makes it less.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use starling_inference::engine::{
    Admitted, Encoded, Engine, EngineError, Event, Pace, Plan, Progress, Sequence, SlotId, Stepped,
};
use starling_inference::{Invalid, ModelInfo, Output, Request, Runner, Style};

use crate::subject::{Engine as Running, ask, within};

/// What each prompt token takes: with it a step of 250 tokens lasts as long as an answer may pause.
const TOKEN: Duration = Duration::from_millis(1);
const LONGEST: usize = 250;
/// Steps beside answers from which the cost of a token is learned.
const LEARNING: usize = 2;
const PROMPT: usize = 1_500;

#[derive(Default)]
struct Seen {
    /// Steps that read a prompt beside a running answer.
    beside: AtomicUsize,
    /// Most tokens that one of them read, once they were known to take time.
    most_beside: AtomicUsize,
    most_alone: AtomicUsize,
}

/// A sequence for each slot: prompt tokens that are left to read.
struct Slow {
    info: ModelInfo,
    left: [Option<usize>; 2],
    seen: Arc<Seen>,
}

impl Engine for Slow {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn vocabulary(&self) -> u32 {
        256
    }

    fn encode(&self, request: &Request) -> Result<Encoded, Invalid> {
        Ok(Encoded { tokens: vec![1; request.messages[0].content.len()], style: Style::default() })
    }

    fn token_bytes(&self, _token: u32, bytes: &mut Vec<u8>) {
        bytes.push(b'.');
    }

    fn admit(&mut self, sequence: Sequence) -> Result<Admitted, EngineError> {
        let slot = self.left.iter().position(Option::is_none).unwrap();
        self.left[slot] = Some(sequence.tokens.len());
        Ok(Admitted { slot, cached_tokens: 0 })
    }

    fn release(&mut self, slot: SlotId) {
        self.left[slot] = None;
    }

    fn step(&mut self, plan: &Plan<'_>, progress: &mut Vec<Progress>) -> Result<Stepped, EngineError> {
        let mut read = 0;
        for &slot in plan.slots {
            let left = self.left[slot].as_mut().unwrap();
            let more = (*left).min(plan.prompt_tokens - read);
            (*left, read) = (*left - more, read + more);
            if *left == 0 && more == 0 {
                progress.push(Progress { slot, event: Event::Token(0) });
            } else if *left == 0 {
                progress.push(Progress { slot, event: Event::Token(1) });
            }
        }
        let answering = progress.iter().any(|progress| progress.event == Event::Token(0));
        std::thread::sleep(TOKEN * u32::try_from(read + 1).unwrap());
        if read > 0 && !answering {
            self.seen.most_alone.fetch_max(read, Ordering::SeqCst);
        } else if read > 0 && self.seen.beside.fetch_add(1, Ordering::SeqCst) >= LEARNING {
            self.seen.most_beside.fetch_max(read, Ordering::SeqCst);
        }
        Ok(Stepped { pace: Pace::Ready, prompt_tokens: read })
    }
}

#[tokio::test]
async fn a_long_prompt_lets_a_running_answer_pause_for_no_longer_than_promised() {
    let seen = Arc::new(Seen::default());
    let info = ModelInfo { name: "slow".into(), context_tokens: 1 << 20, slots: 2, ..ModelInfo::default() };
    let slow = Slow { info, left: [None; 2], seen: Arc::clone(&seen) };
    let engine = Running::start_with(move || Runner::new(Box::new(slow)));
    // Alone a prompt is read in larger pieces.
    let mut first = engine.generate(ask(&"x".repeat(PROMPT))).await;
    while !matches!(within(first.next()).await, Some(Output::Piece { .. })) {}
    let mut second = engine.generate(ask(&"y".repeat(PROMPT))).await;
    let reader = tokio::spawn(async move { while first.next().await.is_some() {} });
    while !matches!(within(second.next()).await, Some(Output::Piece { .. })) {}
    reader.abort();
    assert!(reader.await.is_err());
    let most = |of: &AtomicUsize| of.load(Ordering::SeqCst);
    assert!((1..=LONGEST).contains(&most(&seen.most_beside)), "{} tokens in a step", most(&seen.most_beside));
    assert!(most(&seen.most_alone) > most(&seen.most_beside), "{}", most(&seen.most_alone));
}
