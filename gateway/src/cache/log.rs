//! The log of something that runs, such as an answer: who owns it appends, others read on from where they are.
//!
//! Outside it is one string of sealed entries behind a mark. A log that was lost, or grew too long, is begun anew by
//! its writer under another mark, and read from its beginning.

use std::time::Duration;

use super::seal::Seal;
use crate::secret;

/// A log that nobody writes any more is gone after this.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);
/// A longer one is begun anew, in bytes.
const MAX_LOG: u64 = 8 << 20;
/// The longest entry that is believed, in bytes.
const MAX_ENTRY: usize = 16 << 20;
/// Bytes of the mark. Its beginning is no length of an entry: what was appended to a log that was gone has no mark.
pub(super) const MARK: usize = 8;
/// Bytes of an entry's length.
const LENGTH: usize = 4;

/// Who writes a log.
pub struct LogWriter {
    pub(super) name: String,
    mark: [u8; MARK],
    /// What it should be long; 0 before it is there.
    length: u64,
}

/// Where a reader is in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    mark: [u8; MARK],
    at: usize,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// These are from its beginning, and stand for all that was read before.
    pub anew: bool,
    /// The next entries.
    pub entries: Vec<Vec<u8>>,
    /// Where the reader is then.
    pub place: Place,
}

impl LogWriter {
    /// A log of this name, not written yet.
    #[must_use]
    pub fn new(name: String) -> Self {
        let mut mark: [u8; MARK] = secret::random();
        mark[LENGTH - 1] |= 0x80;
        Self { name, mark, length: 0 }
    }

    /// Whether the next entries have to say all that there is.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.length == 0
    }

    /// Nobody knows what is there: the next entries begin anew.
    pub fn lost(&mut self) {
        *self = Self::new(std::mem::take(&mut self.name));
    }

    /// The bytes to write: all of the log when it is new, else its end.
    pub(super) fn bytes(&self, seal: &Seal, key: &str, entries: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = if self.is_new() { self.mark.to_vec() } else { vec![] };
        for entry in entries {
            let sealed = seal.seal(key, entry);
            bytes.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(&sealed);
        }
        bytes
    }

    /// So many bytes were written, and it is so long now.
    pub(super) fn wrote(&mut self, bytes: usize, length: u64) {
        self.length += bytes as u64;
        if self.length != length || length > MAX_LOG {
            self.lost();
        }
    }
}

impl Place {
    /// Behind which byte to read on.
    pub(super) fn at(self) -> usize {
        self.at.max(MARK)
    }

    /// What these bytes say: the mark that is there, and what stands behind the place. `None` when the place is in
    /// another log: then it has to be read from its beginning.
    pub(super) fn read(self, seal: &Seal, key: &str, mark: &[u8], behind: &[u8]) -> Option<Chunk> {
        let mark: [u8; MARK] = mark.try_into().ok()?;
        if mark[LENGTH - 1] & 0x80 == 0 {
            return None;
        }
        let anew = self.at == 0;
        if !anew && mark != self.mark {
            return None;
        }
        let (mut rest, mut entries, mut at) = (behind, vec![], self.at());
        while let Some((length, body)) = rest.split_first_chunk::<LENGTH>() {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_ENTRY)?;
            let Some((sealed, behind)) = body.split_at_checked(length) else { break };
            entries.push(seal.open(key, sealed)?);
            (rest, at) = (behind, at + LENGTH + length);
        }
        Some(Chunk { anew, entries, place: Self { mark, at } })
    }
}

#[cfg(test)]
mod tests {
    use starling_protocol::membership::SwarmKey;
    use zeroize::Zeroizing;

    use super::*;

    /// As Redis would: what is new takes the place of what was there.
    fn write(log: &mut Vec<u8>, writer: &mut LogWriter, seal: &Seal, entries: &[&str]) {
        let entries: Vec<Vec<u8>> = entries.iter().map(|entry| entry.as_bytes().to_vec()).collect();
        let bytes = writer.bytes(seal, "k", &entries);
        if writer.is_new() {
            log.clear();
        }
        log.extend_from_slice(&bytes);
        writer.wrote(bytes.len(), log.len() as u64);
    }

    fn read(log: &[u8], place: &mut Place, seal: &Seal) -> Option<(bool, Vec<String>)> {
        let behind = log.get(place.at()..).unwrap_or_default();
        let chunk = place.read(seal, "k", log.get(..MARK).unwrap_or_default(), behind)?;
        *place = chunk.place;
        Some((chunk.anew, chunk.entries.into_iter().map(|entry| String::from_utf8(entry).unwrap()).collect()))
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_begins_anew_when_the_log_does() {
        let seal = Seal::new(SwarmKey::generate().unwrap().id(), &Zeroizing::new([7; 32]));
        let (mut log, mut writer, mut place) = (vec![], LogWriter::new("t".into()), Place::default());
        let words = |anew: bool, words: &[&str]| Some((anew, words.iter().map(|w| (*w).to_owned()).collect()));
        assert_eq!(read(&log, &mut place, &seal), None, "there is none yet");
        write(&mut log, &mut writer, &seal, &["a", "b"]);
        assert!(!writer.is_new());
        assert_eq!(read(&log, &mut place, &seal), words(true, &["a", "b"]));
        assert_eq!(read(&log, &mut place, &seal), words(false, &[]));
        write(&mut log, &mut writer, &seal, &["c"]);
        let cut = log.len() - 1;
        assert_eq!(read(&log[..cut], &mut place, &seal), words(false, &[]), "half an entry is none");
        assert_eq!(read(&log, &mut place, &seal), words(false, &["c"]));

        log.clear();
        write(&mut log, &mut writer, &seal, &["d"]);
        assert!(writer.is_new(), "it sees that the log was lost");
        assert!(place.read(&seal, "k", &log[..MARK.min(log.len())], b"").is_none(), "what is there is nobody's");
        for behind in [&b""[..], b"\x01\0\0\0"] {
            assert_eq!(Place::default().read(&seal, "k", &log[..MARK], behind), None, "and no log of its own");
        }
        write(&mut log, &mut writer, &seal, &["a", "b", "c", "d"]);
        assert_eq!(read(&log, &mut place, &seal), None, "the place is in another log");
        place = Place::default();
        assert_eq!(read(&log, &mut place, &seal), words(true, &["a", "b", "c", "d"]));

        let (mut forged, mut at) = (log.clone(), place);
        forged.extend_from_slice(&[1, 0, 0, 0, 9]);
        assert_eq!(read(&forged, &mut at, &seal), None, "a stranger's entry is not believed");
        let large = "x".repeat(5 << 20);
        write(&mut log, &mut writer, &seal, &[&large]);
        assert!(!writer.is_new());
        write(&mut log, &mut writer, &seal, &[&large]);
        assert!(writer.is_new(), "a log that is too long begins anew");
    }
}
