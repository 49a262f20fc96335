//! What is not pulled: the wrong file, one without room, one that is not for us.

use axum::http::StatusCode;

use super::*;

#[tokio::test]
async fn a_length_that_is_wrong_or_unknown_is_refused() {
    let stage = Stage::set().await;
    stage.server.set(|manners| manners.listed_bytes = Some(1000));
    let refused = stage.refused(NAME).await;
    assert!(refused.what.contains("its list says 1000"), "{}", refused.what);
    stage.server.set(|manners| (manners.listed_bytes, manners.says_length) = (None, false));
    assert!(stage.refused(&stage.address("a.gguf")).await.what.contains("how long"));
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
}

#[tokio::test]
async fn what_is_not_there_or_not_for_us_says_the_next_step() {
    let stage = Stage::set().await;
    let refused = stage.refused("hf:o/r:Q5_K_M").await;
    assert!(refused.what.contains("no Q5_K_M") && refused.hint.contains("Q8_0 (3.3 MB), Q4_K_M"), "{}", refused.hint);
    let refused = stage.refused("hf:o/nowhere").await;
    assert!(refused.what.contains("nowhere"), "{}", refused.what);
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        stage.server.set(|manners| manners.status = Some(status));
        let refused = stage.refused(NAME).await;
        assert!(refused.hint.contains("HF_TOKEN"), "{}", refused.hint);
        assert!(!refused.what.contains(TOKEN) && !refused.hint.contains(TOKEN));
    }
    let file = models().join("stories260K.gguf");
    assert!(stage.refused(file.to_str().unwrap()).await.what.contains("needs no pull"));
    assert!(stage.refused("word").await.hint.contains("hf:Qwen"));
}

#[tokio::test]
async fn nobody_sends_us_to_where_it_is_not_encrypted() {
    let stage = Stage::set().await;
    stage.server.set(|manners| manners.redirect = Some("http://example.org/".to_owned()));
    let refused = stage.refused(NAME).await;
    assert!(refused.what.contains("not encrypted"), "{}", refused.what);
}

#[tokio::test]
async fn a_full_disk_is_noticed_before_anything_comes() {
    let mut stage = Stage::set().await;
    stage.room.free = |_| Ok(1_000_000);
    let refused = stage.refused(NAME).await;
    assert!(refused.what.contains("3.3 MB are to come") && refused.hint.contains("free 270.7 MB"), "{}", refused.hint);
    stage.room.free = |_| Err(std::io::ErrorKind::Unsupported.into());
    stage.pull(NAME).await.unwrap();
}

#[tokio::test]
async fn too_little_memory_is_said_and_may_be_ignored() {
    let mut stage = Stage::set().await;
    stage.room.fits = |_, bytes| Err(format!("it needs {bytes}"));
    let refused = stage.refused(NAME).await;
    assert!(refused.what.contains("it needs 3306112") && refused.hint.contains("--anyway"), "{}", refused.what);
    stage.room.anyway = true;
    stage.pull(NAME).await.unwrap();
    stage.check_whole();
}

#[tokio::test]
async fn garbage_is_not_loaded_to_its_end() {
    let stage = Stage::set().await;
    stage.server.set(|manners| manners.content = b"<!DOCTYPE html>".repeat(4 << 20).into());
    stage.server.set(|manners| manners.listed_sha256 = Some("ab".repeat(32)));
    let refused = stage.refused(NAME).await;
    assert!(refused.what.contains("does not start with GGUF"), "{}", refused.what);
    assert_eq!(stage.files(), [""; 0]);
    assert!(stage.server.sent() < 40 << 20, "{} bytes were sent", stage.server.sent());
}

#[tokio::test]
async fn the_wrong_file_does_not_count() {
    let stage = Stage::set().await;
    stage.server.set(|manners| manners.listed_sha256 = Some("ab".repeat(32)));
    let refused = stage.refused(NAME).await;
    assert!(refused.what.contains("thrown away"), "{}", refused.what);
    let address = format!("{}#sha256={}", stage.address("a.gguf"), "cd".repeat(32));
    assert!(stage.refused(&address).await.what.contains("thrown away"));
    assert_eq!(stage.files(), [""; 0]);
    assert!(stage.store().entries().unwrap().is_empty());
}

#[tokio::test]
async fn one_pull_of_a_model_at_a_time() {
    let stage = Stage::set().await;
    let lock = stage.store().lock("m-Q8_0.gguf").unwrap();
    assert!(stage.refused(NAME).await.what.contains("another starling-node"));
    drop(lock);
    stage.pull(NAME).await.unwrap();
}
