//! The process of an engine, for tests. With arguments it goes wrong in ways in which native code does.
#![expect(clippy::print_stderr, reason = "this is what native code does")]

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        // As long as there is this file, every start ends here.
        ["abort-while", file] if Path::new(file).exists() => {
            eprintln!("/build/ggml.c:1: GGML_ASSERT(file is gone) failed");
            std::process::abort();
        }
        ["abort-while", _] => {}
        ["out-of-memory-while", file] if Path::new(file).exists() => {
            eprintln!("CUDA error: out of memory");
            return ExitCode::from(3);
        }
        ["out-of-memory-while", _] => {}
        ["garbage"] => {
            let _ = std::io::stdout().write_all(&[0xff; 4096]);
            let _ = std::io::stdin().read(&mut [0]);
        }
        // Lives until its stdin ends, and says nothing.
        _ => drop(std::io::stdin().read_to_end(&mut Vec::new())),
    }
    starling_inference::host::serve()
}
