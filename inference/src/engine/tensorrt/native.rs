//! The functions of `native/tensorrt.cpp`. Types of C++ are pointers that nobody here looks behind.
#![expect(unsafe_code, reason = "functions of C")]

use std::ffi::{c_char, c_void};

/// An object of the library's; null when there is none.
pub(super) type Object = *mut c_void;
/// What the library exports: makes the object that everything else comes from.
pub(super) type Create = unsafe extern "C" fn(*mut c_void, i32) -> *mut c_void;
/// Is told severity (0 is worst) and text.
pub(super) type Say = extern "C" fn(*mut c_void, i32, *const c_char);
/// Is told the phase, whether it is inside another, the step (below 0: it begins) and how many; false stops the build.
pub(super) type Step = extern "C" fn(*mut c_void, *const c_char, bool, i32, i32) -> bool;

unsafe extern "C" {
    pub(super) fn starling_trt_version() -> i32;
    pub(super) fn starling_trt_log_new(say: Say, to: Object) -> Object;
    pub(super) fn starling_trt_log_free(log: Object);

    pub(super) fn starling_trt_builder_new(create: Create, log: Object) -> Object;
    pub(super) fn starling_trt_builder_free(builder: Object);
    pub(super) fn starling_trt_network_new(builder: Object) -> Object;
    pub(super) fn starling_trt_network_free(network: Object);

    pub(super) fn starling_trt_input(
        network: Object,
        name: *const c_char,
        kind: i32,
        count: i32,
        lengths: *const i64,
    ) -> Object;
    pub(super) fn starling_trt_constant(
        network: Object,
        kind: i32,
        numbers: *const c_void,
        amount: i64,
        count: i32,
        lengths: *const i64,
    ) -> Object;
    pub(super) fn starling_trt_gather(network: Object, data: Object, indices: Object, axis: i32, same: i32) -> Object;
    pub(super) fn starling_trt_multiply_matrices(
        network: Object,
        left: Object,
        right: Object,
        transposed: bool,
    ) -> Object;
    pub(super) fn starling_trt_add(network: Object, left: Object, right: Object) -> Object;
    pub(super) fn starling_trt_multiply(network: Object, left: Object, right: Object) -> Object;
    pub(super) fn starling_trt_divide(network: Object, left: Object, right: Object) -> Object;
    pub(super) fn starling_trt_root(network: Object, input: Object) -> Object;
    pub(super) fn starling_trt_sigmoid(network: Object, input: Object) -> Object;
    pub(super) fn starling_trt_mean(network: Object, input: Object, axis: i32) -> Object;
    pub(super) fn starling_trt_cast(network: Object, input: Object, kind: i32) -> Object;
    pub(super) fn starling_trt_shuffle(
        network: Object,
        input: Object,
        exchange: bool,
        count: i32,
        lengths: *const i64,
    ) -> Object;
    pub(super) fn starling_trt_rotate(
        network: Object,
        input: Object,
        cosines: Object,
        sines: Object,
        positions: Object,
        neighbours: bool,
    ) -> Object;
    pub(super) fn starling_trt_store(network: Object, cache: Object, update: Object, places: Object) -> Object;
    pub(super) fn starling_trt_attend(
        network: Object,
        queries: Object,
        keys: Object,
        values: Object,
        mask: Object,
        lengths: Object,
    ) -> Object;
    pub(super) fn starling_trt_dequantise(
        network: Object,
        input: Object,
        scales: Object,
        kind: i32,
        axis: i32,
    ) -> Object;
    pub(super) fn starling_trt_output(network: Object, tensor: Object, name: *const c_char);

    pub(super) fn starling_trt_profile(builder: Object) -> Object;
    pub(super) fn starling_trt_profile_lengths(
        profile: Object,
        name: *const c_char,
        count: i32,
        least: *const i64,
        usual: *const i64,
        most: *const i64,
    ) -> bool;
    pub(super) fn starling_trt_build_new(
        builder: Object,
        network: Object,
        profile: Object,
        capability: i32,
        workspace: u64,
        step: Step,
        to: Object,
    ) -> Object;
    pub(super) fn starling_trt_memory_data(memory: Object) -> *const u8;
    pub(super) fn starling_trt_memory_size(memory: Object) -> u64;
    pub(super) fn starling_trt_memory_free(memory: Object);

    pub(super) fn starling_trt_runtime_new(create: Create, log: Object) -> Object;
    pub(super) fn starling_trt_runtime_free(runtime: Object);
    pub(super) fn starling_trt_validity(runtime: Object, bytes: *const c_void, size: i64, why: *mut u64) -> i32;
    pub(super) fn starling_trt_engine_new(runtime: Object, bytes: *const c_void, size: u64) -> Object;
    pub(super) fn starling_trt_engine_free(engine: Object);
    pub(super) fn starling_trt_tensors(engine: Object) -> i32;
    pub(super) fn starling_trt_tensor_name(engine: Object, index: i32) -> *const c_char;
    pub(super) fn starling_trt_tensor_is(
        engine: Object,
        name: *const c_char,
        kind: i32,
        count: i32,
        lengths: *const i64,
    ) -> bool;
    pub(super) fn starling_trt_config_new(engine: Object, steady: bool) -> Object;
    pub(super) fn starling_trt_config_free(config: Object);
    pub(super) fn starling_trt_cache_new(config: Object) -> Object;
    pub(super) fn starling_trt_cache_load(cache: Object, bytes: *const c_void, size: u64) -> bool;
    pub(super) fn starling_trt_cache_free(cache: Object);
    pub(super) fn starling_trt_cache_use(config: Object, cache: Object) -> bool;
    pub(super) fn starling_trt_cache_bytes_new(cache: Object) -> Object;
    pub(super) fn starling_trt_memory_most(engine: Object) -> i64;
    pub(super) fn starling_trt_memory_now(context: Object) -> u64;
    pub(super) fn starling_trt_context_new(engine: Object, config: Object) -> Object;
    pub(super) fn starling_trt_context_free(context: Object);
    pub(super) fn starling_trt_context_memory(context: Object, address: u64, size: i64);
    pub(super) fn starling_trt_shape(context: Object, name: *const c_char, count: i32, lengths: *const i64) -> bool;
    pub(super) fn starling_trt_address(context: Object, name: *const c_char, address: u64) -> bool;
    pub(super) fn starling_trt_enqueue(context: Object, stream: u64) -> bool;
}

/// An object that is freed when nobody holds it.
pub(super) struct Owned {
    object: Object,
    free: unsafe extern "C" fn(Object),
}

impl Owned {
    /// Takes an object that `free` is for; nothing for null.
    ///
    /// # Safety
    /// `object` is null, or came from the function with `new` in its name that belongs to `free`, and nobody else
    /// frees it.
    pub(super) unsafe fn new(object: Object, free: unsafe extern "C" fn(Object)) -> Option<Self> {
        (!object.is_null()).then_some(Self { object, free })
    }

    pub(super) fn get(&self) -> Object {
        self.object
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: by the promise of `new`.
        unsafe { (self.free)(self.object) }
    }
}
