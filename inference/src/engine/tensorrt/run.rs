//! Computes with an engine on a card.
//!
//! The cache of all slots is allocated once and bound in place: a slot is a part of each layer's memory, and a batch is
//! a run of neighbouring slots. Running answers go on together, each by a token, on one stream; prompts are read on
//! another, one after the other, so that both keep the card busy. A slot in the middle of a batch that has nothing to
//! do computes a token for nothing, into a row behind all others where nobody reads; so the two
//! streams never touch the same rows. Steps of one token are replayed as CUDA graphs by the library itself.
#![expect(unsafe_code, reason = "a library of C++ behind a shim of C")]

use std::ffi::{CString, c_void};
use std::sync::Arc;

use cudarc::driver::CudaStream;

use crate::engine::graph::{Compute, Piece};
use crate::engine::{EngineError, SlotId};
use crate::graph::Side;

use super::batch::{Batch, Frame, LOGIT};
use super::cuda::{Card, CardError, Memory};
use super::lower::{LOGITS, cache_name};
use super::native::{self, Owned};
use super::network::bytes_of;
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
    #[error("TensorRT-RTX refuses {what}: {said}")]
    Refused { what: &'static str, said: String },
}

/// An engine on a card.
pub(crate) struct Running {
    // In this order: what was made of an object goes before it, and memory behind what uses it.
    answering: Lane,
    reading: Lane,
    compiled: Owned,
    _engine: Owned,
    _runtime: Owned,
    caches: Vec<Memory>,
    card: Card,
    frame: Frame,
    /// What all of them are from.
    _library: Library,
}

impl Running {
    /// Loads the bytes of an engine. `compiled` are kernels of an earlier run, or nothing.
    pub(super) fn new(
        library: Library,
        mut card: Card,
        frame: Frame,
        (engine, compiled): (&[u8], &[u8]),
    ) -> Result<Self, RunError> {
        card.claim(engine.len() as u64)?;
        let refused = |what| RunError::Refused { what, said: library.said() };
        let runtime = library.runtime()?;
        let pointer = engine.as_ptr().cast::<c_void>();
        let mut why = 0;
        // SAFETY: the bytes are as many as is said, and only read.
        let validity =
            unsafe { native::starling_trt_validity(runtime.get(), pointer, engine.len() as i64, &raw mut why) };
        if validity == INVALID {
            let said = format!("the library says that it is none for this card and driver (mask {why:#x})");
            return Err(RunError::Refused { what: "the engine", said });
        }
        // SAFETY: the bytes are as many as is said; the library copies them.
        let engine = unsafe {
            let made = native::starling_trt_engine_new(runtime.get(), pointer, engine.len() as u64);
            Owned::new(made, native::starling_trt_engine_free)
        };
        let engine = engine.ok_or_else(|| refused("the engine"))?;
        let mut answering = Lane::new(&mut card, (&library, &engine), frame, true)?;
        let mut reading = Lane::new(&mut card, (&library, &engine), frame, false)?;
        // SAFETY: the bytes are as many as is said, and of no use to the library behind the call.
        let compiled = unsafe {
            let bytes = compiled.as_ptr().cast::<c_void>();
            let made = native::starling_trt_cache_new(answering.config.get(), bytes, compiled.len() as u64);
            Owned::new(made, native::starling_trt_cache_free)
        };
        let compiled = compiled.ok_or_else(|| refused("a cache of kernels"))?;
        let sides = 2 * frame.cache.layers;
        let caches = (0..sides).map(|_| card.zeros(&answering.stream, frame.slots * frame.slot_bytes()));
        let caches = caches.collect::<Result<Vec<_>, _>>()?;
        for lane in [&mut answering, &mut reading] {
            lane.begin(&mut card, (&library, &engine), &compiled)?;
        }
        // The caches are zeros before anybody reads them.
        answering.stream.synchronize().map_err(CardError::from)?;
        Ok(Self {
            answering,
            reading,
            compiled,
            _engine: engine,
            _runtime: runtime,
            caches,
            card,
            frame,
            _library: library,
        })
    }

    /// The kernels that were compiled for this card, for the next start.
    pub(super) fn compiled(&self) -> Vec<u8> {
        // SAFETY: the object is the library's.
        let bytes = unsafe {
            Owned::new(native::starling_trt_cache_bytes_new(self.compiled.get()), native::starling_trt_memory_free)
        };
        bytes.map(|bytes| bytes_of(&bytes)).unwrap_or_default()
    }

    /// What it computes on.
    pub(super) fn device(&self) -> String {
        format!("{} (TensorRT-RTX {})", self.card.name, super::VERSION)
    }

    fn run(&mut self, pieces: &[Piece<'_>], logits: &mut Vec<Vec<f32>>) -> Result<(), RunError> {
        let (single, long): (Vec<usize>, Vec<usize>) =
            (0..pieces.len()).partition(|&index| pieces[index].tokens.len() == 1);
        let batch = Batch::of_single(&self.frame, single.iter().map(|&index| pieces[index]));
        // Both streams get their work before anybody waits.
        if let Some(batch) = &batch {
            self.answering.enqueue(&self.frame, &self.caches, batch, 0)?;
        }
        for (place, &index) in long.iter().enumerate() {
            self.reading.enqueue(&self.frame, &self.caches, &Batch::of_prompt(&self.frame, pieces[index]), place)?;
        }
        let mut results = vec![Vec::new(); pieces.len()];
        if let Some(batch) = batch {
            for &index in &single {
                results[index] = self.answering.logits(&self.frame, pieces[index].slot - batch.first)?;
            }
        }
        for (place, &index) in long.iter().enumerate() {
            results[index] = self.reading.logits(&self.frame, place)?;
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
        };
        if !pieces.iter().all(fits) {
            return Err(EngineError::died("a piece has no room in the engine"));
        }
        self.run(pieces, logits).map_err(|error| EngineError::died(error.to_string()))
    }

    fn copy(&mut self, from: SlotId, to: SlotId) -> Result<(), EngineError> {
        let bytes = self.frame.slot_bytes();
        if from == to || from.max(to) >= self.frame.slots {
            return Ok(());
        }
        let died = |error: CardError| EngineError::died(error.to_string());
        for cache in &mut self.caches {
            cache.copy(&self.answering.stream, (from * bytes, to * bytes), bytes).map_err(died)?;
        }
        // The other stream may be the next to read it.
        self.answering.stream.synchronize().map_err(|error| died(error.into()))
    }
}

/// A stream with a context of the library's and the memory that it needs.
struct Lane {
    context: Option<Owned>,
    config: Owned,
    stream: Arc<CudaStream>,
    inputs: Vec<Memory>,
    logits: Memory,
    workspace: Option<Memory>,
}

impl Lane {
    fn new(
        card: &mut Card,
        (library, engine): (&Library, &Owned),
        frame: Frame,
        graphs: bool,
    ) -> Result<Self, RunError> {
        let stream = card.stream()?;
        // SAFETY: the engine is the library's, and lives longer.
        let config = unsafe {
            Owned::new(native::starling_trt_config_new(engine.get(), graphs), native::starling_trt_config_free)
        };
        let config = config.ok_or_else(|| RunError::Refused { what: "a way to run", said: library.said() })?;
        let inputs = frame.input_bytes().into_iter().map(|most| card.zeros(&stream, most));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let logits = card.zeros(&stream, frame.slots * frame.logits_bytes())?;
        Ok(Self { context: None, config, stream, inputs, logits, workspace: None })
    }

    /// Makes the context, with kernels in common with other lanes.
    fn begin(
        &mut self,
        card: &mut Card,
        (library, engine): (&Library, &Owned),
        compiled: &Owned,
    ) -> Result<(), RunError> {
        let refused = |what| RunError::Refused { what, said: library.said() };
        // SAFETY: all objects are the library's; the context is freed before them.
        let (context, needed) = unsafe {
            if !native::starling_trt_cache_use(self.config.get(), compiled.get()) {
                return Err(refused("its cache of kernels"));
            }
            let made = native::starling_trt_context_new(engine.get(), self.config.get());
            let context = Owned::new(made, native::starling_trt_context_free);
            (context, native::starling_trt_memory_needed(engine.get()))
        };
        let context = context.ok_or_else(|| refused("a context"))?;
        let bytes = usize::try_from(needed).unwrap_or_default();
        let workspace = card.zeros(&self.stream, bytes)?;
        // SAFETY: the memory has so many bytes and lives as long as the lane.
        unsafe {
            native::starling_trt_context_memory(context.get(), workspace.address(&self.stream), needed);
        }
        (self.context, self.workspace) = (Some(context), Some(workspace));
        Ok(())
    }

    /// Gives a batch to the card. Its logits will lie behind those of `place` sequences.
    fn enqueue(&mut self, frame: &Frame, caches: &[Memory], batch: &Batch, place: usize) -> Result<(), RunError> {
        let Some(context) = &self.context else { return Err(refused("to begin")) };
        for ((name, lengths, bytes), memory) in batch.inputs().into_iter().zip(&mut self.inputs) {
            memory.write(&self.stream, &bytes)?;
            bind(context, name, memory.address(&self.stream), Some(&lengths))?;
        }
        let shape = [batch.sequences, frame.cache.heads, frame.rows, frame.cache.size].map(|length| length as i64);
        let offset = (batch.first * frame.slot_bytes()) as u64;
        let sides = (0..frame.cache.layers).flat_map(|layer| [(layer, Side::Keys), (layer, Side::Values)]);
        for ((layer, side), memory) in sides.zip(caches) {
            let (name, address) = (cache_name(layer, side), memory.address(&self.stream) + offset);
            bind(context, &name, address, Some(&shape))?;
            bind(context, &format!("{name}_out"), address, None)?;
        }
        let logits = self.logits.address(&self.stream) + (place * frame.logits_bytes()) as u64;
        bind(context, LOGITS, logits, None)?;
        // SAFETY: every input and output is bound to memory of its size that lives as long as the lane.
        let enqueued = unsafe { native::starling_trt_enqueue(context.get(), self.stream.cu_stream() as usize as u64) };
        if enqueued { Ok(()) } else { Err(refused("to compute")) }
    }

    /// Waits for the logits of the sequence at `place`.
    fn logits(&self, frame: &Frame, place: usize) -> Result<Vec<f32>, RunError> {
        let mut bytes = vec![0; frame.logits_bytes()];
        self.logits.read(&self.stream, place * bytes.len(), &mut bytes)?;
        Ok(bytes.as_chunks::<LOGIT>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

/// Tells a context where something lies, and how long it is.
fn bind(context: &Owned, name: &str, address: u64, lengths: Option<&[i64]>) -> Result<(), RunError> {
    let text = CString::new(name).map_err(|_| refused("a name"))?;
    // SAFETY: the context lives; names and lengths are copied.
    let bound = unsafe {
        lengths.is_none_or(|lengths| {
            let count = i32::try_from(lengths.len()).unwrap_or_default();
            native::starling_trt_shape(context.get(), text.as_ptr(), count, lengths.as_ptr())
        }) && native::starling_trt_address(context.get(), text.as_ptr(), address)
    };
    if bound { Ok(()) } else { Err(refused("an input")) }
}

/// Where the library's own words are not at hand; they are in the log.
fn refused(what: &'static str) -> RunError {
    RunError::Refused { what, said: "see the log at level debug".to_owned() }
}
