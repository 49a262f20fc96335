//! TensorRT-RTX: NVIDIA's library for the graphics cards of home computers.
//!
//! **By a small C shim and not by the crate `trtx`.** The library's interface is C++, so something has to be compiled
//! against its headers. `trtx` does that with autocxx: three minutes on two cores, libclang, some forty crates of which
//! several are unmaintained (`atty`, `proc-macro-error`), hence a feature that ordinary builds and checks go without.
//! `native/tensorrt.cpp` is compiled in under a second by the compiler that llama.cpp needs anyway, so that it is in
//! every build, on Linux as on Windows (with mingw clang compiles this one file, in Microsoft's layout of classes), and
//! has exactly what is asked of the library, progress included. Its headers lie beside it under the Apache licence. The
//! library itself is loaded when it is needed ([`Library`]), from where its user has put it.
//!
//! [`lower`] turns a neutral graph into a network of the library's, [`build`] an engine of it, for a card that need not
//! be here; [`file`] keeps the engine with what it was built from and for, [`memory`] says beforehand whether it fits,
//! and [`run`] computes with it, on the streams of [`lane`]. [`ladder`] tests all of that on a machine with a small model,
//! [`trial`] the engines of a model that is to be served, and [`choice`] decides by it whether they are used at all.

mod batch;
mod build;
pub mod choice;
pub mod cost;
mod cuda;
pub mod file;
mod kernels;
pub mod ladder;
mod lane;
mod library;
mod lower;
pub mod memory;
mod native;
mod network;
mod open;
mod run;
mod stored;
pub mod trial;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use build::no_library;
pub use build::{Build, Built, build, cached, cost, fits};
pub use library::{FILE, Library, LibraryError};
pub use open::Options;
pub(crate) use open::open;

/// The version of the library that engines are built and run with: its headers are in this program.
pub const VERSION: &str = "1.7.1.116";

/// In how many bits weights are kept; sums are made in 16 or 32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 16-bit floats.
    #[default]
    Fp16,
    /// 16-bit floats with the range of 32 bits.
    Bf16,
    /// Eight bits, a scale for each output.
    Int8,
    /// Four bits, a scale for each 128, 64 or 32 inputs of an output.
    Int4,
    /// Eight bits with an exponent; cards from Ada (8.9) on.
    Fp8,
}

impl Precision {
    /// All of them, as people write them.
    pub const ALL: [(&str, Self); 5] =
        [("fp16", Self::Fp16), ("bf16", Self::Bf16), ("int8", Self::Int8), ("int4", Self::Int4), ("fp8", Self::Fp8)];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, precision)| precision == self);
        f.write_str(known.map_or("?", |(name, _)| name))
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, precision)| *precision).ok_or_else(|| "must be fp16, bf16, int8, int4 or fp8".to_owned())
    }
}

/// A kind of card, by the compute capability that NVIDIA gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability(u32);

impl Capability {
    /// The kinds that this version of the library builds for.
    pub const KNOWN: [Self; 6] = [Self(75), Self(80), Self(86), Self(89), Self(120), Self(121)];
    /// Ada: an RTX 4070.
    pub const ADA: Self = Self(89);

    /// From the two numbers that a driver gives.
    ///
    /// # Errors
    /// When the library does not build for such a card.
    pub fn new(major: u32, minor: u32) -> Result<Self, String> {
        let known = (minor < 10).then(|| Self(major.saturating_mul(10).saturating_add(minor)));
        known.filter(|capability| Self::KNOWN.contains(capability)).ok_or_else(|| {
            let all: Vec<String> = Self::KNOWN.iter().map(ToString::to_string).collect();
            format!("TensorRT-RTX {VERSION} has no engines for compute capability {major}.{minor}: {}", all.join(", "))
        })
    }

    fn number(self) -> i32 {
        i32::try_from(self.0).unwrap_or_default()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = parts.ok_or_else(|| "must be a compute capability such as 8.9".to_owned())?;
        Self::new(major, minor)
    }
}

impl TryFrom<String> for Capability {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.to_string()
    }
}

#[cfg(test)]
mod tests;
