//! Text in, text out: the engines of a Starling node and the runner that drives them.
//!
//! [`open`] gives a [`Handle`] for any number of tasks and a [`Runner`] for one thread. The handle takes a [`Request`],
//! or texts to embed, and gives a [`Generation`], a stream of [`Output`]s with exactly one end. Nothing here knows of
//! networks, users or files other than model files, and nothing leaves a thread or a task
//! behind.
#![warn(missing_docs)]

pub use describe::{Described, describe};
pub use drive::Runner;
pub use engine::llama::device::{CPU_SHARE, DeviceChoice, GPU_SHARE, HAS_GPU_BACKENDS, Survey, survey};
pub use engine::{Kind, ModelInfo, scripted, tensorrt};
pub use handle::{Handle, Load, Refused};
pub use output::{Failure, Finish, Likely, Output, Reasoning, Style, Timings, TokenLogprob, Usage};
pub use progress::{Progress, WHOLE};
pub use request::{
    Constraint, Invalid, MAX_LOGIT_BIAS, MAX_MESSAGES, MAX_PROMPT_BYTES, MAX_SCHEMA_BYTES, MAX_STOP_BYTES, MAX_STOPS,
    MAX_TEXTS, MAX_TOP_LOGPROBS, Message, RawPrompt, Request, Role, Sampling,
};
pub use source::{OpenError, Reason, Source, open, open_with};
pub use stream::Generation;

pub mod constrain;
pub mod demo;
mod describe;
mod drive;
pub mod embed;
pub mod engine;
pub mod graph;
mod handle;
pub mod host;
pub mod model;
mod output;
mod prefix;
mod progress;
pub mod prompt;
mod request;
mod runner;
pub mod sample;
mod source;
mod stream;
pub mod text;
