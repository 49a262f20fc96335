//! Compiles the shim of TensorRT-RTX: its interface is C++, ours is C. The library itself is loaded when it runs.

fn main() {
    println!("cargo::rerun-if-changed=native");
    let mut shim = cc::Build::new();
    shim.cpp(true).std("c++17").file("native/tensorrt.cpp").include("native/tensorrt-rtx");
    // The vendor's headers warn of what they have left behind themselves.
    shim.flag_if_supported("-fno-exceptions").flag_if_supported("-fno-rtti").warnings(false);
    shim.compile("starling_tensorrt");
}
