//! The loop of an engine's thread: take jobs, drop cancelled ones, step every running slot as one batch, hand out
//! what came, wait when there is nothing to do.
//!
//! A reader that is slow pauses its own slot and nobody else's. An engine that panics or gives nonsense ends as typed
//! failures, never as text.

use std::time::Instant;

use crate::constrain::Forms;
use crate::drive;
use crate::engine::{Engine, EngineError, Event, Pace, Plan, Progress, Sequence, SlotId, Stepped};
use crate::handle::{Ends, Handle, Job, pair};
use crate::stream::Reader;
use crate::{Failure, Finish, Output, TokenLogprob};

use admission::prepare;
use answer::Answer;
use board::Board;
use chunk::{Chunk, Measured};

mod admission;
mod answer;
mod board;
mod chunk;
pub(crate) mod meter;

/// Drives one engine that answers, on the thread that calls [`Runner::run`].
pub(crate) struct Runner {
    engine: Box<dyn Engine>,
    forms: Forms,
    ends: Ends,
    /// One place for each slot of the engine.
    slots: Vec<Option<Running>>,
    board: Board,
    chunk: Chunk,
    progress: Vec<Progress>,
    bytes: Vec<u8>,
}

/// An answer in its slot.
struct Running {
    answer: Answer,
    reader: Reader,
}

impl Runner {
    /// A runner for `engine` and the handle to it. Spawns nothing.
    pub(crate) fn new(engine: Box<dyn Engine>) -> (Handle, Self) {
        let (handle, ends) = pair(engine.info().clone());
        let slots = (0..engine.info().slots).map(|_| None).collect();
        let (forms, board, chunk) = (Forms::new(&*engine), Board::default(), Chunk::default());
        let (progress, bytes) = (Vec::new(), Vec::new());
        (handle, Self { engine, forms, ends, slots, board, chunk, progress, bytes })
    }

    /// Serves until every [`Handle`] is dropped and no answer runs, or until the engine died: then every answer got
    /// its failure and [`Load::alive`] is false. Blocks.
    pub(crate) fn run(mut self) {
        let reason = drive::serve(|| self.serve());
        drive::close(self.ends, reason, self.slots.into_iter().flatten().map(|running| running.reader));
    }

    fn serve(&mut self) -> Result<(), EngineError> {
        while self.take_jobs()? {
            self.drop_cancelled();
            let ready = self.ready();
            let pace = self.step(&ready)?;
            self.wait(pace);
        }
        Ok(())
    }

    /// Admits what came. Waits for a job while nothing runs; false when none can come any more.
    fn take_jobs(&mut self) -> Result<bool, EngineError> {
        while self.running() == 0 {
            let Some(job) = self.ends.jobs.blocking_recv() else { return Ok(false) };
            self.admit(job)?;
        }
        while let Ok(job) = self.ends.jobs.try_recv() {
            self.admit(job)?;
        }
        Ok(true)
    }

    fn admit(&mut self, job: Job) -> Result<(), EngineError> {
        if job.reader.is_gone() {
            return Ok(());
        }
        let _entered = self.ends.pulse.enter();
        match prepare(&*self.engine, &self.forms, &job.work) {
            Ok((answer, sequence)) => self.start(job, answer, sequence),
            Err(refused) => {
                job.refuse(refused);
                Ok(())
            }
        }
    }

    /// Gives an answer its slot, or its end where nothing is left to compute.
    fn start(&mut self, job: Job, mut answer: Answer, sequence: Sequence) -> Result<(), EngineError> {
        if let Some(finish) = answer.over() {
            let (reader, caller) = job.split();
            reader.send(answer.started(0));
            reader.end(answer.done(finish));
            caller.accept();
            return Ok(());
        }
        let admitted = match self.engine.admit(sequence) {
            Err(EngineError::OutOfMemory) => {
                let (reader, caller) = job.split();
                reader.end(Output::Failed(Failure::OutOfMemory));
                caller.accept();
                return Ok(());
            }
            admitted => admitted?,
        };
        let Some(place @ None) = self.slots.get_mut(admitted.slot) else {
            return Err(EngineError::died("it gave a slot that is taken or not there"));
        };
        let (reader, caller) = job.split();
        reader.send(answer.started(admitted.cached_tokens));
        *place = Some(Running { answer, reader });
        self.board.held_changed = true;
        // The load first: whoever has an answer sees it counted.
        self.publish();
        caller.accept();
        Ok(())
    }

    fn drop_cancelled(&mut self) {
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(|running| running.reader.is_gone()) {
                self.free(slot);
            }
        }
    }

    /// The slots whose readers can take what a step gives.
    fn ready(&mut self) -> Vec<SlotId> {
        let mut ready = Vec::with_capacity(self.slots.len());
        for (slot, running) in self.slots.iter_mut().enumerate() {
            let Some(running) = running else { continue };
            if running.reader.has_room() {
                ready.push(slot);
            } else {
                running.answer.pause();
            }
        }
        ready
    }

    /// Moves `ready` on. `None` when there is nothing to move.
    fn step(&mut self, ready: &[SlotId]) -> Result<Option<Pace>, EngineError> {
        if ready.is_empty() {
            return Ok(None);
        }
        let answering = ready.iter().filter(|&&slot| self.slots[slot].as_ref().is_some_and(Running::talks)).count();
        let allowed = self.chunk.tokens(answering);
        let abandoned = || self.ends.abandoned();
        let plan = Plan { slots: ready, prompt_tokens: allowed, abandoned: &abandoned };
        let mut progress = std::mem::take(&mut self.progress);
        progress.clear();
        let began = Instant::now();
        let entered = self.ends.pulse.enter();
        let stepped = self.engine.step(&plan, &mut progress);
        drop(entered);
        let Stepped { pace, prompt_tokens: read } = match stepped {
            Err(EngineError::OutOfMemory) => {
                ready.iter().for_each(|&slot| self.fail(slot, Failure::OutOfMemory));
                Stepped { pace: Pace::Ready, prompt_tokens: 0 }
            }
            stepped => stepped?,
        };
        let (now, given) = (Instant::now(), progress.len());
        self.chunk.learn(&Measured { allowed, read, given, took: now.duration_since(began) });
        self.board.meter.add_given(given, now);
        for Progress { slot, event } in progress.drain(..) {
            self.take(slot, event)?;
        }
        self.progress = progress;
        self.publish();
        Ok(Some(pace))
    }

    /// One event of a step. What comes behind an answer's end in the same step is dropped.
    fn take(&mut self, slot: SlotId, event: Event) -> Result<(), EngineError> {
        if slot >= self.slots.len() {
            return Err(EngineError::died("it spoke of a slot that is not there"));
        }
        match event {
            Event::Token(token) if token >= self.engine.vocabulary() => {
                self.fail(slot, Failure::Garbage { what: "a token that the model does not have".into() });
            }
            Event::Token(token) => self.token(slot, token),
            Event::End => self.finish(slot, Finish::Stop),
            Event::Failed(failure) => self.fail(slot, failure),
        }
        Ok(())
    }

    fn token(&mut self, slot: SlotId, token: u32) {
        let Some(mut running) = self.slots[slot].take() else { return };
        let logprob = self.engine.take_logprob(slot).map(|logprob| self.spelt(logprob));
        // The first token means that the whole prompt is held now.
        self.board.held_changed |= !running.talks();
        self.decode(token);
        let finish = running.answer.push(token, &self.bytes, logprob, &mut self.board.meter);
        if finish.is_none() {
            running.answer.ready().into_iter().for_each(|piece| running.reader.send(piece));
        }
        self.slots[slot] = Some(running);
        if let Some(finish) = finish {
            self.finish(slot, finish);
        }
    }

    fn finish(&mut self, slot: SlotId, finish: Finish) {
        let Some(mut running) = self.free(slot) else { return };
        running.answer.close(&mut self.board.meter).into_iter().for_each(|piece| running.reader.send(piece));
        running.reader.end(running.answer.done(finish));
    }

    fn fail(&mut self, slot: SlotId, failure: Failure) {
        let Some(running) = self.free(slot) else { return };
        running.reader.end(Output::Failed(failure));
    }

    /// Empties a slot here and in the engine. A request that comes when the load shows it, or when the reader hears
    /// of the end, finds a seat.
    fn free(&mut self, slot: SlotId) -> Option<Running> {
        let mut running = self.slots[slot].take()?;
        self.engine.release(slot);
        self.board.held_changed = true;
        running.reader.leave_seat();
        self.publish();
        Some(running)
    }

    /// Waits until a step makes sense or the bell rings.
    fn wait(&mut self, pace: Option<Pace>) {
        match pace {
            Some(Pace::Ready) => {}
            Some(Pace::Until(due)) => {
                let _ = self.ends.bell.recv_timeout(due.saturating_duration_since(Instant::now()));
            }
            // Every reader is slow. With none left at all the bell says so at once.
            None if self.running() > 0 => {
                let _ = self.ends.bell.recv();
            }
            None => {}
        }
    }

    fn running(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    fn publish(&mut self) {
        let running = self.running();
        self.board.show(&*self.engine, running, &self.ends.load);
    }

    /// With the bytes of its tokens.
    fn spelt(&self, mut logprob: TokenLogprob) -> TokenLogprob {
        for likely in logprob.top.iter_mut().chain([&mut logprob.taken]) {
            self.engine.token_bytes(likely.token, &mut likely.bytes);
        }
        logprob
    }

    /// Leaves the bytes of `token` in `self.bytes`.
    fn decode(&mut self, token: u32) {
        self.bytes.clear();
        self.engine.token_bytes(token, &mut self.bytes);
    }
}

impl Running {
    /// Whether its reader waits for the next token, not for the first.
    fn talks(&self) -> bool {
        self.answer.has_begun()
    }
}
