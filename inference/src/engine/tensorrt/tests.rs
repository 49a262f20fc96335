//! What people write, and what is said where there is no library. Engines are built in `tests/tensorrt`.

use super::*;

#[test]
fn precisions_and_capabilities_are_read_as_they_are_written() {
    for (name, precision) in Precision::ALL {
        assert_eq!((name.parse(), precision.to_string().as_str()), (Ok(precision), name));
    }
    assert!("fp4".parse::<Precision>().is_err());
    assert_eq!("8.9".parse(), Ok(Capability::ADA));
    assert_eq!("12.0".parse::<Capability>().unwrap().to_string(), "12.0");
    for wrong in ["9.0", "8", "8.99", "", "eight.nine"] {
        assert!(wrong.parse::<Capability>().is_err(), "{wrong}");
    }
}

#[test]
fn a_missing_library_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Library::load(folder.path()).err().unwrap();
    assert!(matches!(error, LibraryError::Missing { .. }));
    assert!(error.hint().contains("starling-node tensorrt install"), "{}", error.hint());
    std::fs::write(folder.path().join(library::FILE), b"no library").unwrap();
    let error = Library::load(folder.path()).err().unwrap();
    assert!(error.to_string().contains("it is no library"), "{error}");
}
