//! Which of two engines serves a model: TensorRT only where it was right and faster on this very machine, or where its
//! owner asks for it by name. The reason is always told. Plain decisions; [`super::trial`] finds out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Precision;

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
        /// Of llama.cpp, which would serve otherwise; or why it would not.
        llama: Result<Llama, String>,
    },
}

/// How llama.cpp does on this machine with the same model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Llama {
    /// Tokens a second of a single answer.
    pub tokens_per_second: f64,
    /// What it computes on where nobody chooses, such as `CUDA: NVIDIA GeForce RTX 4070`.
    pub device: String,
}

impl fmt::Display for Llama {
    /// The kind of device is enough: a person knows their own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.device.split([':', ',']).next().unwrap_or_default();
        let kind = if kind == "CPU" { "the CPU" } else { kind };
        write!(f, "{:.0} of llama.cpp on {kind}", self.tokens_per_second)
    }
}

/// What this machine has for a model. The first thing that lacks is what is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Found {
    /// No library, or one of no use; why.
    NoLibrary(String),
    /// No card, or one of no use; why.
    NoCard(String),
    /// No engine of this model for this card; why, with the command that builds it.
    NotBuilt(String),
    /// The test itself did not come to an end; why.
    Broken(String),
    /// What the test of each engine that was built has shown.
    Engines(Vec<Tried>),
}

/// One engine of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// What its weights are stored as.
    pub precision: Precision,
    /// What it has shown.
    pub tested: Tested,
}

/// Who serves a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// llama.cpp.
    Llama,
    /// TensorRT-RTX, with the engine of this precision.
    TensorRt(Precision),
    /// Nobody: what was asked for by name cannot be had, and nothing else was asked for.
    Nobody,
}

/// Which engine, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Who serves.
    pub engine: Engine,
    /// For the owner.
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.engine {
            Engine::Llama => write!(f, "llama.cpp: {}", self.reason),
            Engine::TensorRt(precision) => write!(f, "TensorRT-RTX {precision}: {}", self.reason),
            Engine::Nobody => f.write_str(&self.reason),
        }
    }
}

/// Decides. `by_name` is whether the owner asked for TensorRT.
#[must_use]
pub fn choose(by_name: bool, found: &Found) -> Choice {
    let otherwise = if by_name { Engine::Nobody } else { Engine::Llama };
    let without = |reason: String| Choice { engine: otherwise, reason };
    match found {
        Found::NoLibrary(why) | Found::NoCard(why) | Found::NotBuilt(why) => without(why.clone()),
        Found::Broken(why) => without(format!("the test of TensorRT-RTX has not ended here: {why}")),
        Found::Engines(tried) => {
            let judged = tried.iter().map(|tried| (tried, judge(by_name, &tried.tested)));
            let best = judged.max_by(|(left, (allowed, _)), (right, (also, _))| {
                allowed.cmp(also).then(pace(&left.tested).total_cmp(&pace(&right.tested)))
            });
            match best {
                Some((tried, (true, reason))) => Choice { engine: Engine::TensorRt(tried.precision), reason },
                Some((_, (false, reason))) => without(reason),
                None => without("no engine of TensorRT-RTX was built of it".into()),
            }
        }
    }
}

fn pace(tested: &Tested) -> f64 {
    match tested {
        Tested::Right { tokens_per_second, .. } => *tokens_per_second,
        Tested::Never | Tested::Impossible(_) | Tested::Wrong(_) => 0.0,
    }
}

/// Whether an engine that was tested so may serve, and why or why not.
#[must_use]
pub fn judge(by_name: bool, tested: &Tested) -> (bool, String) {
    match tested {
        // What was found wrong is never used, whoever asks: nobody wants a wrong answer.
        Tested::Wrong(why) => (false, format!("TensorRT-RTX gives wrong results here: {why}")),
        Tested::Impossible(why) => (false, format!("TensorRT-RTX does not run here: {why}")),
        Tested::Never => {
            (false, "TensorRT-RTX was not tested on this machine yet: the next start of the node does that".into())
        }
        Tested::Right { tokens_per_second: ours, llama: Ok(llama) } => {
            let figures = format!("{ours:.0} tokens/s against {llama}");
            if *ours >= llama.tokens_per_second * WORTH {
                (true, format!("right and faster here, {figures}"))
            } else if by_name {
                (true, format!("it was asked for by name; it is right here and not faster, {figures}"))
            } else {
                (false, format!("TensorRT-RTX is right here and not faster, {figures}"))
            }
        }
        // There is nothing that it would be slower than.
        Tested::Right { tokens_per_second, llama: Err(why) } => {
            let asked = if by_name { "it was asked for by name; it is " } else { "" };
            let figures = format!("{tokens_per_second:.0} tokens/s; llama.cpp has no speed to compare: {why}");
            (true, format!("{asked}right here, {figures}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(by_name: bool, tested: Tested, allowed: bool, reason: &str) {
        let judged = judge(by_name, &tested);
        assert!(judged.0 == allowed && judged.1.contains(reason), "{judged:?}");
    }

    fn right(ours: f64, theirs: Option<f64>) -> Tested {
        on("CUDA: NVIDIA GeForce RTX 4070", ours, theirs)
    }

    fn on(device: &str, ours: f64, theirs: Option<f64>) -> Tested {
        let llama = theirs.map(|tokens_per_second| Llama { tokens_per_second, device: device.to_owned() });
        Tested::Right { tokens_per_second: ours, llama: llama.ok_or_else(|| "it needs 9 GiB".to_owned()) }
    }

    fn wrong() -> Tested {
        Tested::Wrong("logits are off by 3".into())
    }

    #[test]
    fn only_what_is_right_and_faster_is_used_unasked() {
        check(false, right(90.0, Some(70.0)), true, "90 tokens/s against 70");
        check(false, right(71.0, Some(70.0)), false, "not faster");
        check(false, right(60.0, Some(70.0)), false, "not faster");
        check(false, Tested::Never, false, "the next start");
    }

    /// What would serve otherwise is what counts, and is named.
    #[test]
    fn it_is_held_against_llama_on_whatever_that_has() {
        let (cpu, vulkan) = ("CPU: Intel Core i5, 6 threads", "Vulkan: NVIDIA GeForce RTX 4070");
        check(false, on(cpu, 90.0, Some(6.0)), true, "faster here, 90 tokens/s against 6 of llama.cpp on the CPU");
        check(false, on("CPU, 1 thread", 9.0, Some(6.0)), true, "6 of llama.cpp on the CPU");
        check(false, on(vulkan, 60.0, Some(70.0)), false, "60 tokens/s against 70 of llama.cpp on Vulkan");
        check(true, on(vulkan, 60.0, Some(70.0)), true, "not faster, 60 tokens/s against 70 of llama.cpp on Vulkan");
        check(false, right(90.0, None), true, "llama.cpp has no speed to compare: it needs 9 GiB");
    }

    #[test]
    fn who_asks_by_name_gets_it_unless_it_is_wrong() {
        check(true, right(60.0, Some(70.0)), true, "by name");
        check(true, right(60.0, None), true, "by name");
        check(true, wrong(), false, "off by 3");
        check(true, Tested::Impossible("there is no NVIDIA driver".into()), false, "no NVIDIA driver");
    }

    fn engines(tried: &[(Precision, Tested)]) -> Found {
        let tried = tried.iter().map(|(precision, tested)| Tried { precision: *precision, tested: tested.clone() });
        Found::Engines(tried.collect())
    }

    #[test]
    fn the_fastest_of_several_engines_serves() {
        let (slow, fast) = (right(80.0, Some(70.0)), right(120.0, Some(70.0)));
        let both = [(Precision::Fp16, slow.clone()), (Precision::Int4, fast)];
        assert_eq!(choose(false, &engines(&both)).engine, Engine::TensorRt(Precision::Int4));
        // What is wrong is not worth its speed.
        let other = [(Precision::Int4, wrong()), (Precision::Fp16, slow)];
        assert_eq!(choose(false, &engines(&other)).engine, Engine::TensorRt(Precision::Fp16));
        let none = choose(false, &engines(&[(Precision::Int4, wrong()), (Precision::Fp16, right(60.0, Some(70.0)))]));
        let why = "TensorRT-RTX is right here and not faster, 60 tokens/s against 70 of llama.cpp on CUDA";
        assert_eq!(none.to_string(), format!("llama.cpp: {why}"));
    }

    #[test]
    fn nobody_gets_another_engine_than_was_asked_for_by_name() {
        let lacks = [
            Found::NoLibrary("TensorRT-RTX is not installed".into()),
            Found::NoCard("there is no NVIDIA driver on this machine".into()),
            Found::NotBuilt("there is no engine for this card".into()),
            Found::Broken("it took more than 600 s".into()),
            engines(&[(Precision::Fp16, wrong())]),
            engines(&[(Precision::Fp16, Tested::Impossible("it is too large".into()))]),
            engines(&[]),
        ];
        for lack in lacks {
            let (by_name, by_itself) = (choose(true, &lack), choose(false, &lack));
            assert_eq!((by_name.engine, by_itself.engine), (Engine::Nobody, Engine::Llama), "{lack:?}");
            assert!(!by_name.reason.is_empty() && by_name.reason == by_itself.reason, "{by_name}");
        }
    }
}
