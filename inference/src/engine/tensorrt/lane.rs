//! A stream of a card with a context of the library's and the memory that it needs.
//!
//! What a context was told last stays so: shapes and places are told again only where they have changed. That is cheap,
//! and a step that the library has captured as a graph stays as it was captured. Bytes on their way to the card stay
//! where they are until somebody has waited for the stream: a driver may read them when it gets there.
#![expect(unsafe_code, reason = "a library of C++ behind a shim of C")]

use std::ffi::CString;
use std::sync::Arc;

use cudarc::driver::CudaStream;

use super::batch::{Batch, Frame, LOGIT};
use super::cuda::{Card, CardError, Memory};
use super::lower::LOGITS;
use super::native::{self, Owned};

/// Why a lane does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    #[error(transparent)]
    Card(#[from] CardError),
    /// The library refuses; it has said why.
    #[error("{0}")]
    Refused(&'static str),
}

/// A way to run, before anything runs that way.
pub(super) struct Road {
    pub(super) config: Owned,
    stream: Arc<CudaStream>,
}

impl Road {
    /// With `steady`, few shapes come again and again; each is compiled when it is first seen, and captured.
    pub(super) fn new(card: &Card, engine: &Owned, steady: bool) -> Result<Self, LaneError> {
        let stream = card.stream()?;
        // SAFETY: the engine is the library's, and lives longer.
        let config = unsafe {
            Owned::new(native::starling_trt_config_new(engine.get(), steady), native::starling_trt_config_free)
        };
        Ok(Self { config: config.ok_or(LaneError::Refused("a way to run"))?, stream })
    }
}

/// A road with its context and memory.
pub(super) struct Lane {
    // In this order: what was made of an object goes before it.
    context: Owned,
    road: Road,
    names: Names,
    memory: Option<Space>,
    /// Sequences and tokens of each, as the context was told last.
    shape: Option<(usize, usize)>,
    /// First slot and place of the logits, as the context was told last.
    bound: Option<(usize, usize)>,
    /// What may still be on its way.
    sent: Vec<Vec<u8>>,
}

/// What a lane takes of a card.
struct Space {
    inputs: Vec<Memory>,
    logits: Memory,
    workspace: Memory,
}

/// Names of caches, which have to be told one by one.
struct Names(Vec<(CString, CString)>);

impl Lane {
    /// Makes the context, with kernels in common with other lanes; it has no memory yet.
    pub(super) fn new(road: Road, engine: &Owned, compiled: &Owned, frame: &Frame) -> Result<Self, LaneError> {
        // SAFETY: all objects are the library's; the context is freed before them.
        let context = unsafe {
            if !native::starling_trt_cache_use(road.config.get(), compiled.get()) {
                return Err(LaneError::Refused("its cache of kernels"));
            }
            let made = native::starling_trt_context_new(engine.get(), road.config.get());
            Owned::new(made, native::starling_trt_context_free)
        };
        let context = context.ok_or(LaneError::Refused("a context"))?;
        let names = Names::new(frame)?;
        Ok(Self { context, road, names, memory: None, shape: None, bound: None, sent: Vec::new() })
    }

    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.road.stream
    }

    /// Bytes that any of these batches takes: a few tokens may take more than many.
    pub(super) fn most_needed(&self, frame: &Frame, batches: &[Batch], most: u64) -> Result<u64, LaneError> {
        let needed = batches.iter().map(|batch| self.needed(frame, batch, most));
        Ok(needed.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(most))
    }

    /// Bytes that computing such a batch takes; `most` where the library cannot say.
    fn needed(&self, frame: &Frame, batch: &Batch, most: u64) -> Result<u64, LaneError> {
        self.tell_shapes(frame, batch)?;
        // SAFETY: the context lives, and has been told all shapes.
        let needed = unsafe { native::starling_trt_memory_now(self.context.get()) };
        Ok(if needed == 0 { most } else { needed.min(most.max(1)) })
    }

    /// Takes the memory for computing.
    pub(super) fn settle(&mut self, card: &mut Card, frame: &Frame, workspace: u64) -> Result<(), LaneError> {
        let stream = &self.road.stream;
        let inputs = frame.input_bytes().into_iter().map(|most| card.zeros(stream, most));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let logits = card.zeros(stream, frame.slots * frame.logits_stride())?;
        let workspace = card.zeros(stream, usize::try_from(workspace).unwrap_or(usize::MAX))?;
        self.memory = Some(Space { inputs, logits, workspace });
        self.shape = None;
        Ok(())
    }

    /// Gives a batch to the card. Its logits will lie at `place`, counted in computations.
    pub(super) fn enqueue(
        &mut self,
        (card, most): (&mut Card, u64),
        frame: &Frame,
        caches: &[Memory],
        (batch, place): (&Batch, usize),
    ) -> Result<(), LaneError> {
        self.reshape((card, most), frame, batch)?;
        self.bind(frame, caches, (batch, place))?;
        let Some(memory) = &mut self.memory else { return Err(LaneError::Refused("to begin")) };
        for ((_, _, bytes), memory) in batch.inputs().into_iter().zip(&mut memory.inputs) {
            memory.write(&self.road.stream, &bytes)?;
            self.sent.push(bytes);
        }
        let stream = self.road.stream.cu_stream() as usize as u64;
        // SAFETY: every input and output is bound to memory of its size that lives as long as the lane, or longer.
        let enqueued = unsafe { native::starling_trt_enqueue(self.context.get(), stream) };
        if enqueued { Ok(()) } else { Err(LaneError::Refused("to compute")) }
    }

    /// Waits for the logits of the sequence at `index` of the computation at `place`.
    pub(super) fn logits(&mut self, frame: &Frame, (place, index): (usize, usize)) -> Result<Vec<f32>, LaneError> {
        let Some(memory) = &self.memory else { return Err(LaneError::Refused("to begin")) };
        let mut bytes = vec![0; frame.logits_bytes()];
        let start = place * frame.logits_stride() + index * bytes.len();
        memory.logits.read(&self.road.stream, start, &mut bytes)?;
        self.sent.clear();
        Ok(bytes.as_chunks::<LOGIT>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Waits for whatever was given to it.
    pub(super) fn wait(&mut self) -> Result<(), CardError> {
        self.road.stream.synchronize()?;
        self.sent.clear();
        Ok(())
    }

    /// Tells another shape, and the memory that there is for it. A shape may need more than a larger one.
    fn reshape(&mut self, (card, most): (&mut Card, u64), frame: &Frame, batch: &Batch) -> Result<(), LaneError> {
        if self.shape == Some((batch.sequences, batch.length)) {
            return Ok(());
        }
        self.shape = None;
        let needed = self.needed(frame, batch, most)?;
        let Some(memory) = &self.memory else { return Err(LaneError::Refused("to begin")) };
        if needed > memory.workspace.len() as u64 {
            self.wait()?;
            self.grow(card, needed)?;
        }
        let Some(memory) = &self.memory else { return Err(LaneError::Refused("to begin")) };
        let (address, bytes) = (memory.workspace.address(&self.road.stream), memory.workspace.len() as i64);
        // SAFETY: the memory has so many bytes and lives as long as the lane.
        unsafe { native::starling_trt_context_memory(self.context.get(), address, bytes) };
        self.shape = Some((batch.sequences, batch.length));
        Ok(())
    }

    fn grow(&mut self, card: &mut Card, needed: u64) -> Result<(), LaneError> {
        let Some(memory) = &mut self.memory else { return Ok(()) };
        let had = memory.workspace.len() as u64;
        card.claim(needed.saturating_sub(had))?;
        card.give_back(needed);
        memory.workspace = card.zeros(&self.road.stream, usize::try_from(needed).unwrap_or(usize::MAX))?;
        tracing::debug!(had, needed, "a shape needs more memory than those before it");
        Ok(())
    }

    fn tell_shapes(&self, frame: &Frame, batch: &Batch) -> Result<(), LaneError> {
        let told = batch
            .inputs()
            .iter()
            .all(|(name, lengths, _)| CString::new(*name).is_ok_and(|name| shape(&self.context, &name, lengths)));
        let cache = frame.cache_shape(batch.sequences);
        if told && self.names.0.iter().all(|(name, _)| shape(&self.context, name, &cache)) {
            Ok(())
        } else {
            Err(LaneError::Refused("the shape of an input"))
        }
    }

    /// Tells where everything lies.
    fn bind(&mut self, frame: &Frame, caches: &[Memory], (batch, place): (&Batch, usize)) -> Result<(), LaneError> {
        if self.bound == Some((batch.first, place)) {
            return Ok(());
        }
        self.bound = None;
        let (context, stream) = (&self.context, &self.road.stream);
        let Some(memory) = &self.memory else { return Err(LaneError::Refused("to begin")) };
        let inputs = batch.inputs();
        let inputs = inputs.iter().zip(&memory.inputs).map(|((name, ..), memory)| (*name, memory.address(stream)));
        let logits = memory.logits.address(stream) + (place * frame.logits_stride()) as u64;
        let told = inputs
            .chain([(LOGITS, logits)])
            .all(|(name, place)| CString::new(name).is_ok_and(|name| address(context, &name, place)));
        let offset = (batch.first * frame.slot_bytes()) as u64;
        let caches = self.names.0.iter().zip(caches).all(|((held, kept), memory)| {
            let place = memory.address(stream) + offset;
            address(context, held, place) && address(context, kept, place)
        });
        if !(told && caches) {
            return Err(LaneError::Refused("the place of an input"));
        }
        self.bound = Some((batch.first, place));
        Ok(())
    }
}

impl Drop for Lane {
    /// Nothing of it may go while the card still works with it.
    fn drop(&mut self) {
        if let Err(error) = self.wait() {
            tracing::debug!(%error, "a card's stream has not ended well");
        }
    }
}

impl Names {
    fn new(frame: &Frame) -> Result<Self, LaneError> {
        let names = frame
            .sides()
            .map(|name| Some((CString::new(name.as_str()).ok()?, CString::new(format!("{name}_out")).ok()?)));
        names.collect::<Option<_>>().map(Self).ok_or(LaneError::Refused("a name"))
    }
}

fn shape(context: &Owned, name: &CString, lengths: &[i64]) -> bool {
    let count = i32::try_from(lengths.len()).unwrap_or_default();
    // SAFETY: the context lives; the lengths are `count`, and copied as the name is.
    unsafe { native::starling_trt_shape(context.get(), name.as_ptr(), count, lengths.as_ptr()) }
}

fn address(context: &Owned, name: &CString, place: u64) -> bool {
    // SAFETY: the context lives, and copies the name.
    unsafe { native::starling_trt_address(context.get(), name.as_ptr(), place) }
}
