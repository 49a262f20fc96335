//! Which of two engines serves a model: TensorRT only where it was right and faster on this very machine, or where its
//! owner asks for it by name. The reason is always told.

use std::fmt;

use serde::{Deserialize, Serialize};

/// By how much it has to be faster to be worth another engine's memory and start.
const WORTH: f64 = 1.05;

/// What the self-test of this machine has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Tested {
    /// It was not made yet.
    Never,
    /// It does not run here; why.
    Impossible(String),
    /// It runs and gives other results than the reference; how far off.
    Wrong(String),
    /// It gives the reference's results.
    Right {
        /// Tokens a second of a single answer.
        tokens_per_second: f64,
        /// Of llama.cpp on the same card; none when it was not measured.
        llama_tokens_per_second: Option<f64>,
    },
}

/// Which engine, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Whether it is TensorRT.
    pub tensorrt: bool,
    /// For the owner.
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.tensorrt { "TensorRT-RTX" } else { "llama.cpp" }, self.reason)
    }
}

/// Decides. `by_name` is whether the owner asked for TensorRT.
#[must_use]
pub fn choose(by_name: bool, tested: &Tested) -> Choice {
    let choice = |tensorrt, reason: String| Choice { tensorrt, reason };
    match tested {
        // What was found wrong is never used, whoever asks: nobody wants a wrong answer.
        Tested::Wrong(why) => choice(false, format!("TensorRT-RTX gives wrong results here: {why}")),
        Tested::Impossible(why) => choice(false, format!("TensorRT-RTX does not run here: {why}")),
        _ if by_name => choice(true, "it was asked for by name".into()),
        Tested::Never => choice(
            false,
            "TensorRT-RTX was not tested on this machine: starling-node selftest --engine tensorrt".into(),
        ),
        Tested::Right { tokens_per_second, llama_tokens_per_second: Some(llama) } => {
            let figures = format!("{tokens_per_second:.0} tokens/s against {llama:.0}");
            if *tokens_per_second >= llama * WORTH {
                choice(true, format!("right and faster here, {figures} of llama.cpp"))
            } else {
                choice(false, format!("TensorRT-RTX is right here and not faster, {figures}"))
            }
        }
        Tested::Right { llama_tokens_per_second: None, .. } => {
            choice(false, "there is no speed of llama.cpp on this card to compare with".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(by_name: bool, tested: Tested, tensorrt: bool, reason: &str) {
        let choice = choose(by_name, &tested);
        assert_eq!(choice.tensorrt, tensorrt, "{choice}");
        assert!(choice.reason.contains(reason), "{choice}");
    }

    fn right(ours: f64, theirs: Option<f64>) -> Tested {
        Tested::Right { tokens_per_second: ours, llama_tokens_per_second: theirs }
    }

    #[test]
    fn only_what_is_right_and_faster_is_used_unasked() {
        check(false, right(90.0, Some(70.0)), true, "90 tokens/s against 70");
        check(false, right(71.0, Some(70.0)), false, "not faster");
        check(false, right(60.0, Some(70.0)), false, "not faster");
        check(false, right(90.0, None), false, "no speed of llama.cpp");
        check(false, Tested::Never, false, "selftest --engine tensorrt");
    }

    #[test]
    fn who_asks_by_name_gets_it_unless_it_is_wrong() {
        check(true, right(60.0, Some(70.0)), true, "by name");
        check(true, Tested::Never, true, "by name");
        check(true, Tested::Wrong("logits are off by 3".into()), false, "off by 3");
        check(true, Tested::Impossible("there is no NVIDIA driver".into()), false, "no NVIDIA driver");
    }
}
