//! Options of the scripted engine, as `KEY=VALUE,...` on a command line.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::MAX_CONTEXT_TOKENS;
use crate::{Reasoning, Style};

/// Most slots; the load test uses 256.
const MAX_SLOTS: u32 = 4096;
/// Most dimensions; the largest embedding models have a few thousand.
const MAX_DIMENSIONS: u32 = 8192;
/// Longest text that an answer can begin with.
const MAX_SAY_BYTES: usize = 4096;
/// Slower than this would be a hang, faster than this is unlimited.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.001..=1e9;
const KEYS: &str = "seed, tokens_per_second, prefill_tokens_per_second, answer_tokens, slots, context_tokens, \
                    fault, kind, dimensions, say, style, load_seconds, load_fault, memory_mb";

/// How a scripted engine answers. Parse one from text such as `seed=1,tokens_per_second=50,fault=hang@10`; the rest
/// are the defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Changes every answer, and the model's id with it.
    pub seed: u64,
    /// Speed of each answer; 0 is as fast as the machine can.
    pub tokens_per_second: f64,
    /// Speed at which each prompt is read; 0 takes no time.
    pub prefill_tokens_per_second: f64,
    /// Length of an answer that nothing cuts, without what it says first. Changes the model's id.
    pub answer_tokens: u32,
    /// Answers at once.
    pub slots: u32,
    /// Tokens of prompt and answer together.
    pub context_tokens: u32,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// An embedding model (`kind=embedding`) in place of one that answers. Changes the model's id.
    pub embedding: bool,
    /// Numbers in its vectors. Changes the model's id.
    pub dimensions: u32,
    /// What every answer begins with; a `%` and two hexadecimal digits are a byte. Changes the model's id.
    pub say: String,
    /// How its answers say that they are to be read: of `reasoning` or `open`, and `tools`, joined by `+`.
    pub style: Style,
    /// How long it takes to load.
    pub load_seconds: f64,
    /// What goes wrong when it is loaded.
    pub load_fault: Option<LoadFault>,
    /// Memory that it says it takes, in MiB.
    pub memory_mb: u32,
}

/// Something that goes wrong halfway through a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadFault {
    /// There is no memory for it (`memory`).
    Memory,
    /// The file is damaged (`file`).
    File,
    /// It goes no further (`stall`), for a minute more than its time.
    Stall,
}

/// Something that goes wrong in every answer that gets that far; in an embedding model, at one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Instead of which token of an answer, counted from 0; or of which text of all that there were.
    pub token: u32,
}

/// Ways to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// The step never returns while anybody holds a handle (`hang`).
    Hang,
    /// The engine panics (`die`).
    Die,
    /// The process aborts, as on a failed assertion in native code (`abort`).
    Abort,
    /// The process dies of an access to memory that is not its own (`segfault`); elsewhere than on Unix it aborts.
    Segfault,
    /// The step has no memory (`oom`).
    OutOfMemory,
    /// A token comes that does not exist (`garbage`).
    Garbage,
}

/// What is wrong with the text of some options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A part is not `KEY=VALUE`.
    #[error("`{0}` is not KEY=VALUE")]
    NotAPair(String),
    /// There is no such option.
    #[error("there is no option `{0}`; there are {KEYS}")]
    UnknownKey(String),
    /// The value does not fit.
    #[error("{key}={value}: expected {expected}")]
    BadValue {
        /// The option.
        key: String,
        /// As it was given.
        value: String,
        /// What fits.
        expected: &'static str,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            tokens_per_second: 50.0,
            prefill_tokens_per_second: 0.0,
            answer_tokens: 64,
            slots: 4,
            context_tokens: 4096,
            fault: None,
            embedding: false,
            dimensions: 8,
            say: String::new(),
            style: Style::default(),
            load_seconds: 0.0,
            load_fault: None,
            memory_mb: 0,
        }
    }
}

impl FromStr for Options {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| OptionsError::NotAPair(part.to_owned()))?;
            options.set(key.trim(), value.trim())?;
        }
        Ok(options)
    }
}

impl Options {
    fn set(&mut self, key: &str, value: &str) -> Result<(), OptionsError> {
        let bad = |expected| OptionsError::BadValue { key: key.to_owned(), value: value.to_owned(), expected };
        match key {
            "seed" => self.seed = value.parse().map_err(|_| bad("a whole number"))?,
            "tokens_per_second" => self.tokens_per_second = speed(value).ok_or_else(|| bad(SPEED))?,
            "prefill_tokens_per_second" => self.prefill_tokens_per_second = speed(value).ok_or_else(|| bad(SPEED))?,
            "answer_tokens" => self.answer_tokens = length(value).ok_or_else(|| bad(LENGTH))?,
            "context_tokens" => self.context_tokens = count(value, MAX_CONTEXT_TOKENS).ok_or_else(|| bad(TOKENS))?,
            "slots" => self.slots = count(value, MAX_SLOTS).ok_or_else(|| bad("a whole number from 1 to 4096"))?,
            "kind" => self.embedding = kind(value).ok_or_else(|| bad("chat or embedding"))?,
            "dimensions" => {
                self.dimensions = count(value, MAX_DIMENSIONS).ok_or_else(|| bad("a whole number from 1 to 8192"))?;
            }
            "fault" => self.fault = Some(fault(value).ok_or_else(|| bad(FAULT))?),
            "say" => self.say = text(value).ok_or_else(|| bad("text; a % and two hexadecimal digits are a byte"))?,
            "style" => self.style = style(value).ok_or_else(|| bad("reasoning, open or tools, joined by +"))?,
            "load_seconds" => self.load_seconds = load_seconds(value).ok_or_else(|| bad("a number from 0 to 600"))?,
            "load_fault" => self.load_fault = Some(load_fault(value).ok_or_else(|| bad("memory, file or stall"))?),
            "memory_mb" => self.memory_mb = value.parse().map_err(|_| bad("a whole number"))?,
            _ => return Err(OptionsError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }
}

const SPEED: &str = "a number from 0.001 to 1000000000, or 0 for unlimited";
const TOKENS: &str = "a whole number from 1 to 65535";
const LENGTH: &str = "a whole number from 0 to 65535";
const FAULT: &str = "hang, die, abort, segfault, oom or garbage, then @ and the number of a token, such as hang@10";

fn speed(value: &str) -> Option<f64> {
    value.parse().ok().filter(|speed| *speed == 0.0 || SPEEDS.contains(speed))
}

fn count(value: &str, most: u32) -> Option<u32> {
    value.parse().ok().filter(|count| (1..=most).contains(count))
}

fn length(value: &str) -> Option<u32> {
    value.parse().ok().filter(|length| *length <= MAX_CONTEXT_TOKENS)
}

/// Text with `%2C` for a comma, and so on.
fn text(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut parts = value.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_SAY_BYTES)
}

fn style(value: &str) -> Option<Style> {
    let mut style = Style::default();
    for word in value.split('+') {
        match word {
            "reasoning" => style.reasoning = Reasoning::Marked,
            "open" => style.reasoning = Reasoning::Open,
            "tools" => style.tool_calls = true,
            _ => return None,
        }
    }
    Some(style)
}

/// Whether it is an embedding model.
fn kind(value: &str) -> Option<bool> {
    match value {
        "chat" => Some(false),
        "embedding" => Some(true),
        _ => None,
    }
}

fn load_seconds(value: &str) -> Option<f64> {
    value.parse().ok().filter(|seconds| (0.0..=600.0).contains(seconds))
}

fn load_fault(value: &str) -> Option<LoadFault> {
    match value {
        "memory" => Some(LoadFault::Memory),
        "file" => Some(LoadFault::File),
        "stall" => Some(LoadFault::Stall),
        _ => None,
    }
}

fn fault(value: &str) -> Option<Fault> {
    let (kind, token) = value.split_once('@')?;
    let kind = match kind {
        "hang" => FaultKind::Hang,
        "die" => FaultKind::Die,
        "abort" => FaultKind::Abort,
        "segfault" => FaultKind::Segfault,
        "oom" => FaultKind::OutOfMemory,
        "garbage" => FaultKind::Garbage,
        _ => return None,
    };
    Some(Fault { kind, token: token.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(text: &str, part: &str) {
        let error = text.parse::<Options>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }

    #[test]
    fn every_key_is_read() {
        let text = "seed=7, tokens_per_second=0,prefill_tokens_per_second=1e3,answer_tokens=5,slots=256,\
                    context_tokens=100,fault=oom@3,kind=embedding,dimensions=3,say=a%2C%20%c3%9f,style=open+tools,\
                    load_seconds=1.5,load_fault=memory,memory_mb=100";
        let expected = Options {
            seed: 7,
            tokens_per_second: 0.0,
            prefill_tokens_per_second: 1000.0,
            answer_tokens: 5,
            slots: 256,
            context_tokens: 100,
            fault: Some(Fault { kind: FaultKind::OutOfMemory, token: 3 }),
            embedding: true,
            dimensions: 3,
            say: "a, ß".to_owned(),
            style: Style { reasoning: Reasoning::Open, tool_calls: true },
            load_seconds: 1.5,
            load_fault: Some(LoadFault::Memory),
            memory_mb: 100,
        };
        assert_eq!(text.parse(), Ok(expected));
        assert_eq!("".parse(), Ok(Options::default()));
    }

    #[test]
    fn errors_name_the_key_and_what_fits() {
        check_error("speed=3", "there is no option `speed`; there are seed");
        check_error("seed", "`seed` is not KEY=VALUE");
        check_error("seed=-1", "seed=-1: expected a whole number");
        check_error("kind=image", "chat or embedding");
        check_error("dimensions=0", "from 1 to 8192");
        check_error("slots=0", "from 1 to 4096");
        check_error("answer_tokens=65536", "from 0 to 65535");
        check_error("context_tokens=0", "from 1 to 65535");
        check_error("say=%ff", "two hexadecimal digits");
        check_error("say=%2", "two hexadecimal digits");
        check_error("say=%ß", "two hexadecimal digits");
        check_error(&format!("say={}", "x".repeat(MAX_SAY_BYTES + 1)), "expected text");
        check_error("style=tools+loud", "joined by +");
        check_error("tokens_per_second=NaN", "0 for unlimited");
        check_error("tokens_per_second=-5", "0 for unlimited");
        check_error("load_seconds=-1", "from 0 to 600");
        check_error("load_fault=hang", "memory, file or stall");
        check_error("fault=hang", "hang@10");
        check_error("fault=boom@1", "hang, die, abort, segfault, oom or garbage");
    }
}
