//! Where a running node hears what its owner wants: a local socket (on Windows a named pipe) beside the one at which it
//! says how it does. One line of JSON in, one line out.
//!
//! On Windows everybody who is signed in at the machine may say it: it can make a node more polite, or take that back, and
//! nothing else.

use std::{io, path::Path, time::Duration};

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::desk;

/// Of the messages here; a node refuses others in words.
const VERSION: u32 = 1;
/// Whoever comes gets this long; one is heard after the other.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest line.
const MAX_LINE: u64 = 256;
/// The longest pause by hand.
pub(crate) const LONGEST: u32 = starling_protocol::limits::MAX_PAUSE_SECONDS;
/// What the socket is called.
const NAME: &str = "orders";

/// What can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Order {
    /// Leave the machine to others, until the owner says otherwise or for so long.
    Pause { seconds: Option<u32> },
    /// Come back, as far as it is for the owner's own word.
    Resume,
    /// A full-screen program runs in somebody's session. Said again as long as it does.
    FullScreen,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    version: u32,
    order: Order,
}

/// What comes back.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Reply {
    version: u32,
    /// Why not; empty when it was heard.
    refused: String,
}

/// Hears them.
pub(crate) struct Orders {
    listener: Listener,
    heard: mpsc::Sender<Order>,
}

impl Orders {
    /// Opens the socket.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn open(data: &Path, heard: mpsc::Sender<Order>) -> io::Result<Self> {
        Ok(Self { listener: desk::listen(data, NAME)?, heard })
    }

    /// Hears until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        while let Some(came) = cancel.run_until_cancelled(self.listener.accept()).await {
            let heard = match came {
                Ok(mut stream) => {
                    timeout(PATIENCE, self.hear(&mut stream)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
                }
                Err(error) => {
                    // Out of file descriptors, say: not to be tried again in the same moment.
                    sleep(PATIENCE).await;
                    Err(error)
                }
            };
            if let Err(error) = heard {
                debug!(%error, "an order was not heard");
            }
        }
    }

    async fn hear(&self, stream: &mut Stream) -> io::Result<()> {
        let mut line = String::new();
        BufReader::new((&mut *stream).take(MAX_LINE)).read_line(&mut line).await?;
        let refused = match read(&line) {
            Ok(order) => self.heard.try_send(order).err().map(|_| "the node is busy: try again".to_owned()),
            Err(why) => Some(why),
        };
        let reply = Reply { version: VERSION, refused: refused.unwrap_or_default() };
        stream.write_all(&line_of(&reply)?).await
    }
}

/// An order, checked.
fn read(line: &str) -> Result<Order, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let no_order = || "that is no order".to_owned();
    let Version { version } = serde_json::from_str(line).map_err(|_| no_order())?;
    if version != VERSION {
        return Err(format!("the node's release speaks version {VERSION} and not {version}: update both alike"));
    }
    let Line { order, .. } = serde_json::from_str(line).map_err(|_| no_order())?;
    match order {
        Order::Pause { seconds: Some(seconds) } if seconds == 0 || seconds > LONGEST => {
            Err(format!("a pause lasts at most {} days", LONGEST / 86_400))
        }
        order => Ok(order),
    }
}

fn line_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

/// Says it to the node that runs with this data folder. False: there is none.
///
/// # Errors
/// When the node does not take it, and why.
pub(crate) async fn say(data: &Path, order: Order) -> io::Result<bool> {
    let Some(mut stream) = desk::connect(data, NAME).await? else { return Ok(false) };
    let said = async {
        stream.write_all(&line_of(&Line { version: VERSION, order })?).await?;
        let mut answer = String::new();
        BufReader::new((&mut stream).take(MAX_LINE)).read_line(&mut answer).await?;
        serde_json::from_str::<Reply>(&answer).map_err(io::Error::other)
    };
    // The node hears others first.
    let reply = timeout(4 * PATIENCE, said).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))?;
    if reply.refused.is_empty() { Ok(true) } else { Err(io::Error::other(reply.refused)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_read_back_and_others_are_refused() {
        let orders =
            [Order::Pause { seconds: None }, Order::Pause { seconds: Some(LONGEST) }, Order::Resume, Order::FullScreen];
        for order in orders {
            let line = line_of(&Line { version: VERSION, order }).unwrap();
            assert!(line.len() as u64 <= MAX_LINE);
            assert_eq!(read(std::str::from_utf8(&line).unwrap()), Ok(order));
        }
        for (line, said) in [
            ("", "no order"),
            ("{}", "no order"),
            (r#"{"version":2,"order":"fly"}"#, "version 1 and not 2"),
            (r#"{"version":1,"order":"fly"}"#, "no order"),
            (r#"{"version":1,"order":{"pause":{"seconds":0}}}"#, "at most 31 days"),
            (r#"{"version":1,"order":{"pause":{"seconds":2678401}}}"#, "at most 31 days"),
            (r#"{"version":1,"order":{"pause":{"seconds":-1}}}"#, "no order"),
            (r#"{"version":1,"order":"resume","more":1}"#, "no order"),
        ] {
            let refused = read(line).unwrap_err();
            assert!(refused.contains(said), "{line}: {refused}");
        }
    }

    #[tokio::test]
    async fn what_is_said_is_heard_and_a_flood_is_refused() {
        let data = tempfile::tempdir().unwrap();
        assert!(!say(data.path(), Order::Resume).await.unwrap(), "no node runs there");
        let (heard, mut orders) = mpsc::channel(1);
        let (stop, hears) = (CancellationToken::new(), Orders::open(data.path(), heard).unwrap());
        let running = tokio::spawn(hears.run(stop.clone()));
        // Somebody who says nothing, or too much, holds up nobody for long.
        let _silent = desk::connect(data.path(), NAME).await.unwrap().unwrap();
        let mut endless = desk::connect(data.path(), NAME).await.unwrap().unwrap();
        let _ = endless.write_all(&[b'x'; 4_096]).await;
        assert!(say(data.path(), Order::Pause { seconds: Some(9) }).await.unwrap());
        let refused = say(data.path(), Order::Resume).await.unwrap_err();
        assert!(refused.to_string().contains("busy"), "{refused}");
        assert_eq!(orders.recv().await, Some(Order::Pause { seconds: Some(9) }));
        stop.cancel();
        running.await.unwrap();
    }
}
