//! Computes with an engine on a card.
//!
//! The cache of all slots is allocated once and bound in place: a slot is a part of each layer's memory, and a batch is
//! a run of neighbouring slots. Running answers go on together, each by a token, on one stream; prompts are read on
//! another, one after the other, so that both keep the card busy. A slot in the middle of a batch that has nothing to
//! do computes a token for nothing, into a row behind all others where nobody reads; so the two
//! streams never touch the same rows. Steps of one token are replayed as CUDA graphs by the library itself.
//!
//! Everything that was given to the card has been waited for when a step ends, also when it fails, so that streams need
//! not wait for each other and memory can go at any time between two steps.
#![expect(unsafe_code, reason = "a library of C++ behind a shim of C")]

use std::ffi::{CStr, CString, c_void};

use crate::engine::graph::{Compute, Piece};
use crate::engine::{EngineError, SlotId};

use super::batch::{Batch, Frame};
use super::cuda::{Card, CardError, Memory};
use super::kernels::Kernels;
use super::lane::{Lane, LaneError, Road};
use super::memory::{CONTEXT, Room, Sum, TooLarge};
use super::native::{self, Owned};
use super::{Library, LibraryError};

/// `nvinfer1::EngineValidity::kINVALID`.
const INVALID: i32 = 2;

/// Why an engine does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Card(#[from] CardError),
    #[error("{0}")]
    TooLarge(Box<TooLarge>),
    #[error("TensorRT-RTX refuses {what}: {said}")]
    Refused { what: &'static str, said: String },
    #[error("the engine is not what its description says: {0}")]
    Other(String),
}

/// An engine on a card.
pub(crate) struct Running {
    // In this order: what was made of an object goes before it, and memory behind what uses it.
    answering: Lane,
    reading: Lane,
    kernels: Kernels,
    _engine: Owned,
    _runtime: Owned,
    caches: Vec<Memory>,
    card: Card,
    frame: Frame,
    /// What a stream takes at the most.
    most: u64,
    sum: Sum,
    /// What all of them are from.
    library: Library,
}

/// What an engine is opened with.
pub(super) struct Opening<'a> {
    pub(super) library: Library,
    pub(super) card: Card,
    pub(super) frame: Frame,
    pub(super) engine: &'a [u8],
    /// Hundredths of the card's memory that may be taken.
    pub(super) share: u64,
    /// Where compiled kernels are kept, if anywhere.
    pub(super) kernels: Option<std::path::PathBuf>,
}

impl Running {
    /// Loads an engine and takes the memory that it needs, once it is known to be there.
    pub(super) fn new(opening: Opening<'_>) -> Result<Self, RunError> {
        let Opening { library, mut card, frame, engine: bytes, share, kernels } = opening;
        let room = Room { memory: card.memory, free: Some(card.free()?), share };
        let runtime = library.runtime()?;
        let engine = load(&library, &runtime, bytes)?;
        check(&engine, &frame)?;
        let said = |error| refusal(&library, error);
        let answering = Road::new(&card, &engine, true).map_err(said)?;
        let reading = Road::new(&card, &engine, false).map_err(said)?;
        let kernels = Kernels::open(&answering.config, kernels).ok_or_else(|| said(LaneError::Refused("kernels")))?;
        let mut answering = Lane::new(answering, &engine, kernels.cache(), &frame).map_err(said)?;
        let mut reading = Lane::new(reading, &engine, kernels.cache(), &frame).map_err(said)?;
        // SAFETY: the engine lives.
        let most = unsafe { native::starling_trt_memory_most(engine.get()) };
        let most = u64::try_from(most).unwrap_or_default();
        let spaces = [
            answering.most_needed(&frame, &steps(&frame), most).map_err(said)?,
            reading.most_needed(&frame, &pieces(&frame), most).map_err(said)?,
        ];
        let sum = sum(&frame, bytes.len() as u64, spaces);
        sum.fits(room).map_err(|problem| RunError::TooLarge(Box::new(problem)))?;
        // What the driver and the library have taken themselves is not ours to take again.
        card.allow(room.bytes().saturating_sub(sum.weights).saturating_sub(sum.context));
        answering.settle(&mut card, &frame, spaces[0]).map_err(said)?;
        reading.settle(&mut card, &frame, spaces[1]).map_err(said)?;
        let sides = 2 * frame.cache.layers;
        let caches = (0..sides).map(|_| card.zeros(answering.stream(), frame.slots * frame.slot_bytes()));
        let caches = caches.collect::<Result<Vec<_>, _>>()?;
        // The caches are there, and zeros, before the other stream reads them.
        answering.wait()?;
        reading.wait()?;
        let (_engine, _runtime) = (engine, runtime);
        Ok(Self { answering, reading, kernels, _engine, _runtime, caches, card, frame, most, sum, library })
    }

    /// Keeps the kernels that were compiled for this card, for the next start.
    pub(super) fn keep_kernels(&mut self) {
        self.kernels.keep();
    }

    /// What became of the kernels of an earlier start.
    pub(super) fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// Bytes of the card that it takes.
    pub(super) fn taken(&self) -> u64 {
        self.sum.total()
    }

    /// What it computes on.
    pub(super) fn device(&self) -> String {
        format!("{} (TensorRT-RTX {})", self.card.name, super::VERSION)
    }

    fn run(&mut self, pieces: &[Piece<'_>], logits: &mut Vec<Vec<f32>>) -> Result<(), LaneError> {
        let (single, long): (Vec<usize>, Vec<usize>) =
            (0..pieces.len()).partition(|&index| pieces[index].tokens.len() == 1);
        let Self { answering, reading, caches, card, frame, most, .. } = self;
        let batch = Batch::of_single(frame, single.iter().map(|&index| pieces[index]));
        // Both streams get their work before anybody waits.
        if let Some(batch) = &batch {
            answering.enqueue((card, *most), frame, caches, (batch, 0))?;
        }
        for (place, &index) in long.iter().enumerate() {
            for batch in Batch::of_prompt(frame, pieces[index]) {
                reading.enqueue((card, *most), frame, caches, (&batch, place))?;
            }
        }
        let mut results = vec![Vec::new(); pieces.len()];
        for &index in &single {
            results[index] = answering.logits(frame, (0, pieces[index].slot))?;
        }
        for (place, &index) in long.iter().enumerate() {
            results[index] = reading.logits(frame, (place, 0))?;
        }
        logits.extend(results);
        Ok(())
    }
}

impl Compute for Running {
    fn compute(&mut self, pieces: &[Piece<'_>], logits: &mut Vec<Vec<f32>>) -> Result<(), EngineError> {
        let fits = |piece: &Piece<'_>| {
            let tokens = piece.tokens.len();
            piece.slot < self.frame.slots
                && (1..=self.frame.chunk).contains(&tokens)
                && piece.from + tokens < self.frame.rows
                && piece.tokens.iter().all(|token| (*token as usize) < self.frame.vocabulary)
        };
        if !pieces.iter().all(fits) || pieces.len() > self.frame.slots {
            return Err(EngineError::died("a piece has no room in the engine"));
        }
        let computed = self.run(pieces, logits);
        if computed.is_err() {
            // Whatever else was given to the card.
            let _ = self.answering.wait();
            let _ = self.reading.wait();
        }
        self.kernels.step();
        computed.map_err(|error| EngineError::died(refusal(&self.library, error).to_string()))
    }

    fn copy(&mut self, from: SlotId, to: SlotId) -> Result<(), EngineError> {
        let bytes = self.frame.slot_bytes();
        if from == to || from.max(to) >= self.frame.slots {
            return Ok(());
        }
        let died = |error: CardError| EngineError::died(error.to_string());
        for cache in &mut self.caches {
            cache.copy(self.answering.stream(), (from * bytes, to * bytes), bytes).map_err(died)?;
        }
        // The other stream may be the next to read it.
        self.answering.wait().map_err(died)
    }
}

/// With the library's own words.
fn refusal(library: &Library, error: LaneError) -> RunError {
    match error {
        LaneError::Card(error) => RunError::Card(error),
        LaneError::Refused(what) => RunError::Refused { what, said: library.said() },
    }
}

/// A batch of each shape in which answers go on.
fn steps(frame: &Frame) -> Vec<Batch> {
    let one = |slot| Piece { slot, from: 0, tokens: &[0] };
    (0..frame.slots).filter_map(|slot| Batch::of_single(frame, std::iter::once(one(slot)))).collect()
}

/// A batch of each shape in which prompts are read.
fn pieces(frame: &Frame) -> Vec<Batch> {
    let tokens = vec![0; frame.chunk];
    let lengths = frame.lengths().into_iter().chain([1]).map(|length| length.min(frame.chunk));
    lengths.flat_map(|length| Batch::of_prompt(frame, Piece { slot: 0, from: 0, tokens: &tokens[..length] })).collect()
}

/// What it will take, of an engine of so many bytes whose streams need so much to compute in.
fn sum(frame: &Frame, engine: u64, spaces: [u64; 2]) -> Sum {
    let inputs: usize = frame.input_bytes().iter().sum();
    let values = 2 * (inputs + frame.slots * frame.logits_stride()) as u64;
    let cache = (2 * frame.cache.layers * frame.slots * frame.slot_bytes()) as u64;
    Sum { weights: engine, cache, workspace: spaces[0].saturating_add(spaces[1]), values, context: CONTEXT }
}

fn load(library: &Library, runtime: &Owned, bytes: &[u8]) -> Result<Owned, RunError> {
    let (pointer, mut why) = (bytes.as_ptr().cast::<c_void>(), 0);
    // SAFETY: the bytes are as many as is said, and only read.
    let validity = unsafe { native::starling_trt_validity(runtime.get(), pointer, bytes.len() as i64, &raw mut why) };
    if validity == INVALID {
        let said = format!("the library says that it is none for this card and driver (mask {why:#x})");
        return Err(RunError::Refused { what: "the engine", said });
    }
    // SAFETY: the bytes are as many as is said; the library copies them.
    let engine = unsafe {
        let made = native::starling_trt_engine_new(runtime.get(), pointer, bytes.len() as u64);
        Owned::new(made, native::starling_trt_engine_free)
    };
    engine.ok_or_else(|| RunError::Refused { what: "the engine", said: library.said() })
}

/// Whether the engine takes what it will be given. A checksum says that a file is whole, not that its description is true.
fn check(engine: &Owned, frame: &Frame) -> Result<(), RunError> {
    // SAFETY: the engine lives, and its names as long.
    let names: Vec<&CStr> = unsafe {
        let count = native::starling_trt_tensors(engine.get());
        let names = (0..count).map(|index| native::starling_trt_tensor_name(engine.get(), index));
        names.filter(|name| !name.is_null()).map(|name| CStr::from_ptr(name)).collect()
    };
    for (name, kind, lengths) in frame.takes() {
        let here = CString::new(name.as_str()).is_ok_and(|name| {
            let count = i32::try_from(lengths.len()).unwrap_or_default();
            // SAFETY: the engine lives; the lengths are `count`, and the name is one of its own.
            names.contains(&name.as_c_str())
                && unsafe {
                    native::starling_trt_tensor_is(engine.get(), name.as_ptr(), kind as i32, count, lengths.as_ptr())
                }
        });
        if !here {
            return Err(RunError::Other(format!("its input {name} is not {lengths:?} of {kind:?}")));
        }
    }
    match frame.gives().into_iter().find(|name| !names.iter().any(|own| own.to_bytes() == name.as_bytes())) {
        Some(name) => Err(RunError::Other(format!("it gives no {name}"))),
        None => Ok(()),
    }
}
