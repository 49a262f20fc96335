//! Identifiers that cannot be wrong: parsed at the door, compared by value.

use std::{fmt, str::FromStr};

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use thiserror::Error;
use uuid::Uuid;

/// One request for computation; the same over all of its attempts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Uuid);

impl JobId {
    /// A fresh id; ids made later sort later.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

/// The SHA-256 of a model file's content: two nodes mean the same by a model exactly when these agree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId([u8; 32]);

impl ModelId {
    /// Wraps a SHA-256 digest.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Why a text is not an identifier.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum IdError {
    /// Not a job id.
    #[error("a job id is a UUID")]
    Job,
    /// Not a model id.
    #[error("a model id is 64 hexadecimal digits")]
    Model,
}

impl FromStr for JobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| IdError::Job)
    }
}

impl FromStr for ModelId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut digest = [0; 32];
        read_hex(text, &mut digest).ok_or(IdError::Model)?;
        Ok(Self(digest))
    }
}

/// Fills `bytes` from exactly as many pairs of hexadecimal digits; in place, since some are secret.
pub(crate) fn read_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(())
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first 12 digits: enough for a log.
impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C> Encode<C> for JobId {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.bytes(self.0.as_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for JobId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let bytes = d.bytes()?.try_into().map_err(|_| decode::Error::message("a job id has 16 bytes"))?;
        Ok(Self(Uuid::from_bytes(bytes)))
    }
}

impl<C> Encode<C> for ModelId {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for ModelId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let bytes = d.bytes()?.try_into().map_err(|_| decode::Error::message("a model id has 32 bytes"))?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_ids_read_back_what_they_show() {
        let id = ModelId::new(std::array::from_fn(|i| (i * 7) as u8));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("zz".repeat(32).parse::<ModelId>(), Err(IdError::Model));
        assert_eq!("+1".repeat(32).parse::<ModelId>(), Err(IdError::Model));
        assert_eq!("é".repeat(32).parse::<ModelId>(), Err(IdError::Model));
    }

    #[test]
    fn ids_survive_the_wire() {
        let job = JobId::generate();
        assert_eq!(job.to_string().parse(), Ok(job));
        assert_eq!("job 1".parse::<JobId>(), Err(IdError::Job));
        let bytes = minicbor::to_vec(job).unwrap();
        assert_eq!(minicbor::decode::<JobId>(&bytes).unwrap(), job);
        assert!(minicbor::decode::<ModelId>(&bytes).is_err(), "16 bytes are not a model id");
    }
}
