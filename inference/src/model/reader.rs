//! Reads a GGUF header piece by piece and never more than the file can hold.

use std::collections::HashSet;
use std::io::{BufReader, Read};

/// Longest text that is kept; chat templates are the longest, at some 20 kB.
const MAX_TEXT: u64 = 1 << 20;
/// Longest name of a key. The format's own limit.
const MAX_KEY: u64 = 65_535;

/// Why a header cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file ends inside its header, or says that something is longer than the file.
    #[error("it ends too early, the file is cut off or damaged")]
    TooShort,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(String),
    /// It breaks a rule of the format.
    #[error("{0}")]
    Broken(String),
}

impl HeaderError {
    /// Says which rule.
    pub(super) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }
}

/// Longest list of numbers that is kept: one for each layer of a model.
const MAX_NUMBERS: u64 = 512;

/// A value of the header; arrays are checked and of most only their kind and length kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Any integer that is not negative, and `bool`.
    Number(u64),
    /// A number with a fraction, such as an epsilon.
    Float(f64),
    /// Negative integers, which nobody here asks for.
    Other,
    /// Text of at most a megabyte.
    Text(String),
    /// An array.
    Array {
        /// Its elements' type number in the format.
        kind: u32,
        /// How many.
        length: u64,
        /// A short list of whole numbers; of any other list nothing.
        numbers: Vec<u64>,
    },
}

pub(super) const KIND_I32: u32 = 5;
pub(super) const KIND_F32: u32 = 6;
pub(super) const KIND_TEXT: u32 = 8;
const KIND_BOOL: u32 = 7;
const KIND_ARRAY: u32 = 9;

/// A file with a position in it.
pub(super) struct Reader<R> {
    source: BufReader<R>,
    remaining: u64,
    length: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(source: R, length: u64) -> Self {
        Self { source: BufReader::new(source), remaining: length, length }
    }

    pub(super) fn position(&self) -> u64 {
        self.length - self.remaining
    }

    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, HeaderError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, HeaderError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// A name of at most `most` bytes.
    pub(super) fn name(&mut self, most: u64) -> Result<String, HeaderError> {
        let length = self.u64()?;
        if length == 0 || length > most {
            return Err(HeaderError::broken(format!("a name of {length} bytes")));
        }
        let bytes = self.take(length)?;
        String::from_utf8(bytes).map_err(|_| HeaderError::broken("a name that is not text"))
    }

    pub(super) fn key(&mut self) -> Result<String, HeaderError> {
        self.name(MAX_KEY)
    }

    /// The value of `key`, type first.
    pub(super) fn value(&mut self, key: &str) -> Result<Value, HeaderError> {
        match self.u32()? {
            KIND_ARRAY => self.array(key),
            KIND_TEXT => {
                let length = self.u64()?;
                if length > MAX_TEXT {
                    return Err(HeaderError::broken(format!("{key} is a text of {length} bytes")));
                }
                // Names may come in odd encodings; only what is compared has to be exact.
                Ok(Value::Text(String::from_utf8_lossy(&self.take(length)?).into_owned()))
            }
            kind => self.scalar(key, kind),
        }
    }

    fn scalar(&mut self, key: &str, kind: u32) -> Result<Value, HeaderError> {
        let signed = |value: i64| u64::try_from(value).map_or(Value::Other, Value::Number);
        Ok(match kind {
            0 => Value::Number(self.bytes::<1>()?[0].into()),
            KIND_BOOL => match self.bytes::<1>()?[0] {
                bit @ 0..=1 => Value::Number(bit.into()),
                _ => return Err(HeaderError::broken(format!("{key} is neither true nor false"))),
            },
            1 => signed(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Number(u16::from_le_bytes(self.bytes()?).into()),
            3 => signed(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Number(self.u32()?.into()),
            KIND_I32 => signed(i32::from_le_bytes(self.bytes()?).into()),
            KIND_F32 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            10 => Value::Number(self.u64()?),
            11 => signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            _ => return Err(HeaderError::broken(format!("{key} has the unknown type {kind}"))),
        })
    }

    fn array(&mut self, key: &str) -> Result<Value, HeaderError> {
        let kind = self.u32()?;
        let length = self.u64()?;
        let size = match kind {
            0 | 1 | KIND_BOOL => 1,
            2 | 3 => 2,
            4 | KIND_I32 | KIND_F32 => 4,
            10..=12 => 8,
            KIND_TEXT => {
                self.texts(key, length)?;
                return Ok(Value::Array { kind, length, numbers: Vec::new() });
            }
            _ => return Err(HeaderError::broken(format!("{key} is a list of the unknown type {kind}"))),
        };
        if length <= MAX_NUMBERS && size > 1 {
            return Ok(Value::Array { kind, length, numbers: self.numbers(key, kind, length)? });
        }
        self.skip(length.checked_mul(size).ok_or(HeaderError::TooShort)?)?;
        Ok(Value::Array { kind, length, numbers: Vec::new() })
    }

    /// Nothing when one of them is no whole number from 0.
    fn numbers(&mut self, key: &str, kind: u32, length: u64) -> Result<Vec<u64>, HeaderError> {
        let values = (0..length).map(|_| self.scalar(key, kind)).collect::<Result<Vec<_>, _>>()?;
        let number = |value| if let Value::Number(number) = value { Some(number) } else { None };
        Ok(values.into_iter().map(number).collect::<Option<_>>().unwrap_or_default())
    }

    /// A list of texts. Tokens that are not empty have to differ: llama.cpp aborts otherwise.
    fn texts(&mut self, key: &str, length: u64) -> Result<(), HeaderError> {
        // Each text has a length of eight bytes in front.
        if length > self.remaining / 8 {
            return Err(HeaderError::TooShort);
        }
        let distinct = key == "tokenizer.ggml.tokens";
        let mut seen = HashSet::new();
        for index in 0..length {
            let bytes = self.u64()?;
            if !distinct || bytes > MAX_KEY {
                self.skip(bytes)?;
            } else if !seen.insert(self.take(bytes)?) && bytes > 0 {
                return Err(HeaderError::broken(format!("token {index} occurs twice")));
            }
        }
        Ok(())
    }

    fn take(&mut self, length: u64) -> Result<Vec<u8>, HeaderError> {
        self.claim(length)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| HeaderError::TooShort)?];
        self.source.read_exact(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> Result<(), HeaderError> {
        self.claim(length)?;
        let skipped = std::io::copy(&mut self.source.by_ref().take(length), &mut std::io::sink()).map_err(io)?;
        if skipped == length { Ok(()) } else { Err(HeaderError::TooShort) }
    }

    /// Counts bytes before they are read or room is made for them.
    fn claim(&mut self, length: u64) -> Result<(), HeaderError> {
        self.remaining = self.remaining.checked_sub(length).ok_or(HeaderError::TooShort)?;
        Ok(())
    }
}

fn io(error: std::io::Error) -> HeaderError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => HeaderError::TooShort,
        _ => HeaderError::Io(error.to_string()),
    }
}
