//! What is done with texts from strangers, for the fuzzer (`gateway/fuzz`) and for the tests alike: nothing may panic, and
//! whatever is refused is refused as the stranger's fault, in words that can be sent.

use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    error::ApiError,
    extract,
    openai::{self, error::ErrorAnswer},
    wire::{NewCharacter, NewConversation, NewInvite, NewKey, SetupRequest, SignInRequest, frames::ClientFrame},
};

/// The body of a request, as each of those that there are.
pub fn bodies(data: &[u8]) {
    openai::entries::taken(data);
    read::<SignInRequest>(data);
    read::<SetupRequest>(data);
    read::<NewCharacter>(data);
    read::<NewConversation>(data);
    read::<NewInvite>(data);
    read::<NewKey>(data);
}

/// A frame of the chat socket.
pub fn frames(data: &[u8]) {
    read::<ClientFrame>(data);
}

/// The body, where it is one.
pub(super) fn read<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    checked(extract::parse(data))
}

/// What there is; a refusal is looked at.
pub(super) fn checked<T>(result: Result<T, ApiError>) -> Option<T> {
    result.map_err(|error| look_at(&error)).ok()
}

fn look_at(error: &ApiError) {
    let refusal = error.refusal();
    assert!(refusal.status.is_client_error(), "{error}");
    assert!(!refusal.message.is_empty());
    let _ = json!(ErrorAnswer::from(refusal)).to_string();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Xorshift: the same damage in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % end.max(1) as u64).unwrap()
        }

        /// Some bytes other than they were, and now and then what JSON means something by.
        fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
            const WORDS: [&[u8]; 12] = [
                b"null",
                b"-1",
                b"1e999",
                b"[]",
                b"{}",
                b"\"\"",
                b"[[",
                b"\"\\ud800\"",
                b"true",
                b"4294967296",
                b",",
                b":",
            ];
            let mut bytes = bytes.to_vec();
            for _ in 0..=self.below(4) {
                let at = self.below(bytes.len() + 1);
                let end = (at + self.below(12)).min(bytes.len());
                match self.below(5) {
                    0 => drop(bytes.splice(at..end, WORDS[self.below(WORDS.len())].iter().copied())),
                    1 => drop(bytes.drain(at..end)),
                    2 => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
                    3 => bytes.truncate(at.max(1)),
                    _ => bytes.extend_from_within(at..end),
                }
            }
            bytes
        }
    }

    fn run(target: &str, copies: usize, entry: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty());
        let mut dice = Dice(0x5eed);
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            entry(&bytes);
            (0..copies).for_each(|_| entry(&dice.damaged(&bytes)));
        }
    }

    #[test]
    fn bodies() {
        run("bodies", 1_500, super::bodies);
    }

    #[test]
    fn frames() {
        run("frames", 3_000, super::frames);
    }

    #[test]
    fn what_the_corpus_asks_for_makes_sense() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/bodies");
        let taken = std::fs::read_dir(folder).unwrap().map(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            super::openai::entries::taken(&bytes)
        });
        // A chat, a response, two completions and an embedding.
        assert_eq!(taken.filter(|taken| *taken).count(), 5);
    }
}
