//! Reads tensors of a safetensors file: eight bytes of length, a JSON header, the data. Nothing that the header says is
//! believed before it was compared with the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::ConvertError;
use crate::model::float::{from_bfloat, from_half};

/// Longest header; that of a BERT has some 50 kB.
const MAX_HEADER: u64 = 16 << 20;

/// An open file.
pub(crate) struct Safetensors {
    file: File,
    /// Where the data begins.
    data: u64,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Safetensors {
    pub(crate) fn open(path: &Path) -> Result<Self, ConvertError> {
        let unreadable = |error| ConvertError::unreadable(path, error);
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut prefix = [0; 8];
        file.read_exact(&mut prefix).map_err(unreadable)?;
        let header = u64::from_le_bytes(prefix);
        let data = 8_u64.checked_add(header).filter(|data| header <= MAX_HEADER && *data <= length);
        let data = data.ok_or_else(|| ConvertError::bad(path, "its header is longer than the file"))?;
        let mut json = vec![0; usize::try_from(header).unwrap_or_default()];
        file.read_exact(&mut json).map_err(unreadable)?;
        let entries: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&json).map_err(|_| ConvertError::bad(path, "its header is not JSON"))?;
        let mut tensors = BTreeMap::new();
        for (name, entry) in entries.into_iter().filter(|(name, _)| name != "__metadata__") {
            let entry: Entry = serde_json::from_value(entry)
                .map_err(|_| ConvertError::bad(path, format!("tensor {name:?} is not described")))?;
            if !entry.fits(length - data) {
                return Err(ConvertError::bad(path, format!("tensor {name:?} lies at an impossible place")));
            }
            tensors.insert(name, entry);
        }
        Ok(Self { file, data, tensors })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The numbers of a tensor, which must have this shape; with or without the name of the network in front.
    pub(crate) fn read(&mut self, name: &str, shape: &[u64]) -> Result<Vec<f32>, ConvertError> {
        let inside = Path::new("model.safetensors");
        let found = self.tensors.get(name).or_else(|| self.tensors.get(&format!("bert.{name}")));
        let entry = found.ok_or_else(|| ConvertError::bad(inside, format!("tensor {name} is missing")))?;
        if entry.shape != shape {
            let what = format!("tensor {name} has the shape {:?} and not {shape:?}", entry.shape);
            return Err(ConvertError::bad(inside, what));
        }
        let [start, end] = entry.data_offsets;
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or_default()];
        let unreadable = |error| ConvertError::unreadable(inside, error);
        self.file.seek(SeekFrom::Start(self.data + start)).map_err(unreadable)?;
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        let values = floats(&entry.dtype, &bytes).ok_or_else(|| {
            ConvertError::bad(inside, format!("tensor {name} is of {} and not of floats", entry.dtype))
        })?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(ConvertError::bad(inside, format!("tensor {name} holds what is no number")));
        }
        Ok(values)
    }
}

impl Entry {
    /// Whether it lies within `room` bytes and is as long as its shape says.
    fn fits(&self, room: u64) -> bool {
        let [start, end] = self.data_offsets;
        let size = match self.dtype.as_str() {
            "F64" | "I64" | "U64" => 8,
            "F32" | "I32" | "U32" => 4,
            "F16" | "BF16" | "I16" | "U16" => 2,
            "I8" | "U8" | "BOOL" => 1,
            _ => return false,
        };
        let bytes = self.shape.iter().try_fold(size, |bytes: u64, length| bytes.checked_mul(*length));
        start <= end && end <= room && bytes == Some(end - start)
    }
}

fn floats(dtype: &str, bytes: &[u8]) -> Option<Vec<f32>> {
    match dtype {
        "F32" => Some(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        "F16" => Some(bytes.as_chunks::<2>().0.iter().map(|bytes| from_half(u16::from_le_bytes(*bytes))).collect()),
        "BF16" => Some(bytes.as_chunks::<2>().0.iter().map(|bytes| from_bfloat(u16::from_le_bytes(*bytes))).collect()),
        _ => None,
    }
}
