//! `xtask lab-client`: what a person beside the gateway would do, run inside of the gateway's host,
//! whose loopback nobody else reaches. Prints facts for `lab` on stdout.

use std::io::BufRead as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api::{self, Login, Session};
use crate::say;
use crate::scripted;

/// The longest answer that is asked for takes half a minute; a lab may be slow.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

#[derive(Args)]
pub(crate) struct Options {
    /// Where the gateway answers.
    url: String,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make the first administrator and print `key KEY`.
    Key { code: String },
    /// Ask for an answer of the scripted engine; print `first MS` and `answer JSON`.
    Ask { key: String, seed: u64, tokens: u32 },
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.what {
        What::Key { code } => {
            let login = Login { username: "lab".into(), password: "a long enough password".into() };
            let key = Session::set_up(&options.url, code, &login)?.make_key("lab")?;
            say::fact(&format!("key {key}"));
        }
        What::Ask { key, seed, tokens } => {
            let mut answer = Answer::default();
            let error = ask(&options.url, key, *seed, *tokens, &mut answer).err().map(|error| format!("{error:#}"));
            say::fact(&format!("answer {}", answer.report(error, &scripted::answer(*seed, *tokens))));
        }
    }
    Ok(())
}

/// What came of an answer, and when.
#[derive(Default)]
struct Answer {
    text: String,
    pieces: u32,
    first: Option<Duration>,
    last: Duration,
    /// The longest time between two pieces, and when it was over.
    gap: (Duration, Duration),
}

impl Answer {
    fn take(&mut self, piece: &str, at: Duration) {
        if self.first.is_none() {
            self.first = Some(at);
            say::fact(&format!("first {}", at.as_millis()));
        } else if at - self.last > self.gap.0 {
            self.gap = (at - self.last, at);
        }
        self.last = at;
        self.pieces += 1;
        self.text.push_str(piece);
    }

    fn report(&self, error: Option<String>, expected: &str) -> Value {
        let same = self.text.bytes().zip(expected.bytes()).take_while(|(got, wanted)| got == wanted).count();
        // Spaces at its ends belong to the reader of a style, not to the text.
        let exact = self.text.trim_end() == expected.trim_end();
        let wrong_at = (!exact && same < self.text.trim_end().len()).then_some(same);
        json!({
            "exact": exact && error.is_none(),
            "wrong_at": wrong_at,
            "pieces": self.pieces,
            "first_ms": self.first.map(millis),
            "total_ms": millis(self.last),
            "gap_ms": millis(self.gap.0),
            "gap_at_ms": millis(self.gap.1),
            "error": error,
        })
    }
}

fn ask(url: &str, key: &str, seed: u64, tokens: u32, answer: &mut Answer) -> Result<()> {
    let body = json!({
        "model": scripted::MODEL,
        "messages": [{"role": "user", "content": "Say something long."}],
        "max_tokens": tokens,
        "seed": seed,
        "stream": true,
    });
    let asked = Instant::now();
    for line in api::stream(url, key, &body, ANSWER_LIMIT)?.lines() {
        let line = line?;
        let Some(data) = line.strip_prefix("data: ") else { continue };
        if data == "[DONE]" {
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(data).context("a chunk that is no JSON")?;
        if let Some(message) = chunk["error"]["message"].as_str() {
            anyhow::bail!("{message}");
        }
        match chunk["choices"][0]["delta"]["content"].as_str() {
            Some(piece) if !piece.is_empty() => answer.take(piece, asked.elapsed()),
            _ => {}
        }
    }
    anyhow::bail!("the answer broke off")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_finds_the_wrong_byte_and_the_gap() {
        let mut answer = Answer::default();
        for (piece, ms) in [("a ", 10), ("b ", 20), ("x ", 320)] {
            answer.take(piece, Duration::from_millis(ms));
        }
        let report = answer.report(None, "a b c ");
        assert_eq!((&report["exact"], &report["wrong_at"]), (&json!(false), &json!(4)));
        assert_eq!((&report["gap_ms"], &report["gap_at_ms"]), (&json!(300), &json!(320)));
        assert_eq!((&report["first_ms"], &report["pieces"]), (&json!(10), &json!(3)));
        let whole = answer.report(None, "a b x ");
        assert_eq!((&whole["exact"], &whole["wrong_at"]), (&json!(true), &Value::Null));
        assert_eq!(answer.report(Some("broke".into()), "a b x ")["exact"], json!(false));
    }
}
