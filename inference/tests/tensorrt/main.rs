//! Engines that are really built, with the vendor's library: `STARLING_TENSORRT` names its folder, and `cargo xtask test
//! --only tensorrt` provides it. No card is needed.

use std::path::{Path, PathBuf};

use starling_inference::tensorrt::{self, Build, Capability, Precision, build, cached, choice, file, ladder, memory};
use starling_inference::{OpenError, Source};

fn models(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

fn library() -> PathBuf {
    PathBuf::from(std::env::var_os("STARLING_TENSORRT").expect("STARLING_TENSORRT names the library's folder"))
}

fn order(model: &str, precision: Precision, engines: &Path) -> Build {
    Build {
        model: models(model),
        precision,
        capability: Capability::ADA,
        context_tokens: Some(256),
        slots: Some(4),
        workspace: memory::WORKSPACE,
        engines: engines.to_owned(),
        library: library(),
        hashes: None,
    }
}

#[test]
#[ignore = "it needs the vendor's library"]
fn every_precision_is_built_for_ada_with_no_card() {
    let folder = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    for (name, precision) in Precision::ALL {
        let order = order("swarm-demo-3M-f16.gguf", precision, folder.path());
        assert_eq!(cached(&order).unwrap(), None);
        let mut steps = Vec::new();
        let built = build(&order, &mut |step| {
            steps.push(step);
            true
        });
        let built = built.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(steps.len() > 20 && steps.iter().all(|step| *step <= 1000), "{steps:?}");
        assert_eq!(cached(&order).unwrap(), Some(built.clone()));
        assert_eq!(file::read(&built.path, &built.description).unwrap().len() as u64, built.description.bytes);
        sizes.push((precision, built.description.bytes));
    }
    let of = |wanted| sizes.iter().find(|(precision, _)| *precision == wanted).unwrap().1;
    assert!(of(Precision::Int4) < of(Precision::Int8) && of(Precision::Int8) < of(Precision::Fp16), "{sizes:?}");
}

#[test]
#[ignore = "it needs the vendor's library"]
fn the_second_family_is_built_too() {
    let folder = tempfile::tempdir().unwrap();
    for precision in [Precision::Fp16, Precision::Int4] {
        let built = build(&order("stories260K.gguf", precision, folder.path()), &mut |_| true).unwrap();
        assert!(built.description.bytes > 100_000, "{built:?}");
    }
}

#[test]
#[ignore = "it needs the vendor's library"]
fn an_engine_is_not_taken_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let order = order("stories260K.gguf", Precision::Fp16, folder.path());
    let built = build(&order, &mut |_| true).unwrap();
    let good = built.description;
    let refused = |wanted: &file::Description, why: &str| {
        let error = file::read(&built.path, wanted).unwrap_err().to_string();
        assert!(error.contains(" is not used: ") && error.contains(why), "{error}");
    };
    refused(&file::Description { library: "1.6.0.1".into(), ..good.clone() }, "the library 1.7.1.116, and 1.6.0.1 is");
    refused(&file::Description { model: "00".repeat(32), ..good.clone() }, "it was built for the model");
    let other = "12.0".parse().unwrap();
    refused(&file::Description { capability: other, ..good.clone() }, "capability 8.9, and 12.0 is wanted");
    let mut bytes = std::fs::read(&built.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&built.path, &bytes).unwrap();
    refused(&good, "its checksum is wrong");
    std::fs::write(&built.path, &bytes[..middle]).unwrap();
    refused(&good, "bytes and should have");
    // And so it is built again.
    assert_eq!(cached(&order).unwrap(), None);
}

#[test]
#[ignore = "it needs the vendor's library"]
fn a_build_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for last in [0, 400] {
        let order = order("swarm-demo-3M-f16.gguf", Precision::Fp16, folder.path());
        let error = build(&order, &mut |step| step < last).unwrap_err();
        assert!(matches!(&error, OpenError::Engine { reason } if reason.contains("given up")), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "it needs the vendor's library"]
fn the_ladder_ends_where_this_machine_does() {
    let folder = tempfile::tempdir().unwrap();
    let order = ladder::Climb {
        model: models("swarm-demo-3M-f16.gguf"),
        library: library(),
        engines: folder.path().to_owned(),
        precision: Precision::Fp16,
    };
    let mut rungs = Vec::new();
    let tested = ladder::climb(&order, &mut |rung| rungs.push(rung));
    assert!(rungs[..3].iter().all(|rung| matches!(rung.outcome, ladder::Outcome::Ok(_))), "{rungs:?}");
    match tested {
        choice::Tested::Impossible(why) => assert!(why.contains("driver"), "{why}"),
        tested => assert!(matches!(tested, choice::Tested::Right { .. }), "{rungs:?}"),
    }
}

#[test]
#[ignore = "it needs the vendor's library"]
fn without_a_card_serving_is_refused_calmly() {
    let folder = tempfile::tempdir().unwrap();
    let options = tensorrt::Options {
        library: library(),
        engines: folder.path().to_owned(),
        precision: Precision::Fp16,
        workspace: memory::WORKSPACE,
        share: memory::SHARE,
    };
    let path = models("swarm-demo-3M-f16.gguf");
    let source =
        Source::TensorRt { path, context_tokens: Some(256), slots: Some(4), hashes: None, options: Box::new(options) };
    let error = starling_inference::open(&source).err().unwrap();
    // With a card it is the engine that is missing, and the command that builds it is named.
    assert!(matches!(error, OpenError::Lacking { .. }), "{error}");
    assert!(["--engine llama", "models build"].iter().any(|step| error.hint().contains(step)), "{}", error.hint());
}

/// What a build costs, for `tensorrt::build::Cost`: `STARLING_MODEL` is the file, `STARLING_PRECISION` its precision.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "it needs the vendor's library and a model"]
fn what_a_build_costs() {
    let Some(model) = std::env::var_os("STARLING_MODEL") else { return };
    let precision = std::env::var("STARLING_PRECISION").map_or(Precision::Int4, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let order = Build {
        model: model.into(),
        context_tokens: Some(4096),
        ..order("swarm-demo-3M-f16.gguf", precision, folder.path())
    };
    let began = std::time::Instant::now();
    let built = build(&order, &mut |_| true).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{precision}: {} bytes in {:.1} s, {peak}", built.description.bytes, began.elapsed().as_secs_f64());
}
