//! Compiles the driver that is none and the library that is none, and starts tests that find them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use starling_inference::tensorrt::FILE;

use super::FOLDER;

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

/// Compiled once for all tests.
static FAKES: LazyLock<tempfile::TempDir> = LazyLock::new(compile);

fn compile() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (sources, headers) = (package.join("tests/engines/card"), package.join("native/tensorrt-rtx"));
    std::fs::write(folder.path().join("stubs.h"), stubs(&headers)).unwrap();
    let compiler = || {
        let mut command = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
        command.current_dir(folder.path()).args(["-std=c++17", "-O3", "-w", "-shared", "-fPIC", "-Wl,--no-undefined"]);
        command
    };
    // It is found by the name that the driver's library has.
    let name = ["-Wl,-soname,libcuda.so", "-o", "libcuda.so"];
    finish(compiler().args(name).arg(sources.join("libcuda.cpp")));
    let mut library = compiler();
    library.args(["-I.", "-o", FILE]).arg("-I").arg(headers).arg(sources.join("libtensorrt.cpp"));
    finish(library.args(["-L.", "-lcuda"]));
    folder
}

fn finish(command: &mut Command) {
    let output = command.output().expect("a C++ compiler, which the program itself needs too");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// For each class one that has all of its functions, so that those which nobody needs need not be written.
fn stubs(headers: &Path) -> String {
    let header = std::fs::read_to_string(headers.join("NvInferImpl.h")).unwrap();
    let code: Vec<&str> = header.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut text = String::from(
        "#include <cstdio>\n#include <cstdlib>\nnamespace nvinfer1::apiv {\ntemplate <typename Result> [[noreturn]] Result \
         never(char const* what) { std::fprintf(stderr, \"the library has no %s\\n\", what); std::abort(); }\n",
    );
    for class in CLASSES {
        let (_, body) = code.split_once(&format!("class V{class} : public VRoot")).expect(class);
        let (_, body) = body.split_once("public:").unwrap();
        let (body, _) = body.split_once("\n};").unwrap();
        writeln!(text, "class SV{class} : public V{class} {{ public:").unwrap();
        for function in body.split(';') {
            let words: Vec<&str> = function.split_whitespace().filter(|word| !word.starts_with("TRT_")).collect();
            let Some(function) = words.join(" ").strip_prefix("virtual ").map(str::to_owned) else { continue };
            let function = function.strip_suffix("= 0").unwrap().trim();
            let head = function.split('(').next().unwrap();
            let at = head.rfind([' ', '*', '&']).unwrap() + 1;
            let (result, name) = head.split_at(at);
            writeln!(text, "{function} override {{ never<{result}>(\"{name}\"); }}").unwrap();
        }
        text.push_str("};\n");
    }
    text.push_str("}\n");
    text
}

/// Runs the ignored tests whose names begin so, at least as many as are expected, in a process that finds the card.
pub(super) fn run(names: &[&str], least: usize) {
    let folder = FAKES.path();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--test-threads=1"]).args(names);
    command.env("LD_LIBRARY_PATH", folder).env(FOLDER, folder);
    let output = command.output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    let passed =
        said.split(" passed").next().and_then(|said| said.rsplit(' ').next()).and_then(|count| count.parse().ok());
    assert!(passed.is_some_and(|passed: usize| passed >= least), "{said}");
}
