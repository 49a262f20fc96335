//! Compiles the driver that is none and the library that is none, for the system of the compiler.
//!
//! `cargo xtask test --windows` has this file too: a program for Windows cannot start a compiler of Linux.

use std::io;
use std::path::Path;
use std::process::Command;

/// Of the library's interface what is used; all else ends the process.
const CLASSES: [&str; 16] = [
    "HostMemory",
    "Runtime",
    "OptimizationProfile",
    "CudaEngine",
    "ExecutionContext",
    "Tensor",
    "Layer",
    "GatherLayer",
    "ShuffleLayer",
    "Attention",
    "DequantizeLayer",
    "NetworkDefinition",
    "BuilderConfig",
    "Builder",
    "RuntimeConfig",
    "RuntimeCache",
];

/// What the two are called where they are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) driver: &'a str,
    pub(super) library: &'a str,
}

/// Puts both into `folder`. `compiler` is one for C++, with the flags that its system needs besides.
///
/// # Errors
/// What the compiler says.
pub(super) fn make(package: &Path, folder: &Path, names: Names<'_>, compiler: &[&str]) -> io::Result<()> {
    let (sources, headers) = (package.join("tests/engines/card"), package.join("native/tensorrt-rtx"));
    std::fs::write(folder.join("stubs.h"), stubs(&headers)?)?;
    let start = || {
        let mut command = Command::new(compiler[0]);
        command.current_dir(folder).args(["-std=c++17", "-O3", "-w", "-shared"]).args(&compiler[1..]);
        command
    };
    // On Linux it is found by the name in it.
    let name = format!("-Wl,-soname,{}", names.driver);
    finish(start().args([&name, "-o", names.driver]).arg(sources.join("libcuda.cpp")))?;
    let mut library = start();
    library.args(["-I.", "-o", names.library, "-I"]).arg(headers).arg(sources.join("libtensorrt.cpp"));
    finish(library.arg(names.driver))
}

fn finish(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

/// For each class one that has all of its functions, so that those which nobody needs need not be written.
fn stubs(headers: &Path) -> io::Result<String> {
    let header = std::fs::read_to_string(headers.join("NvInferImpl.h"))?;
    let code: Vec<&str> = header.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut text = String::from(
        "#include <cstdio>\n#include <cstdlib>\nnamespace nvinfer1::apiv {\ntemplate <typename Result> [[noreturn]] Result \
         never(char const* what) { std::fprintf(stderr, \"the library has no %s\\n\", what); std::abort(); }\n",
    );
    for class in CLASSES {
        text += &stub(class, &code).ok_or_else(|| io::Error::other(format!("the header has another {class}")))?;
    }
    text.push_str("}\n");
    Ok(text)
}

fn stub(class: &str, code: &str) -> Option<String> {
    let (_, body) = code.split_once(&format!("class V{class} : public VRoot"))?;
    let (body, _) = body.split_once("public:")?.1.split_once("\n};")?;
    let mut text = format!("class SV{class} : public V{class} {{ public:\n");
    for function in body.split(';') {
        let words: Vec<&str> = function.split_whitespace().filter(|word| !word.starts_with("TRT_")).collect();
        let Some(function) = words.join(" ").strip_prefix("virtual ").map(str::to_owned) else { continue };
        let function = function.strip_suffix("= 0")?.trim();
        let head = function.split('(').next()?;
        let (result, name) = head.split_at(head.rfind([' ', '*', '&'])? + 1);
        text += &format!("{function} override {{ never<{result}>(\"{name}\"); }}\n");
    }
    Some(text + "};\n")
}
