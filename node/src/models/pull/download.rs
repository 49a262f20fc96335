//! One file from a server into its part: asks, goes on where it stopped, asks again when it broke off.

use std::fs::File;

use reqwest::{
    Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
    },
};
use starling_inference::model::{Peek, peek};
use starling_protocol::program::Exit;

use super::{
    part::{Begun, Part},
    room::Room,
};
use crate::models::{
    client::{Client, Fault, fault, header},
    hub::Remote,
    show::{self, Progress},
};

/// What counts as progress between two breaks.
const WON: u64 = 1 << 20;
/// When the header is looked at first; each time four times as much has to be there.
const FIRST_LOOK: u64 = 1 << 20;

/// Why a file did not come.
pub(super) struct Failed {
    pub(super) exit: Exit,
    /// Whether what is there of it is of no use.
    pub(super) worthless: bool,
}

/// A download in progress.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) remote: &'a Remote,
    pub(super) room: &'a Room,
    /// How many bytes have to be there for the next look at the header; `None` when it was good, or is no model's.
    next_look: Option<u64>,
    /// Whether it is a model.
    model: bool,
    progress: Option<Progress>,
}

impl<'a> Download<'a> {
    pub(super) fn new(client: &'a Client, remote: &'a Remote, room: &'a Room) -> Self {
        Self { client, remote, room, next_look: Some(FIRST_LOOK), model: true, progress: None }
    }

    /// Of a file that is no model.
    pub(super) fn of_any(client: &'a Client, remote: &'a Remote, room: &'a Room) -> Self {
        Self { next_look: None, model: false, ..Self::new(client, remote, room) }
    }

    /// Fills the part. When this fails or is dropped, what is there is kept, unless it is worth nothing.
    pub(super) async fn run(mut self, part: &mut Part) -> Result<(), Failed> {
        let (mut pause, mut broken) = (self.client.patience.pause, 0);
        loop {
            let before = part.done();
            let what = match self.attempt(part).await {
                Ok(()) => return Ok(()),
                Err(Fault::Final(exit)) => return Err(Failed { exit, worthless: false }),
                Err(Fault::Worthless(exit)) => return Err(Failed { exit, worthless: true }),
                Err(Fault::Passing(what)) => what,
            };
            if part.done() >= before + WON {
                (pause, broken) = (self.client.patience.pause, 0);
            }
            broken += 1;
            if broken >= self.client.patience.attempts {
                let hint = match part.done() {
                    0 => "check the connection and try again".to_owned(),
                    done => format!("{} are here; the same command goes on from there", show::size(done)),
                };
                let exit = Exit::usage(format!("the download broke off: {what}"), hint);
                return Err(Failed { exit, worthless: false });
            }
            self.note(&format!("{what}; asking again in {:.0?}", pause));
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Asks once and takes what comes.
    async fn attempt(&mut self, part: &mut Part) -> Result<(), Fault> {
        let url = &self.remote.url;
        let response = self.client.get(url, self.headers(part)).await?;
        let mut response = self.begin(part, response)?;
        let total = part.begun().map_or(0, |begun| begun.bytes);
        self.look(part, total)?;
        while part.done() < total {
            let chunk = tokio::time::timeout(self.client.patience.silence, response.chunk())
                .await
                .map_err(|_| Fault::Passing("the server has gone silent".to_owned()))?
                .map_err(|error| fault(url, error))?
                .ok_or_else(|| Fault::Passing("the server ended too early".to_owned()))?;
            if chunk.len() as u64 > total - part.done() {
                return Err(Fault::last(
                    format!("the server sends more than the {total} bytes that it promised"),
                    "try again later, or take the file from elsewhere",
                ));
            }
            part.write(&chunk).map_err(|error| self.room.unwritable(part.path(), &error))?;
            if let Some(progress) = &mut self.progress {
                progress.set(part.done());
            }
            self.look(part, total)?;
        }
        Ok(())
    }

    /// From where on, and of which version of the file.
    fn headers(&self, part: &Part) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        if part.done() > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={}-", part.done()))
        {
            headers.insert(RANGE, range);
            let validator = part.begun().and_then(|begun| begun.validator.as_ref());
            if let Some(Ok(validator)) = validator.map(HeaderValue::try_from) {
                headers.insert(IF_RANGE, validator);
            }
        }
        headers
    }

    /// Reads what the server says of the file, before any of it; starts again where it is not what the part is of.
    fn begin(&mut self, part: &mut Part, response: Response) -> Result<Response, Fault> {
        let answer = Answer::read(&response);
        let goes_on = answer.from == part.done() && part.begun().is_none_or(|begun| begun.bytes == answer.total);
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE || (answer.from > 0 && !goes_on) {
            part.restart().map_err(|error| self.room.unwritable(part.path(), &error))?;
            self.next_look = self.model.then_some(FIRST_LOOK);
            return Err(Fault::Passing("the file on the server has changed".to_owned()));
        }
        if answer.from == 0 && part.done() > 0 {
            self.note("the server does not go on where we stopped, or the file has changed: starting again");
            self.next_look = self.model.then_some(FIRST_LOOK);
            part.restart().map_err(|error| self.room.unwritable(part.path(), &error))?;
        }
        let total = self.length(answer.total)?;
        let begun = Begun {
            source: self.remote.source.clone(),
            bytes: total,
            validator: answer.validator,
            sha256: self.remote.sha256.map(|sha256| sha256.to_string()),
        };
        self.room.on_disk(part.path(), total - part.done())?;
        part.begin(begun).map_err(|error| self.room.unwritable(part.path(), &error))?;
        if self.progress.is_none() {
            self.progress = Some(Progress::new(&self.remote.file, part.done(), total));
        }
        Ok(response)
    }

    /// The file's length, which has to be known and to be what the hub says; 0 where the server does not say.
    fn length(&self, total: u64) -> Result<u64, Fault> {
        match (total, self.remote.bytes) {
            (0, Some(listed)) => Ok(listed),
            (0, None) => Err(Fault::last(
                format!("the server does not say how long {} is", self.remote.file),
                "download it by other means and give its path to starling-node run --model",
            )),
            (_, Some(listed)) if listed != total => Err(Fault::last(
                format!("the server has {total} bytes for {}, and its list says {listed}", self.remote.file),
                "try again later; a mirror may be behind",
            )),
            _ => Ok(total),
        }
    }

    /// Looks at the header as soon as it is there: garbage is not loaded to its end.
    fn look(&mut self, part: &Part, total: u64) -> Result<(), Fault> {
        let Some(next) = self.next_look else { return Ok(()) };
        if part.done() < next.min(total) {
            return Ok(());
        }
        let file = File::open(part.path()).map_err(|error| self.room.unwritable(part.path(), &error))?;
        self.next_look = match peek(file, total) {
            Peek::More => Some(next.saturating_mul(4)),
            Peek::Good(header) => {
                self.room.in_memory(&header, total).map_err(Fault::Final)?;
                None
            }
            Peek::Bad(problem) => {
                let what = format!("{} is no model that can be served: {problem}", self.remote.file);
                let hint = "check the name; what is wanted is a chat or embedding model in one GGUF file";
                return Err(Fault::Worthless(Exit::usage(what, hint)));
            }
        };
        Ok(())
    }

    fn note(&self, line: &str) {
        match &self.progress {
            Some(progress) => progress.note(line),
            None => show::note(line),
        }
    }
}

/// What an answer says of the file behind it.
struct Answer {
    /// First byte that it gives.
    from: u64,
    /// Length of the whole file; 0 when the server does not say.
    total: u64,
    validator: Option<String>,
}

impl Answer {
    fn read(response: &Response) -> Self {
        // A weak ETag or a date that is just now may stand for two versions; the former is marked as such.
        let etag = header(response, ETAG).filter(|etag| etag.starts_with('"'));
        let validator = etag.or_else(|| header(response, LAST_MODIFIED)).map(str::to_owned);
        let number = |text: &str| text.trim().parse().ok();
        if response.status() != StatusCode::PARTIAL_CONTENT {
            let total = header(response, CONTENT_LENGTH).and_then(number).unwrap_or_default();
            return Self { from: 0, total, validator };
        }
        // bytes 100-999/1000
        let range = header(response, CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
        let read = |range: &str| {
            let (place, total) = range.split_once('/')?;
            Some((number(place.split_once('-')?.0)?, number(total)?))
        };
        let (from, total) = range.and_then(read).unwrap_or((u64::MAX, 0));
        Self { from, total, validator }
    }
}
