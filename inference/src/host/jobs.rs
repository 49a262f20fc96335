//! The answers that an engine in another process is at, as this side knows them.
//!
//! What the engine may send of each is bounded by credit, which is the room in the queue to its reader: so reading
//! the pipe never waits for a reader, and a slow one pauses its own slot only.

use std::collections::HashMap;

use super::blame::Mark;
use super::frame::{Order, Outbox};
use crate::handle::{Caller, Job};
use crate::stream::Reader;
use crate::{Failure, Invalid, Output, Refused};

/// Credit is given by so many outputs or more: a message for each would be one more than needed.
const CREDIT_STEP: usize = 24;

/// All of them.
#[derive(Default)]
pub(super) struct Jobs {
    next: u64,
    open: HashMap<u64, Open>,
}

/// One of them.
pub(super) struct Open {
    reader: Reader,
    /// Until it is accepted.
    caller: Option<Caller>,
    /// Outputs that may still come.
    credit: usize,
    mark: Mark,
}

/// The engine said what makes no sense.
#[derive(Debug)]
pub(super) struct Nonsense;

impl Jobs {
    /// Hands a job to the engine.
    pub(super) fn start(&mut self, job: Job, mark: Mark, outbox: &mut Outbox) {
        let id = self.next;
        self.next += 1;
        let (work, reader, caller) = job.parts();
        let credit = reader.room(0);
        let outputs = u32::try_from(credit).unwrap_or(u32::MAX);
        if let Err(error) = outbox.put(&Order::Job { id, outputs, work }) {
            drop(reader);
            return caller.refuse(Invalid::new("messages", format!("the request is too large: {error}")).into());
        }
        self.open.insert(id, Open { reader, caller: Some(caller), credit, mark });
    }

    /// The engine took it.
    pub(super) fn accepted(&mut self, id: u64) {
        // One that is not there was cancelled; here and below.
        if let Some(caller) = self.open.get_mut(&id).and_then(|open| open.caller.take()) {
            caller.accept();
        }
    }

    /// The next output, which is no end.
    pub(super) fn output(&mut self, id: u64, output: Output, outbox: &mut Outbox) -> Result<(), Nonsense> {
        let Some(open) = self.open.get_mut(&id) else { return Ok(()) };
        open.credit = open.credit.checked_sub(1).ok_or(Nonsense)?;
        open.reader.send(output);
        open.give_credit(id, outbox)
    }

    /// An answer is over, or was none, and its seat is free; who waits for it has still to hear that.
    pub(super) fn close(&mut self, id: u64) -> Option<Open> {
        let mut open = self.open.remove(&id)?;
        open.reader.leave_seat();
        Some(open)
    }

    /// A reader made room, or left.
    pub(super) fn look(&mut self, outbox: &mut Outbox) -> Result<(), Nonsense> {
        let gone: Vec<u64> = self.open.iter().filter(|(_, open)| open.reader.is_gone()).map(|(id, _)| *id).collect();
        for id in gone {
            // Its seat is free from here on; whoever takes it waits in the engine's process for the slot.
            self.open.remove(&id);
            outbox.put(&Order::Cancel { id }).map_err(|_| Nonsense)?;
        }
        self.open.iter_mut().try_for_each(|(id, open)| open.give_credit(*id, outbox))
    }

    /// The engine is gone.
    pub(super) fn fail(self, failure: &Failure) {
        for open in self.open.into_values() {
            open.end(Output::Failed(failure.clone()));
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The one job, if there is only one.
    pub(super) fn alone(&self) -> Option<Mark> {
        let mut marks = self.open.values().map(|open| open.mark);
        marks.next().filter(|_| marks.next().is_none())
    }
}

impl Open {
    /// Whoever still waits for admission hears the end as the first output.
    pub(super) fn end(self, output: Output) {
        self.reader.end(output);
        if let Some(caller) = self.caller {
            caller.accept();
        }
    }

    /// There is no answer.
    pub(super) fn refuse(self, refused: Refused) {
        if let Some(caller) = self.caller {
            caller.refuse(refused);
        }
    }

    fn give_credit(&mut self, id: u64, outbox: &mut Outbox) -> Result<(), Nonsense> {
        // With credit enough for now, the reader need not ring for every output.
        let wanted = if self.credit > CREDIT_STEP { 0 } else { self.credit + CREDIT_STEP };
        let more = self.reader.room(wanted).saturating_sub(self.credit);
        if more < CREDIT_STEP {
            return Ok(());
        }
        self.credit += more;
        let outputs = u32::try_from(more).unwrap_or(u32::MAX);
        outbox.put(&Order::Credit { id, outputs }).map_err(|_| Nonsense)
    }
}
