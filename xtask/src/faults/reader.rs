//! Somebody at a chat socket, as the page is: asks, reads, and comes back when the line is lost.
//!
//! A thread each, which writes down what it sees; whoever runs the trial looks at that.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::history::{End, Seen};
use crate::stop::Stop;

/// How long a look at the socket takes when nothing comes.
const LOOK: Duration = Duration::from_millis(20);
/// Between two tries to reach a gateway that is gone.
const AGAIN: Duration = Duration::from_millis(50);
/// A page that can be asked for nothing for so long is closed by any person.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a gateway may take to open a socket.
const SHAKE: Duration = Duration::from_secs(5);

/// Where one asks, and as whom.
#[derive(Clone)]
pub(super) struct Door {
    /// The first that opens.
    pub(super) addresses: Vec<SocketAddr>,
    /// An access token.
    pub(super) access: String,
}

/// Somebody who reads. Dropping it closes the socket.
pub(super) struct Reader {
    seen: Arc<Mutex<Seen>>,
    leave: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

type Socket = WebSocket<TcpStream>;

/// What the thread has.
struct Page {
    door: Door,
    seen: Arc<Mutex<Seen>>,
    leave: Arc<AtomicBool>,
    /// Nothing of the answer has come on this socket yet.
    rejoined: bool,
    /// The answer has ended, and more of it is wanted.
    go_on: bool,
}

impl Reader {
    /// Asks in a new conversation.
    pub(super) fn ask(door: &Door, prompt: String, expected: String) -> Self {
        let seen = Arc::new(Mutex::new(Seen { prompt, expected, ..Seen::default() }));
        Self::begin(door, seen, false)
    }

    /// Asks for more of an answer that was cut short.
    pub(super) fn go_on(door: &Door, seen: &Seen) -> Self {
        let seen = Seen { ends: Vec::new(), ..seen.clone() };
        Self::begin(door, Arc::new(Mutex::new(seen)), true)
    }

    fn begin(door: &Door, seen: Arc<Mutex<Seen>>, go_on: bool) -> Self {
        let leave = Arc::new(AtomicBool::new(false));
        let page = Page { door: door.clone(), seen: seen.clone(), leave: leave.clone(), rejoined: false, go_on };
        let thread = std::thread::spawn(move || page.run());
        Self { seen, leave, thread: Some(thread) }
    }

    /// Looks at what it has seen so far.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until so many tokens have come; an error when the answer has ended before, or does not come.
    pub(super) fn wait_for_tokens(&self, tokens: usize, limit: Duration, stop: &Stop) -> Result<Instant> {
        self.wait(limit, stop, |seen| seen.tokens() >= tokens)?;
        let have = self.look(Seen::tokens);
        ensure!(have >= tokens, "the answer ended after {have} tokens: {:?}", self.look(|seen| seen.ends.clone()));
        Ok(Instant::now())
    }

    /// Waits for its end; what it has seen.
    pub(super) fn end(mut self, limit: Duration, stop: &Stop) -> Result<Seen> {
        let waited = self.wait(limit, stop, |_| false);
        if waited.as_ref().is_err_and(|error| error.is::<crate::stop::Interrupted>()) {
            waited?;
        }
        self.close();
        Ok(self.look(Seen::clone))
    }

    /// Waits until it has seen that, or its answer has ended.
    pub(super) fn wait(&self, limit: Duration, stop: &Stop, what: impl Fn(&Seen) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !self.look(&what) && !self.is_over() {
            ensure!(Instant::now() < deadline, "nothing came for {} s", limit.as_secs());
            stop.pause()?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn close(&mut self) {
        self.leave.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.close();
    }
}

impl Page {
    fn run(mut self) {
        let mut tried = Instant::now();
        while !self.left() && !self.with(|seen| !seen.ends.is_empty()) {
            match self.read() {
                // The question may be there or not: who asks again asks twice.
                Err(_) if self.with(|seen| seen.accepted.is_none()) && self.asked() => return,
                Ok(()) => tried = Instant::now(),
                Err(_) if tried.elapsed() > PATIENCE => return,
                Err(_) => std::thread::sleep(AGAIN),
            }
        }
    }

    /// One socket, from hello to its end.
    fn read(&mut self) -> Result<()> {
        let mut socket = open(&self.door)?;
        let first = match self.with(|seen| (seen.accepted.clone(), seen.prompt.clone(), seen.text.len())) {
            (None, prompt, _) => {
                json!({"type": "ask", "request": "r", "conversation": null, "text": prompt, "model": null})
            }
            (Some((conversation, turn)), ..) if std::mem::take(&mut self.go_on) => {
                json!({"type": "go_on", "request": "g", "conversation": conversation, "turn": turn})
            }
            (Some((conversation, turn)), _, length) => {
                json!({"type": "join", "conversation": conversation, "turn": turn, "last_seq": length})
            }
        };
        self.with(|seen| seen.asked = true);
        socket.send(Message::text(first.to_string()))?;
        self.rejoined = true;
        while !self.left() {
            match next(&mut socket)? {
                Some(frame) if self.take(&frame)? => return Ok(()),
                _ => {}
            }
        }
        let _ = socket.close(None);
        Ok(())
    }

    /// Writes a frame down; true when it was the last.
    fn take(&mut self, frame: &Value) -> Result<bool> {
        let now = Instant::now();
        let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str().unwrap_or_default() {
            "accepted" => {
                let conversation = frame["conversation"]["id"].as_str().unwrap_or_default().to_owned();
                self.with(|seen| seen.accepted = Some((conversation, text("turn"))));
            }
            "started" => self.with(|seen| seen.starts.push((now, text("node_name")))),
            "piece" => {
                self.rejoined = false;
                let end = usize::try_from(frame["seq"].as_u64().context("a piece without seq")?)?;
                let anew = frame["from"] == 0;
                self.with(|seen| place(seen, end, &text("text"), anew, now));
            }
            "done" => self.end(frame, End::Done),
            "failed" => {
                let code = frame["error"]["code"].as_str().unwrap_or("no code").to_owned();
                self.end(frame, End::Failed(code));
            }
            "idle" => bail!("nothing runs there any more"),
            "error" => bail!("{}", frame["error"]),
            _ => {}
        }
        Ok(self.with(|seen| !seen.ends.is_empty()))
    }

    /// The last frame has all of the answer: for who has missed some of it, and the same as what came.
    fn end(&self, frame: &Value, end: End) {
        let all = frame["message"]["text"].as_str();
        self.with(|seen| {
            match all {
                Some(all) if self.rejoined => all.clone_into(&mut seen.text),
                Some(all) if all.trim_end() != seen.text.trim_end() => seen.misplaced += 1,
                _ => {}
            }
            seen.ends.push(end);
        });
    }

    fn asked(&self) -> bool {
        self.with(|seen| seen.asked)
    }

    fn left(&self) -> bool {
        self.leave.load(Ordering::Relaxed)
    }

    fn with<T>(&self, what: impl FnOnce(&mut Seen) -> T) -> T {
        what(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Puts a piece that ends at byte `end` where it belongs. One from the beginning stands for all there was (`anew`): a
/// gateway that was killed may have had more, and whoever goes on less.
fn place(seen: &mut Seen, end: usize, piece: &str, anew: bool, now: Instant) {
    let most = seen.pieces.last().map_or(0, |(_, length)| *length);
    if anew {
        piece.clone_into(&mut seen.text);
    } else {
        seen.text.push_str(piece);
    }
    seen.misplaced += usize::from(seen.text.len() != end);
    // What one had before is no news.
    if seen.text.len() > most {
        seen.pieces.push((now, seen.text.len()));
    }
}

fn open(door: &Door) -> Result<Socket> {
    let mut last = anyhow::anyhow!("there is no gateway");
    for address in &door.addresses {
        match open_at(*address, door) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open_at(address: SocketAddr, door: &Door) -> Result<Socket> {
    let stream = TcpStream::connect_timeout(&address, SHAKE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SHAKE))?;
    let url = format!("ws://{address}/api/chat");
    let (mut socket, _) = tungstenite::client(url, stream).map_err(|error| anyhow::anyhow!("no socket: {error}"))?;
    socket.send(Message::text(json!({"type": "authenticate", "token": door.access}).to_string()))?;
    socket.get_ref().set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

/// The next frame; none when nothing came for a moment.
fn next(socket: &mut Socket) -> Result<Option<Value>> {
    match socket.read() {
        Ok(Message::Text(text)) => Ok(Some(serde_json::from_str(&text)?)),
        Ok(Message::Close(_)) => bail!("the gateway closed the socket"),
        Ok(_) => Ok(None),
        Err(tungstenite::Error::Io(error)) if is_pause(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_where_they_belong() {
        let check = |have: &str, end, piece: &str, anew, text: &str, misplaced| {
            let mut seen = Seen { text: have.into(), ..Seen::default() };
            place(&mut seen, end, piece, anew, Instant::now());
            assert_eq!((seen.text.as_str(), seen.misplaced), (text, misplaced), "{have:?} {piece:?}");
        };
        check("abc", 5, "de", false, "abcde", 0);
        // All of it again, and what the database had of it.
        check("abc", 5, "abcde", true, "abcde", 0);
        check("abc", 2, "ab", true, "ab", 0);
        // Left out, and come again.
        check("abc", 6, "ef", false, "abcef", 1);
        check("abc", 3, "bc", false, "abcbc", 1);
        check("abc", 3, "abc", false, "abcabc", 1);
    }
}
