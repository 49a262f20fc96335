//! What an engine's process writes to its error stream.
//!
//! Its own log lines go into this process's log. Of what native code prints, only the kind of complaint that says why
//! it is about to end is kept, and cut short: anything else could quote a chat.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::time::timeout;

/// Longest line that is looked at; the rest of it is dropped.
const MAX_LINE: usize = 2048;
/// Longest complaint that is shown, in characters.
const MAX_COMPLAINT: usize = 200;
/// Bytes read in one go.
const CHUNK: usize = 4096;
/// For the last words of a dead process.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// What stands in a line of native code that gives up.
const COMPLAINTS: [&str; 5] = ["GGML_ASSERT(", "CUDA error", "out of memory", "memory allocation of", "bad_alloc"];
/// Those of them that are about memory; also Vulkan's words.
const MEMORY: [&str; 5] =
    ["out of memory", "memory allocation of", "bad_alloc", "ErrorOutOfDeviceMemory", "ErrorOutOfHostMemory"];
/// How the log lines of an engine's process begin, behind their level.
const OWN: &str = "starling_inference";

/// Why native code gave up, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) text: String,
    pub(super) memory: bool,
}

/// Listens to an error stream.
pub(super) struct Ear {
    stderr: ChildStderr,
    line: Vec<u8>,
    /// The first one: what comes after it is a consequence.
    complaint: Option<Complaint>,
    closed: bool,
}

impl Ear {
    pub(super) fn new(stderr: ChildStderr) -> Self {
        Self { stderr, line: Vec::new(), complaint: None, closed: false }
    }

    /// Takes in what was written; waits for ever when nothing more will be. Cancel safe.
    pub(super) async fn listen(&mut self) {
        if self.closed {
            return std::future::pending().await;
        }
        let mut chunk = [0; CHUNK];
        match self.stderr.read(&mut chunk).await {
            Ok(0) | Err(_) => self.closed = true,
            Ok(count) => chunk[..count].iter().for_each(|&byte| self.take(byte)),
        }
    }

    /// Listens to the end and gives the complaint, if there was one.
    pub(super) async fn last(&mut self) -> Option<Complaint> {
        // A process of its own could hold the stream open.
        let all = async {
            while !self.closed {
                self.listen().await;
            }
        };
        let _ = timeout(LAST_WORDS, all).await;
        self.take(b'\n');
        self.complaint.take()
    }

    fn take(&mut self, byte: u8) {
        if byte != b'\n' {
            if self.line.len() < MAX_LINE {
                self.line.push(byte);
            }
            return;
        }
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if !relay(&line) && self.complaint.is_none() {
            self.complaint = complaint(&line);
        }
    }
}

/// Puts a log line of ours into this process's log; false when it is none.
fn relay(line: &str) -> bool {
    let Some((level, rest)) = line.trim_start().split_once(' ') else { return false };
    let Some((target, message)) = rest.split_once(": ") else { return false };
    if !target.starts_with(OWN) {
        return false;
    }
    match level {
        "ERROR" => tracing::error!("{message}"),
        "WARN" => tracing::warn!("{message}"),
        "INFO" => tracing::info!("{message}"),
        "DEBUG" => tracing::debug!("{message}"),
        _ => return false,
    }
    true
}

fn complaint(line: &str) -> Option<Complaint> {
    let start = COMPLAINTS.iter().chain(&MEMORY).filter_map(|words| line.find(words)).min()?;
    let text = line[start..].chars().filter(|char| !char.is_control()).take(MAX_COMPLAINT).collect();
    Some(Complaint { text, memory: MEMORY.iter().any(|words| line.contains(words)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(&str, bool)>) {
        let got = complaint(line);
        let got = got.as_ref().map(|complaint| (complaint.text.as_str(), complaint.memory));
        assert_eq!(got, expected, "{line}");
    }

    #[test]
    fn only_what_ends_a_process_is_kept_and_paths_are_not() {
        check("/build/x/ggml.c:12: GGML_ASSERT(a == b) failed", Some(("GGML_ASSERT(a == b) failed", false)));
        check("CUDA error: out of memory", Some(("CUDA error: out of memory", true)));
        check("memory allocation of 99 bytes failed", Some(("memory allocation of 99 bytes failed", true)));
        check("what(): vk::Device: ErrorOutOfDeviceMemory", Some(("ErrorOutOfDeviceMemory", true)));
        check("the user said hello", None);
        let long = complaint(&format!("CUDA error: {}", "ü".repeat(999))).expect("it is one");
        assert_eq!(long.text.chars().count(), MAX_COMPLAINT);
    }

    #[test]
    fn log_lines_of_ours_are_known_by_their_target() {
        assert!(relay(" INFO starling_inference::engine: loaded"));
        assert!(!relay(" INFO somebody_else: loaded"));
        assert!(!relay("INFO"));
        assert!(!relay(""));
    }
}
