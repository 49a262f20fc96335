//! Compiles the shim of TensorRT-RTX: its interface is C++, ours is C. The library itself is loaded when it runs. And
//! says which llama.cpp this is, for what was measured with it.

fn main() {
    println!("cargo::rerun-if-changed=native");
    let mut shim = cc::Build::new();
    shim.cpp(true).std("c++17").file("native/tensorrt.cpp").include("native/tensorrt-rtx");
    // The vendor's headers warn of what they have left behind themselves.
    shim.flag_if_supported("-fno-exceptions").flag_if_supported("-fno-rtti").warnings(false);
    shim.compile("starling_tensorrt");
    println!("cargo::rustc-env=STARLING_LLAMA={}", llama().unwrap_or_else(|| "unknown".to_owned()));
}

/// The version of the crate that llama.cpp comes in.
fn llama() -> Option<String> {
    let lock = "../Cargo.lock";
    println!("cargo::rerun-if-changed={lock}");
    let lock = std::fs::read_to_string(lock).ok()?;
    let (_, entry) = lock.split_once("name = \"llama-cpp-sys-2\"")?;
    entry.split('"').nth(1).map(str::to_owned)
}
