//! An answer that another gateway gives, as it is followed here: through the log that the owner shows, and without a
//! Redis from what is kept of it in the database, a second later.

use std::sync::Arc;

use starling_protocol::message::Style;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    Begun, Ended, Log, Turns,
    mirror::{self, Entry},
};
use crate::{
    cache::log::Place,
    dispatch::Estimate,
    id::{ConversationId, UserId},
    store::{
        StoreError,
        messages::{Message, Status},
        progress::{Progress, Unfinished},
    },
    style::{Parser, Part},
};

/// How often the database is asked: where there is a log, only whether the answer is still there.
const ASK: std::time::Duration = std::time::Duration::from_secs(1);

impl Turns {
    /// The turn that runs in a user's conversation, here or at another gateway.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find(&self, user: UserId, conversation: ConversationId) -> Result<Option<Begun>, StoreError> {
        if let Some((turn, running)) = self.running_in(user, conversation) {
            return Ok(Some(Begun { turn, accepted: running.accepted, log: running.log }));
        }
        let Some(unfinished) = self.store.running_in(user, conversation).await? else { return Ok(None) };
        // It may have begun, or been taken up, in between.
        if let Some((turn, running)) = self.running_in(user, conversation) {
            return Ok(Some(Begun { turn, accepted: running.accepted, log: running.log }));
        }
        // One that is ours and not given could not be stored when it ended.
        if !self.store.is_given_elsewhere(unfinished.turn).await? {
            return Ok(None);
        }
        let (log, shown) = watch::channel(Log::default());
        let (turn, accepted) = (unfinished.turn, Arc::new(unfinished.accepted.clone()));
        let mut followed = Followed { turns: self.clone(), unfinished, log, place: Place::default(), logged: false };
        let drain = self.life.drain.clone();
        self.life.tasks.spawn(async move {
            if drain.run_until_cancelled(followed.run()).await != Some(Over::Ended) {
                followed.log.send_modify(Log::suspend);
            }
        });
        Ok(Some(Begun { turn, accepted, log: shown }))
    }
}

/// An answer that is given elsewhere, and those who read it here.
struct Followed {
    turns: Turns,
    unfinished: Unfinished,
    log: watch::Sender<Log>,
    place: Place,
    /// There is a log of it.
    logged: bool,
}

/// Why it is followed no longer.
#[derive(Debug, PartialEq, Eq)]
enum Over {
    /// It has ended, and its readers know.
    Ended,
    /// It is given here now, or nobody reads it.
    Elsewhere,
}

impl Followed {
    async fn run(&mut self) -> Over {
        let mut asked = None::<Instant>;
        while !self.log.is_closed() {
            if self.turns.seats.has(self.unfinished.turn) {
                return Over::Elsewhere;
            }
            let ended = self.read().await;
            if ended || asked.is_none_or(|asked| asked.elapsed() >= ASK) {
                asked = Some(Instant::now());
                if self.ask().await {
                    return Over::Ended;
                }
            }
            sleep(mirror::EVERY).await;
        }
        Over::Elsewhere
    }

    /// Reads on in the log; whether it says that the answer has ended.
    async fn read(&mut self) -> bool {
        let Some(chunk) = self.turns.cache.read(&mirror::name(self.unfinished.turn), self.place).await else {
            self.logged = false;
            return false;
        };
        (self.place, self.logged) = (chunk.place, true);
        let mut ended = false;
        for entry in chunk.entries {
            match serde_json::from_slice(&entry) {
                Ok(Entry::Ended) => ended = true,
                Ok(entry) => self.log.send_modify(|log| take(log, entry)),
                // A newer gateway says more than we know.
                Err(_) => {}
            }
        }
        ended
    }

    /// Whether it has ended, by the database.
    async fn ask(&mut self) -> bool {
        let Unfinished { turn, user, accepted, .. } = &self.unfinished;
        let found = self.turns.store.message(*user, accepted.conversation.id, *turn).await;
        match found {
            Ok(Some(message)) if message.status == Status::Running => {
                if !self.logged
                    && let Ok(kept) = self.turns.store.answers(&[*turn]).await
                {
                    kept.iter().for_each(|kept| self.show(&kept.progress));
                }
                false
            }
            Ok(ended) => {
                self.end(ended);
                true
            }
            // A database that is not there for a moment is asked again.
            Err(_) => false,
        }
    }

    fn show(&self, progress: &Progress) {
        let kept = shown(progress);
        if kept.len() > self.log.borrow().text().len() {
            self.log.send_modify(|log| take(log, Entry::Text { from: 0, text: kept }));
        }
    }

    fn end(&self, message: Option<Message>) {
        let error = message.as_ref().and_then(|message| message.error.clone());
        self.log.send_modify(|log| {
            // The last of it came by no log.
            if let Some(message) = &message {
                grow(log, 0, message.text.0.clone());
            }
            log.end(Ended { message, error });
        });
    }
}

fn take(log: &mut Log, entry: Entry) {
    match entry {
        Entry::Waiting { position, seconds } => log.wait(Estimate { position, seconds }),
        Entry::Loading(loading) => log.load(loading),
        Entry::Started(started) => log.start(started),
        Entry::Thinking => drop(log.think()),
        Entry::Text { from, text } => grow(log, from, text),
        Entry::Ended => {}
    }
}

/// What of it is not there yet. Another gateway that went on behind less may have come to other words.
fn grow(log: &mut Log, from: u64, text: String) {
    let there = log.text();
    let Some(before) = usize::try_from(from).ok().filter(|from| *from <= there.len()) else { return };
    let known = there.len() - before;
    match (there.as_bytes()[before..].strip_prefix(text.as_bytes()), text.get(known..)) {
        (Some(_), _) => {}
        (None, Some(new)) if text.as_bytes().starts_with(&there.as_bytes()[before..]) => log.push(new),
        _ if before == 0 => log.rewrite(text),
        _ => {}
    }
}

/// What a reader sees of an answer that is kept.
fn shown(progress: &Progress) -> String {
    let mut parser = Parser::new(Style { reasoning: progress.reasoning, tool_calls: false });
    let parts = parser.push(&progress.text.0);
    parts.into_iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(there: &str, from: u64, text: &str, then: &str) {
        let mut log = Log::default();
        log.push(there);
        grow(&mut log, from, text.to_owned());
        assert_eq!(log.text(), then, "{there} + {text} at {from}");
    }

    #[test]
    fn what_is_known_is_not_said_twice_and_no_gap_is_left() {
        check("", 0, "grüße", "grüße");
        check("grü", 0, "grüße", "grüße");
        check("grü", 4, "ße", "grüße");
        check("grüße", 0, "grü", "grüße");
        check("grüße", 4, "ß", "grüße");
        check("grü", 2, "üße", "grüße");
        check("grü", 9, "ße", "grü");
        check("grüße", 0, "gruß", "gruß");
        check("grüße", 2, "uß", "grüße");
    }
}
