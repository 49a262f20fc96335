//! Ten thousand requests, and the memory that is left taken: none of it.
//!
//! A binary of its own, so that nothing but the engine moves the figures.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::thread::JoinHandle;

use futures::StreamExt;
use starling_inference::{DeviceChoice, Handle, Message, Output, Request, Role, Sampling, Source};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

const REQUESTS: usize = 10_000;
/// What grows once, such as caches and the allocator's own reserves, has grown after so many.
const WARM_UP: usize = 1_000;
/// A leak of a kilobyte a request would be ten times this.
const ALLOWED_BYTES: u64 = 1 << 20;
/// Requests at once: more than slots would be refused.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn ten_thousand_requests_leave_nothing_behind() {
    let (handle, thread) = start();
    run(&handle, 0..WARM_UP).await;
    let before = resident();
    run(&handle, WARM_UP..WARM_UP + REQUESTS).await;
    let after = resident();
    println!("resident before {:.1} MB, after {REQUESTS} requests {:.1} MB", mb(before), mb(after));
    assert!(after <= before + ALLOWED_BYTES, "{before} {after}");
    drop(handle);
    thread.join().unwrap();
}

fn start() -> (Handle, JoinHandle<()>) {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
        let (path, slots) = (models.join("swarm-demo-3M-q8_0.gguf"), Some(u32::try_from(AT_ONCE).unwrap()));
        let (context_tokens, threads, saved_bytes, hashes) = (Some(256), None, Some(4 << 20), None);
        let source =
            Source::Gguf { path, context_tokens, slots, threads, saved_bytes, hashes, device: DeviceChoice::Auto };
        let (handle, runner) = starling_inference::open(&source).unwrap();
        sender.send(handle).unwrap();
        runner.run();
    });
    (receiver.recv().unwrap(), thread)
}

async fn run(handle: &Handle, requests: std::ops::Range<usize>) {
    futures::stream::iter(requests).for_each_concurrent(AT_ONCE, |number| one(handle, number)).await;
}

/// Every seventh reader leaves in mid-answer; conversations come back now and then, and most are new.
async fn one(handle: &Handle, number: usize) {
    let prompt = format!("What is number {} of the list?", number % 997);
    let sampling = Sampling { seed: Some(number as u64), ..Sampling::default() };
    let messages = vec![Message::new(Role::User, prompt)];
    let request = Request { messages, sampling, max_tokens: Some(3), ..Request::default() };
    let mut generation = loop {
        match handle.generate(request.clone()).await {
            Ok(generation) => break generation,
            // A reader that has just left holds its seat until the step is over.
            Err(starling_inference::Refused::Busy) => tokio::task::yield_now().await,
            Err(refused) => panic!("{refused}"),
        }
    };
    while let Some(output) = generation.next().await {
        match output {
            Output::Failed(failure) => panic!("{failure}"),
            Output::Piece { .. } if number.is_multiple_of(7) => return,
            _ => {}
        }
    }
}

fn resident() -> u64 {
    let me = sysinfo::get_current_pid().unwrap();
    let mut system = System::new().unwrap();
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[me]),
        true,
        ProcessRefreshKind::nothing().with_memory(),
    );
    system.process(me).unwrap().memory()
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
