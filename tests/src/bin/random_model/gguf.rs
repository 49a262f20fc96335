//! The GGUF format, version 3, as far as a model of our own needs it.

use std::io::{self, Write};

const ALIGNMENT: u64 = 32;
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// How a tensor's numbers are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    /// Blocks of 32: a 16-bit scale and 32 bytes.
    Q8_0,
}

/// A tensor to be written; the first number of its shape is the length of a row.
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) kind: Kind,
}

impl Tensor {
    pub(crate) fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    fn bytes(&self) -> u64 {
        match self.kind {
            Kind::F32 => self.elements() * 4,
            Kind::Q8_0 => self.elements() / 32 * 34,
        }
    }

    /// Up to the next tensor's place.
    pub(crate) fn padding(&self) -> u64 {
        self.bytes().next_multiple_of(ALIGNMENT) - self.bytes()
    }
}

/// Keys and values, already in the format's form.
#[derive(Default)]
pub(crate) struct Header {
    entries: u64,
    bytes: Vec<u8>,
}

impl Header {
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key, TEXT);
        put_text(&mut self.bytes, value);
    }

    pub(crate) fn number(&mut self, key: &str, value: u32) {
        self.key(key, U32);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn float(&mut self, key: &str, value: f32) {
        self.key(key, F32);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.key(key, BOOL);
        self.bytes.push(u8::from(value));
    }

    pub(crate) fn texts(&mut self, key: &str, values: Vec<String>) {
        self.list(key, TEXT, values.len());
        values.iter().for_each(|value| put_text(&mut self.bytes, value));
    }

    pub(crate) fn numbers(&mut self, key: &str, values: Vec<i32>) {
        self.list(key, I32, values.len());
        values.iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
    }

    /// Everything before the tensors' numbers.
    pub(crate) fn write(&self, tensors: &[Tensor], out: &mut impl Write) -> io::Result<()> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(&self.bytes);
        let mut place = 0;
        for tensor in tensors {
            put_text(&mut bytes, &tensor.name);
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|length| bytes.extend(length.to_le_bytes()));
            let kind: u32 = if tensor.kind == Kind::F32 { 0 } else { 8 };
            bytes.extend(kind.to_le_bytes());
            bytes.extend(u64::to_le_bytes(place));
            place += tensor.bytes() + tensor.padding();
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        out.write_all(&bytes)
    }

    fn key(&mut self, key: &str, kind: u32) {
        self.entries += 1;
        put_text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn list(&mut self, key: &str, kind: u32, length: usize) {
        self.key(key, ARRAY);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((length as u64).to_le_bytes());
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
