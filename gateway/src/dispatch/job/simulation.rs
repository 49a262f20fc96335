//! Many small worlds, each made from a seed, with a made-up clock: the scheduler and the course of each job are ours,
//! and what they work with is not to be relied on. Nodes die, hang, are cut off, run out of memory, lie about their
//! speed, are turned out, and the gateway itself dies. Whatever happens, a reader gets each token once and in its
//! place, and each job ends once.
//!
//! A world knows of an attempt what the wire carries: the tokens that it is to go on from, its number, and pieces.

mod events;
mod node;
mod world;

use std::time::Instant;

use self::world::{Ends, Size, World};

const SEEDS: u64 = 500;
/// Few of each, so that they meet often.
const SMALL: Size = Size { nodes: 6, jobs: 24, arrivals_ms: 20_000, calm: false };
/// As many as one gateway may have, for an afternoon in which few things break.
const LARGE: Size = Size { nodes: 1_000, jobs: 10_000, arrivals_ms: 600_000, calm: true };

fn run(seed: u64, size: Size) -> (Ends, String) {
    let start = Instant::now();
    let run = std::panic::catch_unwind(|| World::new(seed, size, start).run());
    run.unwrap_or_else(|_| panic!("seed {seed}: see above; the same seed comes to the same end"))
}

#[test]
fn every_token_comes_once_and_every_job_ends_once() {
    let mut all = Ends::default();
    for seed in 0..SEEDS {
        all.add(&run(seed, SMALL).0);
    }
    // Worlds in which nothing of this happens would prove nothing.
    let happened = [all.whole, all.broke, all.refused, all.late, all.taken_over, all.taken_up];
    assert!(happened.iter().all(|count| *count > 100), "{all:?}");
    assert!(all.whole > 4 * all.broke, "most come through: {all:?}");
}

#[test]
fn a_seed_comes_to_the_same_end() {
    for seed in [0, 3, 77, 499] {
        assert_eq!(run(seed, SMALL).1, run(seed, SMALL).1, "seed {seed}");
    }
}

/// `cargo test -p starling-gateway --release a_thousand_nodes -- --ignored --nocapture`, with STARLING_SEED for another world.
#[test]
#[ignore = "takes a minute"]
fn a_thousand_nodes_and_ten_thousand_jobs() {
    let seed = std::env::var("STARLING_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let began = Instant::now();
    let (ends, _) = run(seed, LARGE);
    println!("seed {seed}: {ends:?} in {:.1} s", began.elapsed().as_secs_f64());
}
