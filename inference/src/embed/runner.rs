//! The loop of an embedding engine's thread: take requests, put texts of all of them into one computation, hand out
//! the vectors.
//!
//! Each request gets its texts in turn, so that one of 256 texts does not hold up one of a single text. A reader that
//! is slow holds up nobody.

use std::collections::VecDeque;
use std::time::Instant;

use super::Embedder;
use crate::drive;
use crate::engine::EngineError;
use crate::handle::{Ends, Handle, Job, Load, Work, pair};
use crate::runner::meter::Meter;
use crate::stream::Reader;
use crate::{Failure, Finish, Invalid, Kind, Output, Refused, Style, Timings, Usage};

/// Drives one embedding engine.
pub(crate) struct EmbedRunner {
    embedder: Box<dyn Embedder>,
    ends: Ends,
    /// Whose turn it is comes first.
    running: VecDeque<Running>,
    meter: Meter,
}

/// A request in progress.
struct Running {
    reader: Reader,
    /// Tokens of the texts that have no vector yet.
    texts: VecDeque<Vec<u32>>,
    /// Vectors that were given.
    given: u32,
    /// How many of the texts are in the computation.
    share: usize,
    prompt_tokens: u32,
    admitted: Instant,
    first: Option<Instant>,
}

impl EmbedRunner {
    /// A runner for `embedder` and the handle to it. Spawns nothing.
    pub(crate) fn new(embedder: Box<dyn Embedder>) -> (Handle, Self) {
        let (handle, ends) = pair(embedder.info().clone());
        (handle, Self { embedder, ends, running: VecDeque::new(), meter: Meter::default() })
    }

    /// Serves until every [`Handle`] is dropped and nothing runs, or until the engine died. Blocks.
    pub(crate) fn run(mut self) {
        let reason = drive::serve(|| self.serve());
        drive::close(self.ends, reason, self.running.into_iter().map(|running| running.reader));
    }

    fn serve(&mut self) -> Result<(), EngineError> {
        while self.take_jobs() {
            self.running.retain(|running| !running.reader.is_gone());
            self.publish();
            if self.fill() > 0 {
                self.compute()?;
                self.publish();
            } else if !self.running.is_empty() {
                // Every reader is slow.
                let _ = self.ends.bell.recv();
            }
        }
        Ok(())
    }

    /// Admits what came. Waits for a job while nothing runs; false when none can come any more.
    fn take_jobs(&mut self) -> bool {
        while self.running.is_empty() {
            let Some(job) = self.ends.jobs.blocking_recv() else { return false };
            self.admit(job);
        }
        while let Ok(job) = self.ends.jobs.try_recv() {
            self.admit(job);
        }
        true
    }

    fn admit(&mut self, job: Job) {
        if job.reader.is_gone() {
            return;
        }
        let entered = self.ends.pulse.enter();
        let prepared = prepare(&*self.embedder, &job.work);
        drop(entered);
        match prepared {
            Ok(texts) => {
                let (reader, caller) = job.split();
                let running = Running::new(reader, texts);
                running.reader.send(running.started());
                self.running.push_back(running);
                // The load first: whoever is accepted sees it counted.
                self.publish();
                caller.accept();
            }
            Err(refused) => job.refuse(refused),
        }
    }

    /// Shares one computation out, a text for each request in turn; how many texts there are in it.
    fn fill(&mut self) -> usize {
        let capacity = self.embedder.capacity();
        let (mut tokens, mut texts) = (0, 0);
        let mut rooms: Vec<usize> = self.running.iter().map(|running| running.reader.room(1)).collect();
        self.running.iter_mut().for_each(|running| running.share = 0);
        loop {
            let before = texts;
            for (running, room) in self.running.iter_mut().zip(&mut rooms) {
                let Some(text) = running.texts.get(running.share).filter(|_| *room > 0) else { continue };
                let fits = texts == 0 || tokens + text.len() <= capacity.tokens;
                if !fits || texts >= capacity.texts {
                    // Its texts keep their order: what comes behind this one waits with it.
                    *room = 0;
                    continue;
                }
                *room -= 1;
                running.share += 1;
                (tokens, texts) = (tokens + text.len(), texts + 1);
            }
            if texts == before {
                return texts;
            }
        }
    }

    fn compute(&mut self) -> Result<(), EngineError> {
        let batch: Vec<&[u32]> = self.running.iter().flat_map(Running::batch).collect();
        let tokens: usize = batch.iter().map(|text| text.len()).sum();
        let (ends, running) = (&self.ends, &self.running);
        let gone = || ends.abandoned() || running.iter().all(|running| running.share == 0 || running.reader.is_gone());
        let began = Instant::now();
        let entered = self.ends.pulse.enter();
        let computed = self.embedder.embed(&batch, &gone);
        drop(entered);
        let vectors = match computed {
            Err(EngineError::OutOfMemory) => {
                self.fail_batch();
                return Ok(());
            }
            vectors => vectors?,
        };
        if vectors.len() != batch.len() {
            return if gone() {
                Ok(())
            } else {
                Err(EngineError::died("it gave another number of vectors than of texts"))
            };
        }
        self.meter.add_prefill(u32::try_from(tokens).unwrap_or(u32::MAX), began.elapsed());
        self.hand_out(vectors);
        Ok(())
    }

    fn hand_out(&mut self, vectors: Vec<Vec<f32>>) {
        let Kind::Embedding { dimensions } = self.embedder.info().kind else { return };
        let mut vectors = vectors.into_iter();
        let turn = self.running.len().min(1);
        for mut running in std::mem::take(&mut self.running) {
            let share: Vec<Option<Vec<f32>>> =
                vectors.by_ref().take(running.share).map(|vector| unit(vector, dimensions)).collect();
            match share.into_iter().collect::<Option<Vec<_>>>() {
                None => {
                    running
                        .reader
                        .end(Output::Failed(Failure::Garbage { what: "a vector without a direction".into() }));
                }
                Some(share) => {
                    share.into_iter().for_each(|values| running.give(values));
                    if running.texts.is_empty() {
                        let done = running.done();
                        running.reader.end(done);
                    } else {
                        self.running.push_back(running);
                    }
                }
            }
        }
        if !self.running.is_empty() {
            self.running.rotate_left(turn);
        }
    }

    /// No memory for this computation: its requests fail, the others go on.
    fn fail_batch(&mut self) {
        for running in std::mem::take(&mut self.running) {
            if running.share == 0 {
                self.running.push_back(running);
            } else {
                running.reader.end(Output::Failed(Failure::OutOfMemory));
            }
        }
    }

    fn publish(&self) {
        let (running, slots) = (u32::try_from(self.running.len()).unwrap_or(u32::MAX), self.embedder.info().slots);
        let load = Load {
            running,
            slots_free: slots.saturating_sub(running),
            prefill_tokens_per_second: self.meter.prefill(),
            slots,
            alive: true,
            ..Load::default()
        };
        self.ends.load.send_if_modified(|shown| {
            let changed = *shown != load;
            *shown = load;
            changed
        });
    }
}

impl Running {
    fn new(reader: Reader, texts: VecDeque<Vec<u32>>) -> Self {
        let tokens: usize = texts.iter().map(Vec::len).sum();
        let prompt_tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        Self { reader, texts, given: 0, share: 0, prompt_tokens, admitted: Instant::now(), first: None }
    }

    fn started(&self) -> Output {
        Output::Started { prompt_tokens: self.prompt_tokens, cached_tokens: 0, style: Style::default() }
    }

    fn batch(&self) -> impl Iterator<Item = &[u32]> {
        self.texts.iter().take(self.share).map(Vec::as_slice)
    }

    fn give(&mut self, values: Vec<f32>) {
        self.first.get_or_insert_with(Instant::now);
        self.texts.pop_front();
        self.reader.send(Output::Vector { index: self.given, values });
        self.given += 1;
    }

    fn done(&self) -> Output {
        let now = Instant::now();
        let first = self.first.unwrap_or(now);
        Output::Done {
            finish: Finish::Stop,
            usage: Usage { prompt_tokens: self.prompt_tokens, ..Usage::default() },
            timings: Timings {
                prefill_ms: first.duration_since(self.admitted).as_secs_f64() * 1e3,
                decode_ms: now.duration_since(first).as_secs_f64() * 1e3,
            },
        }
    }
}

/// The tokens of every text, or why the request is not taken.
fn prepare(embedder: &dyn Embedder, work: &Work) -> Result<VecDeque<Vec<u32>>, Refused> {
    let Work::Embed(texts) = work else {
        return Err(Invalid::new("model", "it makes vectors and answers no conversations").into());
    };
    let limit = embedder.info().context_tokens;
    let mut encoded = VecDeque::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let tokens = embedder.encode(text);
        let length = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        if length == 0 {
            return Err(Invalid::new("input", format!("text {index} has nothing that the model can read")).into());
        }
        if length > limit {
            return Err(Refused::PromptTooLong { tokens: length, limit });
        }
        encoded.push_back(tokens);
    }
    Ok(encoded)
}

/// The vector at length 1; `None` when it has another number of dimensions or no direction.
fn unit(mut vector: Vec<f32>, dimensions: u32) -> Option<Vec<f32>> {
    let norm = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    if vector.len() != dimensions as usize || !norm.is_finite() || norm == 0.0 {
        return None;
    }
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    Some(vector)
}
