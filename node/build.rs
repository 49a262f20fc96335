//! A program whose backends are libraries finds them in its own folder. Windows looks there by itself.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let set = |name: &str| std::env::var_os(name).is_some();
    if set("CARGO_FEATURE_DYNAMIC_BACKENDS") && set("CARGO_CFG_UNIX") {
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN");
    }
}
