//! What the nodes of a world do: take attempts, compute, break, pause, and come back.

use super::*;

impl World {
    /// Whether a node takes an attempt; `None` when it does not answer.
    pub(super) fn admit(&mut self, index: usize, attempt: Attempt, request: &JobRequest) -> Option<bool> {
        let node = &mut self.nodes[index];
        if !node.is_heard() {
            return None;
        }
        let Task::Chat(chat) = &request.task else { panic!("no chat") };
        let asked = &chat.continue_from;
        let expected = (0..asked.len()).map(|index| token(attempt.job, index));
        assert!(expected.eq(asked.iter().copied()), "an attempt goes on from what the reader has");
        // A newer attempt at a job ends the older one.
        let newest = node.computes.keys().filter(|other| other.job == attempt.job).max().copied();
        assert!(newest.is_none_or(|newest| newest < attempt), "an attempt is begun once");
        node.computes.retain(|other, _| other.job != attempt.job);
        if node.computes.len() >= node.slots {
            return Some(false);
        }
        node.computes.insert(attempt, asked.len());
        self.events.after(50 + self.nodes[index].token_ms * PIECE as u64, Event::Computes(index, attempt));
        Some(true)
    }

    pub(super) fn computes(&mut self, index: usize, attempt: Attempt) {
        let (node, length) = (&mut self.nodes[index], self.jobs[attempt.job].length);
        if !node.here || node.hangs {
            return;
        }
        let Some(made) = node.computes.get_mut(&attempt) else { return };
        let first = *made;
        let fails = self.random.chance(node.fails_percent);
        let heard = !node.cut_off && !node.turned_out;
        if fails {
            node.computes.remove(&attempt);
            if heard {
                self.takes(index, attempt, None);
            }
            return;
        }
        *made = length.min(first + PIECE);
        let last = *made;
        if last < length {
            self.events.after(node.token_ms * PIECE as u64, Event::Computes(index, attempt));
        }
        if heard {
            self.hands_over(index, attempt, last);
        }
    }

    /// Everything up to there that the gateway does not have: a stream that was resumed says so in one go.
    pub(super) fn hands_over(&mut self, index: usize, attempt: Attempt, last: usize) {
        let given = self.jobs[attempt.job].given.len();
        let first = if self.is_current(index, attempt) { given } else { last.saturating_sub(PIECE) };
        let tokens = (first..last).map(|index| token(attempt.job, index)).collect::<Vec<_>>();
        if !tokens.is_empty() {
            self.takes(index, attempt, Some((first, tokens)));
        }
    }

    pub(super) fn is_current(&self, index: usize, attempt: Attempt) -> bool {
        let case = &self.jobs[attempt.job];
        let runs_here = matches!(case.state, State::Runs { node, .. } if node == index);
        runs_here && case.course.request.attempt == attempt.number
    }

    pub(super) fn status(&mut self, index: usize, life: u32) {
        let node = &self.nodes[index];
        if !node.here || node.life != life || node.turned_out {
            return;
        }
        if node.is_heard() {
            let (peer, status, now) = (node.peer, node.status(MODEL), self.now());
            self.scheduler.status(peer, status, now);
        }
        self.events.after(1_000, Event::Status(index, life));
    }

    pub(super) fn comes(&mut self, index: usize) {
        let calm = self.calm && !self.random.chance(5);
        let node = &mut self.nodes[index];
        if node.turned_out {
            return;
        }
        (node.here, node.hangs, node.cut_off, node.life) = (true, false, false, node.life + 1);
        let life = node.life;
        self.status(index, life);
        if calm {
            return;
        }
        let until = 2_000 + self.random.below(60_000);
        let (what, pause) = (self.random.below(10), self.random.below(25_000));
        match what {
            0..4 => self.events.after(until, Event::Dies(index)),
            4..6 => self.events.after(until, Event::Hangs(index)),
            6..8 => self.events.after(until, Event::IsCutOff(index)),
            8 => self.events.after(until, Event::IsTurnedOut(index)),
            _ => self.events.after(until + pause, Event::Dies(index)),
        }
    }

    pub(super) fn dies(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        (node.here, node.hangs) = (false, false);
        let lost = std::mem::take(&mut node.computes);
        let (peer, now) = (node.peer, self.now());
        // Its end is seen at once, or by its silence.
        let seen = self.random.chance(50);
        if seen {
            self.scheduler.gone(peer, now);
        }
        for attempt in lost.into_keys().filter(|attempt| self.is_current(index, *attempt)).collect::<Vec<_>>() {
            let noticed = 20 + self.random.below(if seen { 500 } else { SILENCE });
            self.events.after(noticed, Event::IsLost(attempt));
        }
        let pause = 500 + self.random.below(20_000);
        self.events.after(pause, Event::Comes(index));
    }

    pub(super) fn pauses(&mut self, index: usize, how: impl FnOnce(&mut Node), end: Event) {
        how(&mut self.nodes[index]);
        let pause = 200 + self.random.below(15_000);
        self.events.after(pause, end);
    }

    /// A node that hung or was cut off is back, with all that it has computed.
    pub(super) fn goes_on(&mut self, index: usize, how: impl FnOnce(&mut Node)) {
        let node = &mut self.nodes[index];
        let hung = node.hangs;
        how(node);
        if !node.here || node.turned_out {
            return;
        }
        let made: Vec<(Attempt, usize)> = node.computes.iter().map(|(attempt, made)| (*attempt, *made)).collect();
        for (attempt, made) in made {
            self.hands_over(index, attempt, made);
            if hung {
                self.events.after(self.nodes[index].token_ms, Event::Computes(index, attempt));
            }
        }
        let until = 2_000 + self.random.below(30_000);
        self.events.after(until, Event::Dies(index));
    }

    pub(super) fn is_turned_out(&mut self, index: usize) {
        self.nodes[index].turned_out = true;
        let (peer, now) = (self.nodes[index].peer, self.now());
        self.scheduler.keep(|other| *other != peer, now);
        for job in 0..self.jobs.len() {
            let attempt = Attempt { job, number: self.jobs[job].course.request.attempt };
            if self.is_current(index, attempt) {
                self.fails(attempt, DispatchError::NodeLost);
            }
        }
    }

    /// When all is over every slot can be had again.
    pub(super) fn check_slots(&mut self) {
        // Whoever failed has rested by then.
        self.events.ms += END;
        let now = self.now();
        self.scheduler.expire(now);
        let mut slots = 0;
        for node in self.nodes.iter_mut().filter(|node| !node.turned_out) {
            node.computes.clear();
            self.scheduler.status(node.peer, node.status(MODEL), now);
            slots += node.slots;
        }
        if self.calm {
            return;
        }
        // One that waits for nothing better.
        let need = Need { continues: true, ..need(&mut Random(0)) };
        for slot in 0..slots {
            let free = self.scheduler.ask(need.clone(), vec![], now);
            assert!(matches!(free, Choice::Place(_)), "{slot} of {slots} slots can be had: {free:?}");
        }
    }
}
