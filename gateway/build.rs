//! Lets the crate build before the web page has been: an empty folder is a build without a page. And has it built again
//! when the database gets another step.

fn main() {
    let built = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/dist");
    // Without the folder the embedding macro would not compile; a read-only checkout has to have it.
    let _ = std::fs::create_dir_all(&built);
    println!("cargo::rerun-if-changed={}", built.display());
    println!("cargo::rerun-if-changed=../migrations");
}
