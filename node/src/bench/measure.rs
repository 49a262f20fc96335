//! One round: so many answers at once, begun together.
//!
//! A prompt of its own for each, so that nothing is reused. Prefill counts from the start to the last first
//! token; decode only while all of them run, so that an answer which ends early does not spoil it.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use starling_inference::{Handle, Message, Output, Refused, Request, Role, Sampling};
use starling_protocol::program::Exit;

/// Longest prompt, where half of a slot holds it.
const PROMPT_TOKENS: u32 = 512;
const ANSWER_TOKENS: u32 = 64;
/// How long an answer may take to be admitted or to bring its next token.
const PATIENCE: Duration = Duration::from_secs(600);

/// Before a slot is asked for again that was given back a moment ago.
const RETRY: Duration = Duration::from_millis(1);

/// Prompts of one length, each with other words than those before.
#[derive(Clone, Debug)]
pub(super) struct Prompts {
    pub(super) tokens: u32,
    words: u32,
    state: u64,
}

/// Tokens per second, all answers together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    pub(super) prefill: Option<f64>,
    pub(super) decode: Option<f64>,
}

/// When the tokens of one answer came, and how long its prompt was.
struct Answer {
    prompt_tokens: u32,
    pieces: Vec<(Instant, usize)>,
}

impl Prompts {
    /// As long as suits the engine. Asks it twice, which also warms it up.
    pub(super) async fn fitting(engine: &Handle) -> Result<Self, Exit> {
        const TRIAL: u32 = 16;
        let mut prompts = Self { tokens: 0, words: TRIAL, state: 1 };
        let trial = answer(engine, prompts.next()).await?.prompt_tokens.max(TRIAL);
        prompts.words = (PROMPT_TOKENS.min(engine.info().context_tokens / 2) * TRIAL / trial).max(1);
        prompts.tokens = answer(engine, prompts.next()).await?.prompt_tokens;
        Ok(prompts)
    }

    fn next(&mut self) -> String {
        let words = self.words;
        (0..words).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    /// Four digits: of a length that hardly varies in any vocabulary. The constants are Knuth's (MMIX).
    fn word(&mut self) -> String {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:04}", (self.state >> 33) % 10_000)
    }
}

pub(super) async fn round(engine: &Handle, prompts: &mut Prompts, sequences: u32) -> Result<Round, Exit> {
    let began = Instant::now();
    let answers = (0..sequences).map(|_| answer(engine, prompts.next()));
    Ok(speeds(began, &try_join_all(answers).await?))
}

async fn answer(engine: &Handle, text: String) -> Result<Answer, Exit> {
    let request = Request {
        messages: vec![Message::new(Role::User, text)],
        sampling: Sampling { temperature: 0.0, ..Sampling::default() },
        max_tokens: Some(ANSWER_TOKENS),
        ..Request::default()
    };
    let late = |_| Exit::failed("the engine hangs");
    let mut generation = loop {
        let asked = tokio::time::timeout(PATIENCE, engine.generate(request.clone())).await.map_err(late)?;
        match asked {
            // A slot is free a moment after its answer has ended.
            Err(Refused::Busy) => tokio::time::sleep(RETRY).await,
            asked => break asked.map_err(Exit::failed)?,
        }
    };
    let mut answer = Answer { prompt_tokens: 0, pieces: vec![] };
    while let Some(output) = tokio::time::timeout(PATIENCE, generation.next()).await.map_err(late)? {
        match output {
            Output::Started { prompt_tokens, .. } => answer.prompt_tokens = prompt_tokens,
            Output::Piece { tokens, .. } => answer.pieces.push((Instant::now(), tokens.len())),
            Output::Failed(failure) => return Err(Exit::failed(failure)),
            Output::Done { .. } | Output::Vector { .. } => {}
        }
    }
    Ok(answer)
}

fn speeds(began: Instant, answers: &[Answer]) -> Round {
    let edge = |piece: fn(&Answer) -> Option<Instant>| answers.iter().map(piece).collect::<Option<Vec<_>>>();
    let firsts = edge(|answer| answer.pieces.first().map(|piece| piece.0));
    let lasts = edge(|answer| answer.pieces.last().map(|piece| piece.0));
    let (Some(all_begun), Some(one_ended)) =
        (firsts.and_then(|firsts| firsts.into_iter().max()), lasts.and_then(|lasts| lasts.into_iter().min()))
    else {
        return Round::default();
    };
    let prompts: u32 = answers.iter().map(|answer| answer.prompt_tokens).sum();
    let between = |(at, _): &&(Instant, usize)| *at > all_begun && *at <= one_ended;
    let given: usize =
        answers.iter().flat_map(|answer| answer.pieces.iter().filter(between)).map(|piece| piece.1).sum();
    Round {
        prefill: rate(f64::from(prompts), all_begun - began),
        decode: rate(given as f64, one_ended.saturating_duration_since(all_begun)),
    }
}

fn rate(count: f64, span: Duration) -> Option<f64> {
    (count > 0.0 && !span.is_zero()).then(|| count / span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_counts_only_while_all_run() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let long =
            Answer { prompt_tokens: 100, pieces: vec![(at(500), 1), (at(1500), 1), (at(2000), 1), (at(9000), 1)] };
        let short = Answer { prompt_tokens: 100, pieces: vec![(at(1000), 1), (at(1500), 2), (at(2000), 1)] };
        let round = speeds(began, &[long, short]);
        assert_eq!(round.prefill, Some(200.0));
        assert_eq!(round.decode, Some(5.0));
    }

    #[test]
    fn no_two_prompts_begin_alike() {
        let mut prompts = Prompts { tokens: 0, words: 2, state: 1 };
        let (one, other) = (prompts.next(), prompts.next());
        assert_eq!(one.len(), "0000 0000".len());
        assert_ne!(one[..4], other[..4]);
    }

    #[test]
    fn an_answer_of_nothing_is_no_speed() {
        let began = Instant::now();
        let silent = Answer { prompt_tokens: 1, pieces: vec![] };
        let round = speeds(began, &[silent]);
        assert_eq!((round.prefill, round.decode), (None, None));
    }
}
