//! Reads the header of a file of which only the beginning is there.

use std::io::{self, Read};

use super::{Header, HeaderError, check, one_line};

/// What the beginning of a file says.
#[derive(Debug)]
pub enum Peek {
    /// The header is longer than what is there.
    More,
    /// The header is good, and of a model that can be served.
    Good(Header),
    /// The file is of no use, however it goes on.
    Bad(String),
}

/// Reads and checks the header at the start of `source`, which will be a file of `total` bytes once it is whole.
pub fn peek(source: impl Read, total: u64) -> Peek {
    let mut source = Beginning { source, ended: false };
    match Header::read(&mut source, total) {
        Err(HeaderError::TooShort) if source.ended => Peek::More,
        Err(problem) => Peek::Bad(one_line(&problem.to_string())),
        Ok(header) => match check::servable(&header) {
            Ok(()) => Peek::Good(header),
            Err(reason) => Peek::Bad(reason.to_owned()),
        },
    }
}

/// Knows whether somebody wanted more than there was.
struct Beginning<R> {
    source: R,
    ended: bool,
}

impl<R: Read> Read for Beginning<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.ended |= length == 0 && !buffer.is_empty();
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_good_file_is_enough_once_it_is_long_enough() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/swarm-demo-3M-q8_0.gguf");
        let bytes = std::fs::read(file).unwrap();
        let look = |length: usize| peek(&bytes[..length], bytes.len() as u64);
        for length in [0, 3, 100, 30_000] {
            assert!(matches!(look(length), Peek::More), "{length}");
        }
        assert!(matches!(look(200_000), Peek::Good(header) if header.architecture() == "qwen3"));
        assert!(matches!(look(bytes.len()), Peek::Good(_)));
    }

    #[test]
    fn garbage_is_known_by_its_first_bytes() {
        let page = b"<!DOCTYPE html>".repeat(10);
        assert!(matches!(peek(&page[..], 1 << 30), Peek::Bad(problem) if problem.contains("start with GGUF")));
        // An entry that says that it is longer than the file.
        let mut long = b"GGUF\x03\0\0\0\x10\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0a\x08\0\0\0".to_vec();
        long.extend((1_u64 << 19).to_le_bytes());
        long.extend([b' '; 100]);
        assert!(matches!(peek(&long[..], 1000), Peek::Bad(_)));
        assert!(matches!(peek(&long[..], 1 << 30), Peek::More));
    }
}
