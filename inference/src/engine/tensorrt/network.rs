//! A network of the library's while it grows, and the engine that comes of it.
#![expect(unsafe_code, reason = "a library of C++ behind a shim of C")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::native::{self, Object, Owned};
use super::{Capability, Library, LibraryError};

/// Dimensions at the most; the library's own limit.
const MAX_DIMENSIONS: usize = 8;

/// What numbers are stored as: `nvinfer1::DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float = 0,
    Half = 1,
    Int8 = 2,
    Int32 = 3,
    Bool = 4,
    Fp8 = 6,
    Bfloat = 7,
    Int64 = 8,
    Int4 = 9,
}

impl Kind {
    /// How many numbers so many bytes hold.
    fn numbers(self, bytes: usize) -> usize {
        match self {
            Self::Int4 => bytes * 2,
            Self::Int8 | Self::Fp8 | Self::Bool => bytes,
            Self::Half | Self::Bfloat => bytes / 2,
            Self::Float | Self::Int32 => bytes / 4,
            Self::Int64 => bytes / 8,
        }
    }
}

/// Why a network does not grow, or no engine comes of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetworkError {
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("TensorRT-RTX refuses {what}: {said}")]
    Refused { what: &'static str, said: String },
    #[error("the graph has no end")]
    Empty,
    #[error("it was given up")]
    Stopped,
}

/// A value of the network that made it: its place in that network's list, so that it cannot outlive what it points to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor(usize);

/// An object of the library's that grows.
pub(super) struct Network<'l> {
    // In this order: what was made of an object goes before it.
    network: Owned,
    profile: Object,
    builder: Owned,
    library: &'l Library,
    tensors: Vec<Object>,
    /// The library reads constants when it builds, from where they lie.
    constants: Vec<Vec<u8>>,
}

/// Lengths of a dimension at the least, as a rule, and at the most.
pub(super) type Range = (usize, usize, usize);

impl<'l> Network<'l> {
    pub(super) fn new(library: &'l Library) -> Result<Self, NetworkError> {
        let builder = library.builder()?;
        let refused = |what| NetworkError::Refused { what, said: library.said() };
        // SAFETY: the builder lives as long as the network and the profile, which belongs to it.
        let (network, profile) = unsafe {
            let network = native::starling_trt_network_new(builder.get());
            (Owned::new(network, native::starling_trt_network_free), native::starling_trt_profile(builder.get()))
        };
        let network = network.ok_or_else(|| refused("a network"))?;
        if profile.is_null() {
            return Err(refused("a profile"));
        }
        Ok(Self { network, profile, builder, library, tensors: Vec::new(), constants: Vec::new() })
    }

    /// An input; `None` is a length that each computation chooses, within its range.
    pub(super) fn input(
        &mut self,
        name: &str,
        kind: Kind,
        lengths: &[Option<usize>],
        range: &[Range],
    ) -> Result<Tensor, NetworkError> {
        let refused = || NetworkError::Refused { what: "an input", said: self.library.said() };
        let text = CString::new(name).map_err(|_| refused())?;
        let lengths: Vec<i64> = lengths.iter().map(|length| length.map_or(-1, |length| length as i64)).collect();
        let of = |part: fn(&Range) -> usize| range.iter().map(|range| part(range) as i64).collect::<Vec<i64>>();
        let (least, usual, most) = (of(|range| range.0), of(|range| range.1), of(|range| range.2));
        let count = dimensions(&lengths);
        // SAFETY: pointers and counts belong together, and the library copies names and lengths.
        let tensor = unsafe {
            let fits = native::starling_trt_profile_lengths(
                self.profile,
                text.as_ptr(),
                count,
                least.as_ptr(),
                usual.as_ptr(),
                most.as_ptr(),
            );
            if !fits {
                return Err(refused());
            }
            native::starling_trt_input(self.network.get(), text.as_ptr(), kind as i32, count, lengths.as_ptr())
        };
        self.keep("an input", tensor)
    }

    /// Numbers that never change, as bytes of `kind`.
    pub(super) fn constant(&mut self, kind: Kind, bytes: Vec<u8>, lengths: &[usize]) -> Result<Tensor, NetworkError> {
        let lengths: Vec<i64> = lengths.iter().map(|length| *length as i64).collect();
        let amount: i64 = lengths.iter().product();
        if usize::try_from(amount) != Ok(kind.numbers(bytes.len())) {
            return Err(NetworkError::Refused { what: "a constant", said: "its lengths are not its own".into() });
        }
        // SAFETY: the bytes are as many as `amount` of their kind need; they are kept where they are, in memory that
        // does not move with the list, until the network is gone.
        let tensor = unsafe {
            native::starling_trt_constant(
                self.network.get(),
                kind as i32,
                bytes.as_ptr().cast::<c_void>(),
                amount,
                dimensions(&lengths),
                lengths.as_ptr(),
            )
        };
        self.constants.push(bytes);
        self.keep("a constant", tensor)
    }

    /// The rows of `data` along `axis` that `indices` names; the first `same` dimensions of both belong together.
    pub(super) fn gather(
        &mut self,
        data: Tensor,
        indices: Tensor,
        axis: i32,
        same: i32,
    ) -> Result<Tensor, NetworkError> {
        let (data, indices) = (self.get(data), self.get(indices));
        // SAFETY: both are of this network.
        let tensor = unsafe { native::starling_trt_gather(self.network.get(), data, indices, axis, same) };
        self.keep("a choice of rows", tensor)
    }

    pub(super) fn multiply_matrices(
        &mut self,
        left: Tensor,
        right: Tensor,
        transposed: bool,
    ) -> Result<Tensor, NetworkError> {
        let (left, right) = (self.get(left), self.get(right));
        // SAFETY: both are of this network.
        let tensor = unsafe { native::starling_trt_multiply_matrices(self.network.get(), left, right, transposed) };
        self.keep("a product of matrices", tensor)
    }

    pub(super) fn add(&mut self, left: Tensor, right: Tensor) -> Result<Tensor, NetworkError> {
        self.two("a sum", left, right, native::starling_trt_add)
    }

    pub(super) fn multiply(&mut self, left: Tensor, right: Tensor) -> Result<Tensor, NetworkError> {
        self.two("a product", left, right, native::starling_trt_multiply)
    }

    pub(super) fn divide(&mut self, left: Tensor, right: Tensor) -> Result<Tensor, NetworkError> {
        self.two("a quotient", left, right, native::starling_trt_divide)
    }

    pub(super) fn root(&mut self, input: Tensor) -> Result<Tensor, NetworkError> {
        // SAFETY: it is of this network.
        let tensor = unsafe { native::starling_trt_root(self.network.get(), self.get(input)) };
        self.keep("a root", tensor)
    }

    pub(super) fn sigmoid(&mut self, input: Tensor) -> Result<Tensor, NetworkError> {
        // SAFETY: it is of this network.
        let tensor = unsafe { native::starling_trt_sigmoid(self.network.get(), self.get(input)) };
        self.keep("a gate", tensor)
    }

    /// The mean along `axis`, which stays as a length of 1.
    pub(super) fn mean(&mut self, input: Tensor, axis: usize) -> Result<Tensor, NetworkError> {
        let axis = i32::try_from(axis).unwrap_or_default();
        // SAFETY: it is of this network.
        let tensor = unsafe { native::starling_trt_mean(self.network.get(), self.get(input), axis) };
        self.keep("a mean", tensor)
    }

    pub(super) fn cast(&mut self, input: Tensor, kind: Kind) -> Result<Tensor, NetworkError> {
        // SAFETY: it is of this network.
        let tensor = unsafe { native::starling_trt_cast(self.network.get(), self.get(input), kind as i32) };
        self.keep("a cast", tensor)
    }

    /// Exchanges the second and third of four dimensions, then reshapes: a length of 0 stays as it is, no lengths
    /// leave all as they are.
    pub(super) fn shuffle(&mut self, input: Tensor, exchange: bool, lengths: &[usize]) -> Result<Tensor, NetworkError> {
        let lengths: Vec<i64> = lengths.iter().map(|length| *length as i64).collect();
        let count = dimensions(&lengths);
        // SAFETY: it is of this network, and the lengths are `count`.
        let tensor = unsafe {
            native::starling_trt_shuffle(self.network.get(), self.get(input), exchange, count, lengths.as_ptr())
        };
        self.keep("a reshape", tensor)
    }

    pub(super) fn rotate(
        &mut self,
        input: Tensor,
        (cosines, sines): (Tensor, Tensor),
        positions: Tensor,
        neighbours: bool,
    ) -> Result<Tensor, NetworkError> {
        let (input, cosines, sines) = (self.get(input), self.get(cosines), self.get(sines));
        let positions = self.get(positions);
        // SAFETY: all are of this network.
        let tensor =
            unsafe { native::starling_trt_rotate(self.network.get(), input, cosines, sines, positions, neighbours) };
        self.keep("a rotation", tensor)
    }

    pub(super) fn store(&mut self, cache: Tensor, update: Tensor, places: Tensor) -> Result<Tensor, NetworkError> {
        let (cache, update, places) = (self.get(cache), self.get(update), self.get(places));
        // SAFETY: all are of this network.
        let tensor = unsafe { native::starling_trt_store(self.network.get(), cache, update, places) };
        self.keep("a cache", tensor)
    }

    pub(super) fn attend(
        &mut self,
        queries: Tensor,
        (keys, values): (Tensor, Tensor),
        (mask, lengths): (Tensor, Tensor),
    ) -> Result<Tensor, NetworkError> {
        let (queries, keys, values) = (self.get(queries), self.get(keys), self.get(values));
        let (mask, lengths) = (self.get(mask), self.get(lengths));
        // SAFETY: all are of this network.
        let tensor = unsafe { native::starling_trt_attend(self.network.get(), queries, keys, values, mask, lengths) };
        self.keep("attention", tensor)
    }

    pub(super) fn dequantise(
        &mut self,
        input: Tensor,
        scales: Tensor,
        kind: Kind,
        axis: Option<i32>,
    ) -> Result<Tensor, NetworkError> {
        let (input, scales) = (self.get(input), self.get(scales));
        // SAFETY: both are of this network.
        let tensor = unsafe {
            native::starling_trt_dequantise(self.network.get(), input, scales, kind as i32, axis.unwrap_or(-1))
        };
        self.keep("weights of fewer bits", tensor)
    }

    pub(super) fn output(&mut self, tensor: Tensor, name: &str) -> Result<(), NetworkError> {
        let text = CString::new(name).map_err(|_| NetworkError::Empty)?;
        // SAFETY: it is of this network, which copies the name.
        unsafe { native::starling_trt_output(self.network.get(), self.get(tensor), text.as_ptr()) };
        Ok(())
    }

    /// Builds an engine; takes long. `step` is told a share of a thousand, and answers whether to go on.
    pub(super) fn build(
        self,
        capability: Capability,
        workspace: u64,
        step: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Vec<u8>, NetworkError> {
        let Self { network, profile, builder, library, constants, .. } = self;
        let mut watch = Watch { step, steps: 1, stopped: false };
        let to = std::ptr::from_mut(&mut watch).cast::<c_void>();
        // SAFETY: all objects are this network's; `watch` outlives the call, and the library reports from one thread
        // at a time.
        let built = unsafe {
            let built = native::starling_trt_build_new(
                builder.get(),
                network.get(),
                profile,
                capability.number(),
                workspace,
                told,
                to,
            );
            Owned::new(built, native::starling_trt_memory_free)
        };
        // Before a second copy of all weights is made.
        drop((network, constants));
        match built {
            Some(built) => Ok(bytes_of(&built)),
            None if watch.stopped => Err(NetworkError::Stopped),
            None => Err(NetworkError::Refused { what: "to build the engine", said: library.said() }),
        }
    }

    fn two(
        &mut self,
        what: &'static str,
        left: Tensor,
        right: Tensor,
        function: unsafe extern "C" fn(Object, Object, Object) -> Object,
    ) -> Result<Tensor, NetworkError> {
        // SAFETY: both are of this network, and the functions that come here take two tensors.
        let tensor = unsafe { function(self.network.get(), self.get(left), self.get(right)) };
        self.keep(what, tensor)
    }

    fn get(&self, tensor: Tensor) -> Object {
        self.tensors[tensor.0]
    }

    fn keep(&mut self, what: &'static str, tensor: Object) -> Result<Tensor, NetworkError> {
        if tensor.is_null() {
            return Err(NetworkError::Refused { what, said: self.library.said() });
        }
        self.tensors.push(tensor);
        Ok(Tensor(self.tensors.len() - 1))
    }
}

/// The bytes of a memory of the library's.
pub(super) fn bytes_of(memory: &Owned) -> Vec<u8> {
    // SAFETY: the library keeps so many bytes there while the object lives.
    unsafe {
        let (data, size) =
            (native::starling_trt_memory_data(memory.get()), native::starling_trt_memory_size(memory.get()));
        let size = usize::try_from(size).unwrap_or_default();
        if data.is_null() { Vec::new() } else { std::slice::from_raw_parts(data, size).to_vec() }
    }
}

fn dimensions(lengths: &[i64]) -> i32 {
    debug_assert!(lengths.len() <= MAX_DIMENSIONS, "the library's own limit");
    i32::try_from(lengths.len()).unwrap_or_default()
}

/// Who is told how far a build is.
struct Watch<'a> {
    step: &'a mut dyn FnMut(u32) -> bool,
    /// Steps of the outermost phase.
    steps: i32,
    stopped: bool,
}

extern "C" fn told(to: Object, phase: *const c_char, nested: bool, step: i32, steps: i32) -> bool {
    // A panic must not cross into C++.
    catch_unwind(AssertUnwindSafe(|| {
        if to.is_null() || phase.is_null() {
            return true;
        }
        // SAFETY: `to` is what `build` gave, and the library gives a text that ends with a zero.
        let (watch, phase) = unsafe { (&mut *to.cast::<Watch<'_>>(), CStr::from_ptr(phase)) };
        tracing::trace!(phase = %phase.to_string_lossy(), step, steps, "building");
        if step < 0 {
            if !nested {
                watch.steps = steps.max(1);
            }
            return true;
        }
        let share = u32::try_from((i64::from(step) + 1) * 1000 / i64::from(watch.steps)).unwrap_or(0).min(1000);
        let goes_on = (watch.step)(share);
        watch.stopped |= !goes_on;
        goes_on
    }))
    .unwrap_or(false)
}
