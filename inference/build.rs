//! Compiles the shim of TensorRT-RTX: its interface is C++, ours is C. The library itself is loaded when it runs. And
//! says which llama.cpp this is, for what was measured with it.

use std::env::{self, var_os};
use std::path::PathBuf;
use std::process::Command;

const SHIM: &str = "native/tensorrt.cpp";
const HEADERS: &str = "native/tensorrt-rtx";

fn main() {
    println!("cargo::rerun-if-changed=native");
    let is = |name: &str, value: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).is_ok_and(|found| found == value);
    let mut shim = cc::Build::new();
    // Tests bring a library that mingw's compiler has made (`tests/engines/card`).
    println!("cargo::rerun-if-env-changed=STARLING_SHIM_FOR_TESTS");
    if is("OS", "windows") && is("ENV", "gnu") && var_os("STARLING_SHIM_FOR_TESTS").is_none() {
        shim.object(as_microsoft_does());
    } else {
        shim.cpp(true).std("c++17").file(SHIM).include(HEADERS);
        // The vendor's headers warn of what they have left behind themselves.
        shim.flag_if_supported("-fno-exceptions").flag_if_supported("-fno-rtti").warnings(false);
    }
    shim.compile("starling_tensorrt");
    println!("cargo::rustc-env=STARLING_LLAMA={}", llama().unwrap_or_else(|| "unknown".to_owned()));
}

/// The shim for a program of mingw's: the library's classes have the layout of Microsoft's compiler, which clang knows
/// and mingw's does not. It needs nothing of Microsoft's but that, and linkers take what comes of it.
fn as_microsoft_does() -> PathBuf {
    println!("cargo::rerun-if-env-changed=CLANG_PATH");
    let object = PathBuf::from(var_os("OUT_DIR").expect("cargo names it")).join("tensorrt.o");
    let mut clang = Command::new(var_os("CLANG_PATH").unwrap_or_else(|| "clang".into()));
    clang.args(["--target=x86_64-pc-windows-msvc", "-ffreestanding", "-std=c++17", "-O2", "-w"]);
    clang.args(["-fno-exceptions", "-fno-rtti", "-funwind-tables"]);
    // What GNU's linker has no use for, and the time of day.
    clang.args(["-fno-addrsig", "-mno-incremental-linker-compatible"]);
    clang.args(["-I", "native/freestanding", "-I", HEADERS, "-c", SHIM, "-o"]).arg(&object);
    let ended = clang.status();
    assert!(
        ended.as_ref().is_ok_and(std::process::ExitStatus::success),
        "clang does not compile {SHIM} ({ended:?}): install it (Debian's package clang), or name it in CLANG_PATH"
    );
    object
}

/// The version of the crate that llama.cpp comes in.
fn llama() -> Option<String> {
    let lock = "../Cargo.lock";
    println!("cargo::rerun-if-changed={lock}");
    let lock = std::fs::read_to_string(lock).ok()?;
    let (_, entry) = lock.split_once("name = \"llama-cpp-sys-2\"")?;
    entry.split('"').nth(1).map(str::to_owned)
}
