//! The header of a GGUF file (versions 2 and 3; format: `docs/gguf.md` in the ggml repository).

use std::collections::BTreeMap;
use std::io::Read;

use super::check;
use super::reader::{HeaderError, Reader, Value};
use super::tensor;

/// Most entries and most tensors. The largest models have a few thousand tensors.
const MAX_ENTRIES: u64 = 1 << 16;
/// ggml's own limit for the name of a tensor.
const MAX_TENSOR_NAME: u64 = 63;
/// ggml's own limit.
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// Names of `enum llama_ftype` in llama.h.
const FILE_TYPES: [(u64, &str); 34] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4"),
    (39, "NVFP4"),
];

/// What a model file says about itself; every entry and every tensor was checked.
#[derive(Debug)]
pub struct Header {
    entries: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Tensor>,
}

/// A tensor and where in the file its numbers lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// How its numbers are stored (`enum ggml_type` in ggml.h).
    pub kind: u32,
    /// Lengths, that of a row first; the reverse of the usual order, as the format has it.
    pub shape: Vec<u64>,
    /// First byte in the file.
    pub start: u64,
    /// Bytes that it takes.
    pub bytes: u64,
}

impl Header {
    /// Reads and checks the header of a file of `length` bytes.
    ///
    /// # Errors
    /// The first rule that the file breaks.
    pub fn read(source: impl Read, length: u64) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(source, length);
        let (tensors, entries) = read_counts(&mut reader)?;
        let header = Self { entries: read_entries(&mut reader, entries)?, tensors: BTreeMap::new() };
        check::entries(&header)?;
        let mut tensors = read_tensors(&mut reader, tensors, header.alignment()?)?;
        let data = reader.position().next_multiple_of(header.alignment()?);
        check::layout(&tensors, length.checked_sub(data).ok_or(HeaderError::TooShort)?)?;
        // All of them end within the file, so that this cannot overflow.
        tensors.values_mut().for_each(|tensor| tensor.start += data);
        Ok(Self { tensors, ..header })
    }

    /// The tensors by their names; each lies within the file and in nobody else's place.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The kind of network, such as `qwen3`.
    pub fn architecture(&self) -> &str {
        self.text("general.architecture").unwrap_or_default()
    }

    /// Tokens of context that the model was made for.
    pub fn context_tokens(&self) -> Option<u64> {
        self.number(&format!("{}.context_length", self.architecture()))
    }

    /// The Jinja source of its chat template.
    pub fn chat_template(&self) -> Option<&str> {
        self.text("tokenizer.chat_template")
    }

    /// How most of its weights are stored, such as `Q4_K_M` (`enum llama_ftype` in llama.h).
    pub fn quantisation(&self) -> Option<&'static str> {
        let number = self.number("general.file_type")?;
        FILE_TYPES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
    }

    /// An entry that is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.entries.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An entry that is a number from 0.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.entries.get(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// An entry that is a number of any kind from 0.
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.entries.get(key)? {
            Value::Float(number) => Some(*number),
            Value::Number(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// Entries of the network that may be one number for all layers or one for each; `layers` of them.
    pub(super) fn numbers(&self, key: &str, layers: usize) -> Option<Vec<u64>> {
        match self.entries.get(key)? {
            Value::Number(number) => Some(vec![*number; layers]),
            Value::Array { numbers, .. } if numbers.len() == layers => Some(numbers.clone()),
            _ => None,
        }
    }

    /// How many elements a list has.
    pub fn length(&self, key: &str) -> Option<u64> {
        match self.entries.get(key)? {
            Value::Array { length, .. } => Some(*length),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Made up by a test.
    #[cfg(test)]
    pub(super) fn of(entries: &[(&str, Value)]) -> Self {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Self { entries, tensors: BTreeMap::new() }
    }

    fn alignment(&self) -> Result<u64, HeaderError> {
        match self.get("general.alignment") {
            None => Ok(DEFAULT_ALIGNMENT),
            // The upper bound keeps rounding up from overflowing.
            Some(Value::Number(number)) if number.is_power_of_two() && *number <= 1 << 20 => Ok(*number),
            Some(_) => Err(HeaderError::broken("general.alignment is not a power of two")),
        }
    }
}

/// Magic and version, then how many tensors and how many entries.
fn read_counts<R: Read>(reader: &mut Reader<R>) -> Result<(u64, u64), HeaderError> {
    if reader.bytes::<4>()? != *b"GGUF" {
        return Err(HeaderError::broken("it does not start with GGUF"));
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(HeaderError::broken(format!("it has version {version}, known are 2 and 3")));
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    for (count, what) in [(tensors, "tensors"), (entries, "entries")] {
        if count == 0 || count > MAX_ENTRIES || count > reader.remaining() {
            return Err(HeaderError::broken(format!("it says that it has {count} {what}")));
        }
    }
    Ok((tensors, entries))
}

fn read_entries<R: Read>(reader: &mut Reader<R>, count: u64) -> Result<BTreeMap<String, Value>, HeaderError> {
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let key = reader.key()?;
        let value = reader.value(&key)?;
        if entries.contains_key(&key) {
            return Err(HeaderError::broken(format!("{key} occurs twice")));
        }
        entries.insert(key, value);
    }
    Ok(entries)
}

/// The tensors, each with its place relative to the first.
fn read_tensors<R: Read>(
    reader: &mut Reader<R>,
    count: u64,
    alignment: u64,
) -> Result<BTreeMap<String, Tensor>, HeaderError> {
    let mut tensors = BTreeMap::new();
    for _ in 0..count {
        let name = reader.name(MAX_TENSOR_NAME)?;
        let tensor = read_tensor(reader, &name, alignment)?;
        if tensors.contains_key(&name) {
            return Err(HeaderError::broken(format!("tensor {name} occurs twice")));
        }
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn read_tensor<R: Read>(reader: &mut Reader<R>, name: &str, alignment: u64) -> Result<Tensor, HeaderError> {
    let dimensions = reader.u32()?;
    if dimensions == 0 || dimensions > MAX_DIMENSIONS {
        return Err(HeaderError::broken(format!("tensor {name} has {dimensions} dimensions")));
    }
    let shape = (0..dimensions).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
    let kind = reader.u32()?;
    let start = reader.u64()?;
    let bytes = tensor::bytes(name, kind, &shape)?;
    if start.checked_add(bytes).is_none() || !start.is_multiple_of(alignment) {
        return Err(HeaderError::broken(format!("tensor {name} lies at an impossible place")));
    }
    Ok(Tensor { kind, shape, start, bytes })
}
