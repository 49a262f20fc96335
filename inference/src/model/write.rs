//! Writes a GGUF file (version 3; format: `docs/gguf.md` in the ggml repository). The same input gives the same bytes.

use std::io::{self, Write};

use super::float::half;
use super::reader::{KIND_F32, KIND_I32, KIND_TEXT};

const ALIGNMENT: u64 = 32;
const KIND_U32: u32 = 4;
const KIND_BOOL: u32 = 7;
const KIND_ARRAY: u32 = 9;

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Four bytes each.
    Full,
    /// Two bytes each.
    Half,
    /// `Q8_0`: blocks of 32, each a scale of two bytes and a byte for each number.
    Blocks,
    /// In blocks of another kind.
    Other {
        /// The type's number in the format.
        kind: u32,
        /// Numbers in a block.
        numbers: u64,
        /// Bytes of a block.
        bytes: u64,
    },
}

impl Precision {
    /// The type's number in the format, and the bytes of so many numbers.
    fn layout(self, numbers: u64) -> (u32, u64) {
        match self {
            Self::Full => (0, numbers * 4),
            Self::Half => (1, numbers * 2),
            Self::Blocks => (8, numbers / 32 * 34),
            Self::Other { kind, numbers: each, bytes } => (kind, numbers / each * bytes),
        }
    }
}

/// A header that grows; the tensors' data is written behind it, in the order in which they were announced.
#[derive(Default)]
pub struct Header {
    entries: Vec<u8>,
    entry_count: u64,
    tensors: Vec<u8>,
    tensor_count: u64,
    /// Where the next tensor begins, behind the header.
    data: u64,
}

impl Header {
    /// A text.
    pub fn text(&mut self, key: &str, value: &str) {
        self.entry(key, KIND_TEXT);
        text(&mut self.entries, value);
    }

    /// A whole number.
    pub fn number(&mut self, key: &str, value: u32) {
        self.entry(key, KIND_U32);
        self.entries.extend(value.to_le_bytes());
    }

    /// A number.
    pub fn float(&mut self, key: &str, value: f32) {
        self.entry(key, KIND_F32);
        self.entries.extend(value.to_le_bytes());
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.entry(key, KIND_BOOL);
        self.entries.push(value.into());
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &str, values: &[String]) {
        self.array(key, KIND_TEXT, values.len());
        values.iter().for_each(|value| text(&mut self.entries, value));
    }

    /// A list of whole numbers.
    pub fn integers(&mut self, key: &str, values: &[i32]) {
        self.array(key, KIND_I32, values.len());
        values.iter().for_each(|value| self.entries.extend(value.to_le_bytes()));
    }

    /// Announces a tensor; its rows are as long as the last number of `shape`.
    pub fn tensor(&mut self, name: &str, shape: &[u64], precision: Precision) {
        text(&mut self.tensors, name);
        self.tensors.extend(u32::try_from(shape.len()).unwrap_or(u32::MAX).to_le_bytes());
        // The format counts from the other end.
        shape.iter().rev().for_each(|length| self.tensors.extend(length.to_le_bytes()));
        let (kind, bytes) = precision.layout(shape.iter().product());
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend(self.data.to_le_bytes());
        self.tensor_count += 1;
        self.data = (self.data + bytes).next_multiple_of(ALIGNMENT);
    }

    /// Writes all of it, up to where the first tensor begins.
    ///
    /// # Errors
    /// When `to` cannot be written.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut start = Vec::from(*b"GGUF");
        start.extend(3_u32.to_le_bytes());
        start.extend(self.tensor_count.to_le_bytes());
        start.extend(self.entry_count.to_le_bytes());
        for part in [&start, &self.entries, &self.tensors] {
            to.write_all(part)?;
        }
        pad(to, start.len() + self.entries.len() + self.tensors.len())
    }

    fn entry(&mut self, key: &str, kind: u32) {
        self.entry_count += 1;
        text(&mut self.entries, key);
        self.entries.extend(kind.to_le_bytes());
    }

    fn array(&mut self, key: &str, kind: u32, length: usize) {
        self.entry(key, KIND_ARRAY);
        self.entries.extend(kind.to_le_bytes());
        self.entries.extend((length as u64).to_le_bytes());
    }
}

/// Writes the next tensor, whose bytes are in its precision's form already, and fills up to where the one behind it
/// begins.
///
/// # Errors
/// When `to` cannot be written.
pub fn tensor(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    pad(to, bytes.len())
}

/// Four bytes for each number.
#[must_use]
pub fn full(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Two bytes for each number, rounded to the nearest.
#[must_use]
pub fn halves(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| half(*value).to_le_bytes()).collect()
}

fn pad(to: &mut impl Write, written: usize) -> io::Result<()> {
    let written = written as u64;
    let missing = written.next_multiple_of(ALIGNMENT) - written;
    to.write_all(&[0; ALIGNMENT as usize][..usize::try_from(missing).unwrap_or_default()])
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}
