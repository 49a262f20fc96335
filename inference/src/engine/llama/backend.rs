//! llama.cpp itself, once a process, and the backends that it computes with.

#[cfg(feature = "dynamic-backends")]
use std::path::Path;
use std::sync::LazyLock;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::{LogOptions, list_llama_ggml_backend_devices, send_logs_to_tracing};

/// llama.cpp is initialised once a process and never taken down; it is global in C too. `None`: it failed.
pub(in crate::engine) static BACKEND: LazyLock<Option<LlamaBackend>> = LazyLock::new(|| {
    // It would write to stderr, also what it thinks of a file; errors are told by ours.
    send_logs_to_tracing(LogOptions::default().with_logs_enabled(false));
    load_libraries();
    let backend = LlamaBackend::init().ok()?;
    // With backends in libraries there may be none, and then llama.cpp aborts at the first model.
    (!list_llama_ggml_backend_devices().is_empty()).then_some(backend)
});

/// Backends that are libraries lie beside the program, wherever that is.
#[cfg(feature = "dynamic-backends")]
fn load_libraries() {
    let program = std::env::current_exe().ok();
    // Native code takes a folder as text; one that is none has no backends.
    if let Some(folder) = program.as_deref().and_then(Path::parent).filter(|folder| folder.to_str().is_some()) {
        llama_cpp_2::llama_backend::load_backends_from_path(folder);
    }
}

/// The backends are built in.
#[cfg(not(feature = "dynamic-backends"))]
fn load_libraries() {}
