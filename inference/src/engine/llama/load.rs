//! From a checked file to a model and its context on this thread.

use std::num::NonZeroU32;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::{LlamaModelParams, LlamaSplitMode};
use llama_cpp_2::token::LlamaToken;
use self_cell::self_cell;

use super::device::{Device, DeviceChoice};
use super::{BACKEND, BATCH_TOKENS, MAX_SLOTS, Options, processor};
use crate::model::ModelFile;
use crate::model::footprint::{Footprint, Size, Wish};
use crate::prompt::{Prompt, Specials};
use crate::{OpenError, Progress, WHOLE};

/// Threads that wait for each other in a spin cost more than they give on models this small.
const ONE_THREAD_BELOW_BYTES: u64 = 200_000_000;
const MAX_THREADS: u32 = 512;
/// Room that a prompt and an answer need at the least.
const LEAST_CONTEXT_TOKENS: u32 = 16;
/// Kinds of files whose answers are promised to be the same however their prompt is cut (`LLAMA_FTYPE_ALL_F32`,
/// `..._MOSTLY_F16`, `..._MOSTLY_BF16` in llama.h). Quantised weights alone give one row other roundings than many.
const EXACT_FILES: [u64; 3] = [0, 1, 32];
/// `LLAMA_FLASH_ATTN_TYPE_DISABLED` and `..._AUTO`. On the CPU, flash attention sums one row in 16 bits and many in 32.
const NO_FLASH_ATTENTION: i32 = 0;
const FLASH_ATTENTION: i32 = -1;
/// Words that chat models put around messages. A model with these and without a template would talk nonsense if it
/// were just given text.
const CHAT_MARKS: [&str; 6] =
    ["<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "<|user|>", "[INST]", "<|turn>"];

self_cell!(
    /// A model and the context that borrows it.
    pub(super) struct Loaded {
        owner: LlamaModel,
        #[covariant]
        dependent: LlamaContext,
    }
);

/// How large to build it.
pub(super) struct Shape {
    pub(super) context_tokens: u32,
    pub(super) slots: u32,
    /// What all of it takes on its device.
    pub(super) memory_bytes: u64,
    pub(super) threads: u32,
    /// Whether it must not matter in which pieces a text is computed.
    exact: bool,
}

/// A model that is loaded, and where.
pub(super) struct Placed {
    pub(super) device: Device,
    pub(super) shape: Shape,
    pub(super) loaded: Loaded,
}

/// Puts the model on the device that was asked for, or on the best that takes it.
pub(super) fn place(file: &ModelFile, options: Options, progress: &Progress) -> Result<Placed, OpenError> {
    let on = |device: Device| {
        let shape = Shape::choose(file, options, &device)?;
        let loaded = native(file, &device, context_params(&shape), ("a context of this size", progress))?;
        Ok(Placed { device, shape, loaded })
    };
    fall_back(options.device, on)
}

/// Tries the device, and the CPU in place of a GPU that nobody asked for and that does not take the model.
pub(super) fn fall_back<T>(choice: DeviceChoice, on: impl Fn(Device) -> Result<T, OpenError>) -> Result<T, OpenError> {
    let device = Device::choose(choice)?;
    match on(device.clone()) {
        // An option that does not fit the model fits it nowhere.
        Err(problem) if device.gpu.is_some() && choice == DeviceChoice::Auto && !problem.is_option() => {
            on(device.fall_back(&problem))
        }
        placed => placed,
    }
}

impl Shape {
    /// The user's choices, or defaults that suit the file and the device.
    pub(super) fn choose(file: &ModelFile, options: Options, device: &Device) -> Result<Self, OpenError> {
        let trained = file.header.context_tokens().and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX);
        if let Some(context_tokens) = options.context_tokens {
            within("context", context_tokens, LEAST_CONTEXT_TOKENS, trained)?;
        }
        if let Some(slots) = options.slots {
            within("slots", slots, 1, MAX_SLOTS)?;
        }
        let threads = threads(file, options.threads)?;
        let footprint = Footprint::new(&file.header, file.bytes);
        let wish = Wish {
            context_tokens: options.context_tokens,
            slots: options.slots,
            default_context: trained.min(device.default_context()),
            batch_tokens: BATCH_TOKENS,
            room: device.room(),
        };
        let size = wish.fit(&footprint).map_err(|problem| OpenError::Memory {
            path: file.path.clone(),
            problem: format!("{problem}; {}", device.memory()),
        })?;
        let Size { context_tokens, slots, .. } = size;
        let kind = file.header.number("general.file_type");
        let exact = device.gpu.is_none() && kind.is_some_and(|kind| EXACT_FILES.contains(&kind));
        context_tokens
            .checked_mul(slots)
            .map(|_| Self { context_tokens, slots, memory_bytes: footprint.total(&size), threads, exact })
            .ok_or_else(|| OpenError::Option { option: "context", reason: "too large for that many slots".into() })
    }
}

/// Loads the model and makes its context; `size` is what there may be no memory for.
pub(super) fn native(
    file: &ModelFile,
    device: &Device,
    context: LlamaContextParams,
    (size, progress): (&str, &Progress),
) -> Result<Loaded, OpenError> {
    processor::check()?;
    let backend = BACKEND.as_ref().ok_or_else(|| engine("llama.cpp cannot be initialised here"))?;
    let shown = progress.clone();
    let params = model_params(device)?.with_progress_callback(move |done| {
        shown.reach((done * WHOLE as f32) as u32);
        true
    });
    let model = LlamaModel::load_from_file(backend, &file.path, &params).map_err(|_| OpenError::Unsupported {
        path: file.path.clone(),
        reason: format!("llama.cpp does not load this file of architecture {}", file.header.architecture()),
    })?;
    Loaded::try_new(model, |model| model.new_context(backend, context))
        .map_err(|_| engine(&format!("llama.cpp has no memory for {size}")))
}

/// All of the model on one device: pieces on two are slower than the slower of them, as a rule.
fn model_params(device: &Device) -> Result<LlamaModelParams, OpenError> {
    let params = LlamaModelParams::default().with_split_mode(LlamaSplitMode::None);
    let gone = |_| engine("the device has gone");
    match device.gpu {
        Some(gpu) => params.with_devices(&[gpu]).map_err(gone),
        // Without a device, so that a GPU which is there is not even asked for large batches.
        None => params.with_n_gpu_layers(0).with_devices(&[]).map_err(gone),
    }
}

fn context_params(shape: &Shape) -> LlamaContextParams {
    let threads = i32::try_from(shape.threads).unwrap_or(1);
    LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(shape.context_tokens * shape.slots))
        .with_n_seq_max(shape.slots)
        .with_n_batch(BATCH_TOKENS)
        .with_n_ubatch(BATCH_TOKENS)
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_flash_attention_policy(if shape.exact { NO_FLASH_ATTENTION } else { FLASH_ATTENTION })
        // A stream for each sequence: with one for all, even the slot would change the answer.
        .with_kv_unified(false)
}

/// The file's chat template; plain text for a model that never knew a chat.
pub(in crate::engine) fn prompt(file: &ModelFile, model: &LlamaModel) -> Result<Prompt, OpenError> {
    let unsupported = |reason: String| OpenError::Unsupported { path: file.path.clone(), reason };
    if let Some(template) = file.header.chat_template() {
        return Prompt::new(template, specials(model))
            .map_err(|error| unsupported(format!("its chat template cannot be read: {error}")));
    }
    // A mark that is a token of its own means that the model was trained on chats.
    let is_token = |mark: &&str| model.vocab().tokenize(mark.as_bytes(), false, true).len() == 1;
    if let Some(mark) = CHAT_MARKS.iter().find(|mark| is_token(mark)) {
        return Err(unsupported(format!("it is a chat model (it knows {mark}) but has no chat template")));
    }
    tracing::warn!(model = %file.name(), "no chat template in the file: messages are joined as plain text");
    Ok(Prompt::raw())
}

fn specials(model: &LlamaModel) -> Specials {
    let vocab = model.vocab();
    let text = |token: LlamaToken| {
        let known = (0..vocab.n_tokens()).contains(&token.0);
        let bytes = if known { vocab.token_to_piece(token, true, None) } else { Vec::new() };
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Specials { bos: text(vocab.bos()), eos: text(vocab.eos()) }
}

/// The user's choice, or what suits the file.
pub(super) fn threads(file: &ModelFile, asked: Option<u32>) -> Result<u32, OpenError> {
    let threads = asked.unwrap_or_else(|| default_threads(file.bytes));
    within("threads", threads, 1, MAX_THREADS).map(|()| threads)
}

fn default_threads(bytes: u64) -> u32 {
    if bytes < ONE_THREAD_BELOW_BYTES {
        return 1;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    u32::try_from(cores).unwrap_or(MAX_THREADS).min(MAX_THREADS)
}

pub(in crate::engine) fn within(option: &'static str, value: u32, low: u32, high: u32) -> Result<(), OpenError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(OpenError::Option { option, reason: format!("must be from {low} to {high} for this model, is {value}") })
}

pub(super) fn engine(reason: &str) -> OpenError {
    OpenError::Engine { reason: reason.to_owned() }
}
