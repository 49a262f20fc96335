//! The measures: what is asked, and the one number that comes of it.

use anyhow::{Result, ensure};
use futures::future::try_join_all;

use crate::asked::{Answered, Asked, Engine};

/// Something to be measured.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// Whether less is better, as with times.
    pub(crate) less_is_better: bool,
    what: What,
}

enum What {
    /// A prompt of about so many tokens that nobody has seen: tokens per second up to the first token.
    Prefill(usize),
    /// So many answers at once, each of so many tokens: tokens per second, all together.
    Decode { streams: usize, tokens: u32 },
    /// A conversation of about so many tokens, and then its next question: milliseconds to its first token.
    SecondTurn(usize),
}

pub(crate) const MEASURES: [Measure; 5] = [
    Measure { name: "prefill 512", unit: "tokens/s", less_is_better: false, what: What::Prefill(512) },
    Measure {
        name: "decode, 1",
        unit: "tokens/s",
        less_is_better: false,
        what: What::Decode { streams: 1, tokens: 48 },
    },
    Measure {
        name: "decode, 4",
        unit: "tokens/s",
        less_is_better: false,
        what: What::Decode { streams: 4, tokens: 48 },
    },
    Measure {
        name: "decode, 8",
        unit: "tokens/s",
        less_is_better: false,
        what: What::Decode { streams: 8, tokens: 48 },
    },
    Measure { name: "second turn of 2,000", unit: "ms", less_is_better: true, what: What::SecondTurn(2_000) },
];

impl Measure {
    /// Asks and measures. `round` makes every prompt a new one.
    pub(crate) async fn run(&self, engine: &impl Engine, round: usize) -> Result<f64> {
        match self.what {
            What::Prefill(tokens) => {
                let asked = Asked { turns: vec![text(round, 0, tokens)], max_tokens: 1 };
                let answered = engine.ask(asked).await?;
                let read = answered.prompt_tokens - answered.cached_tokens;
                ensure!(read as usize >= tokens * 9 / 10, "only {read} tokens of the prompt were computed");
                Ok(f64::from(read) / answered.first_token().as_secs_f64())
            }
            What::Decode { streams, tokens } => {
                let ask = |stream| Asked { turns: vec![text(round, stream, 16)], max_tokens: tokens };
                decoded(&try_join_all((0..streams).map(|stream| engine.ask(ask(stream)))).await?)
            }
            What::SecondTurn(tokens) => second_turn(engine, round, tokens).await,
        }
    }
}

/// Tokens per second from the moment at which all have begun to the end of the last.
fn decoded(answers: &[Answered]) -> Result<f64> {
    let begun = answers.iter().filter_map(|answer| answer.arrivals.first()).max().copied();
    let ended = answers.iter().filter_map(|answer| answer.arrivals.last()).max().copied();
    let (Some(begun), Some(ended)) = (begun, ended) else { anyhow::bail!("an answer without a token") };
    let expected = answers.iter().map(|answer| answer.completion_tokens).min().unwrap_or_default();
    ensure!(expected >= 40, "an answer ended after {expected} tokens");
    let pieces: usize = answers.iter().map(|answer| answer.arrivals.iter().filter(|at| **at > begun).count()).sum();
    // Some pieces have several tokens, where a character takes more than one.
    let tokens: u32 = answers.iter().map(|answer| answer.completion_tokens).sum();
    let all: usize = answers.iter().map(|answer| answer.arrivals.len()).sum();
    Ok(pieces as f64 * f64::from(tokens) / all as f64 / (ended - begun).as_secs_f64())
}

async fn second_turn(engine: &impl Engine, round: usize, tokens: usize) -> Result<f64> {
    let question = text(round, 100, tokens);
    let first = engine.ask(Asked { turns: vec![question.clone()], max_tokens: 16 }).await?;
    // Somebody else in between.
    engine.ask(Asked { turns: vec![text(round, 101, 64)], max_tokens: 4 }).await?;
    let turns = vec![question, first.text, text(round, 102, 24)];
    let second = engine.ask(Asked { turns, max_tokens: 1 }).await?;
    Ok(second.first_token().as_secs_f64() * 1e3)
}

/// A text of so many bytes, each of which is a token of the random model, different from its first word on.
fn text(round: usize, stream: usize, bytes: usize) -> String {
    let mut seed = ((round * 1_000 + stream + 1) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let letters = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        char::from(b"abcdefghijklmnopqrstuvwxyz      "[(seed >> 20) as usize % 32])
    });
    letters.take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_differ_from_the_start() {
        let (a, b) = (text(0, 0, 512), text(1, 0, 512));
        assert_eq!((a.len(), b.len()), (512, 512));
        assert_ne!(a[..16], b[..16]);
        assert_eq!(a, text(0, 0, 512));
    }
}
