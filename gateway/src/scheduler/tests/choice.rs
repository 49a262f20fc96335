//! Which node: speeds, prefixes, contexts.

use super::*;
use crate::prefix::Label;

/// A node that claims these speeds.
fn claims(prefill: f32, decode: f32) -> Status {
    let mut status = status(MODEL, 4, 4);
    status.offers[0].prefill_tokens_per_second = prefill;
    status.offers[0].decode_tokens_per_second = decode;
    status
}

/// Runs `jobs` one after another on nodes of these true speeds; gives the index of the node for each.
fn run(scheduler: &mut Scheduler, peers: &[PeerId], truth: &[(f64, f64)], jobs: usize, now: Instant) -> Vec<usize> {
    let one = |_| {
        let placed = scheduler.placed(need(MODEL), now);
        let index = peers.iter().position(|peer| *peer == placed.peer).unwrap();
        let (prefill, decode) = truth[index];
        scheduler.ended(placed, Outcome::Served, &seen(0.05 + 136.0 / prefill, 100, decode), now);
        index
    };
    (0..jobs).map(one).collect()
}

#[test]
fn the_faster_node_by_its_own_word_is_tried_first() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 4), (4, 4)], now);
    scheduler.status(peers[0], claims(20.0, 2.0), now);
    scheduler.status(peers[1], claims(40.0, 5.0), now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[1]);
}

#[test]
fn a_claim_a_hundred_times_too_high_loses_its_effect_within_ten_jobs() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 4), (4, 4), (4, 4)], now);
    let truth = [(500.0, 40.0), (100.0, 8.0), (400.0, 30.0)];
    for (peer, (prefill, decode)) in peers.iter().zip(truth) {
        scheduler.status(*peer, claims(prefill as f32, decode as f32), now);
    }
    scheduler.status(peers[1], claims(10_000.0, 800.0), now);
    let order = run(&mut scheduler, &peers, &truth, 30, now);
    assert!(order[10..].iter().all(|node| *node != 1), "{order:?}");
    assert!(order.iter().filter(|node| **node == 1).count() <= 2, "{order:?}");
}

#[test]
fn what_is_measured_finds_the_fastest_whatever_is_claimed() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 4), (4, 4), (4, 4)], now);
    for (peer, claim) in peers.iter().zip([(5_000.0, 200.0), (0.0, 0.0), (800.0, 900.0)]) {
        scheduler.status(*peer, claims(claim.0, claim.1), now);
    }
    let order = run(&mut scheduler, &peers, &[(100.0, 9.0), (150.0, 12.0), (400.0, 60.0)], 30, now);
    assert!(order[10..].iter().all(|node| *node == 2), "{order:?}");
}

#[test]
fn load_makes_a_fast_node_slower_than_an_idle_one() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(8, 8), (8, 8)], now);
    run(&mut scheduler, &peers, &[(200.0, 20.0), (200.0, 15.0)], 8, now);
    let mut count = [0; 2];
    for _ in 0..8 {
        let placed = scheduler.placed(need(MODEL), now);
        count[peers.iter().position(|peer| *peer == placed.peer).unwrap()] += 1;
    }
    assert!(count[0] > count[1] && count[1] >= 2, "{count:?}");
}

/// A conversation of 8,000 bytes, of which a node may hold three quarters.
fn second_turn() -> Need {
    let labels = vec![Label { label: 1, bytes: 3_000 }, Label { label: 2, bytes: 6_000 }];
    Need { prompt_bytes: 8_000, labels, ..need(MODEL) }
}

fn holding(label: u64, free: u32) -> Status {
    let mut status = status(MODEL, 4, free);
    status.offers[0].prefixes = vec![99, label];
    status
}

#[test]
fn a_conversation_goes_back_to_the_node_that_holds_most_of_it() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 4), (4, 4), (4, 4)], now);
    assert_eq!(scheduler.placed(second_turn(), now).peer, peers[0], "when nobody holds it");
    scheduler.status(peers[1], holding(1, 4), now);
    scheduler.status(peers[2], holding(2, 4), now);
    assert_eq!(scheduler.placed(second_turn(), now).peer, peers[2]);
}

#[test]
fn what_a_node_has_just_read_is_held_before_its_status_says_so() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 4), (4, 4)], now);
    let first = Need { labels: vec![Label { label: 2, bytes: 6_000 }], ..need(MODEL) };
    // The second node is a little further away, and has the conversation since the first was full.
    scheduler.path(peers[1], false, Some(Duration::from_millis(210)));
    scheduler.status(peers[0], status(MODEL, 4, 0), now);
    let placed = scheduler.placed(first, now);
    scheduler.status(peers[0], status(MODEL, 4, 4), now);
    scheduler.ended(placed, Outcome::Served, &seen(1.0, 50, 10.0), now);
    assert_eq!(scheduler.placed(second_turn(), now).peer, peers[1]);
}

#[test]
fn a_conversation_waits_for_its_node_while_that_is_quicker() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
    // Both read 100 tokens a second: the whole conversation takes 24 seconds.
    for _ in 0..6 {
        let jobs: Vec<_> = (0..2).map(|_| scheduler.placed(need(MODEL), now)).collect();
        for placed in jobs {
            scheduler.ended(placed, Outcome::Served, &seen(1.41, 50, 50.0), now);
        }
    }
    let busy = |free| {
        let mut status = status(MODEL, 1, free);
        status.offers[0].prefixes = vec![2];
        status
    };
    scheduler.status(peers[0], Status { stopping: true, ..Status::default() }, now);
    scheduler.status(peers[1], busy(1), now);
    let other = scheduler.placed(need(MODEL), now);
    assert_eq!(other.peer, peers[1]);
    scheduler.status(peers[0], status(MODEL, 1, 1), now);
    let ticket = scheduler.waits(second_turn(), now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[0], "whoever does not hold out passes by");
    scheduler.ended(other, Outcome::Served, &seen(1.41, 50, 50.0), now);
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[1])]);
}

#[test]
fn nobody_holds_out_for_ever() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
    scheduler.status(peers[1], Status { stopping: true, ..status(MODEL, 1, 1) }, now);
    let stuck = scheduler.placed(need(MODEL), now);
    let mut holder = status(MODEL, 1, 0);
    holder.offers[0].prefixes = vec![2];
    scheduler.status(peers[0], holder, now);
    scheduler.status(peers[1], status(MODEL, 1, 1), now);
    // Its other choice takes a minute and a half to read; the stuck job seems about to end.
    let long = Need { prompt_bytes: 60_000, labels: vec![Label { label: 2, bytes: 59_000 }], ..need(MODEL) };
    let ticket = scheduler.waits(long, now);
    assert_eq!(scheduler.placements(now + Duration::from_secs(5)), []);
    let late = (6..30).find_map(|seconds| {
        let fates = fates(&mut scheduler, now + Duration::from_secs(seconds));
        (!fates.is_empty()).then_some((fates, seconds))
    });
    let Some((fates, _)) = late else {
        // Nor longer than anybody may wait.
        let end = scheduler.placements(now + Priority::Normal.max_wait());
        assert!(matches!(end[..], [(_, Fate::Refused(_))]), "{end:?}");
        return;
    };
    assert_eq!(fates, [(ticket, peers[1])]);
    scheduler.fails(stuck, Outcome::Left, now);
}

fn with_context(tokens: u32, free: u32) -> Status {
    let mut status = status(MODEL, 1, free);
    status.offers[0].context_tokens = tokens;
    status
}

#[test]
fn a_large_prompt_goes_where_it_fits() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
    scheduler.status(peers[0], with_context(2_000, 1), now);
    scheduler.status(peers[1], with_context(20_000, 0), now);
    let large = || Need { prompt_bytes: 12_000, longest_bytes: 12_000, ..need(MODEL) };
    let ticket = scheduler.waits(large(), now);
    scheduler.status(peers[1], with_context(20_000, 1), now);
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[1])]);
    // What the answer may need counts, too.
    let ticket = scheduler.waits(Need { max_tokens: Some(1_990), ..need(MODEL) }, now);
    scheduler.forget(ticket);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[0]);
}

#[test]
fn a_prompt_that_a_node_has_refused_goes_to_longer_contexts_only() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1), (1, 1)], now);
    for (peer, tokens) in peers.iter().zip([2_000, 4_000, 4_000]) {
        scheduler.status(*peer, with_context(tokens, 1), now);
    }
    let over = |tokens| Need { context_over: tokens, ..need(MODEL) };
    assert_eq!(scheduler.placed(over(2_000), now).peer, peers[1]);
    assert_eq!(scheduler.placed(over(2_000), now).peer, peers[2]);
    let ticket = scheduler.waits(over(2_000), now);
    assert_eq!(scheduler.ask(over(4_000), vec![], now), Choice::Nobody);
    scheduler.gone(peers[1], now);
    scheduler.gone(peers[2], now);
    assert_eq!(scheduler.placements(now), [(ticket, Fate::Nobody)], "the short one is of no use to it");
}

#[test]
fn what_fits_nowhere_is_left_to_the_nodes_unless_it_is_sure() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
    scheduler.status(peers[0], with_context(1_000, 1), now);
    scheduler.status(peers[1], with_context(5_000, 1), now);
    let doubtful = Need { prompt_bytes: 35_000, longest_bytes: 35_000, ..need(MODEL) };
    assert_eq!(scheduler.placed(doubtful, now).peer, peers[1]);
    let sure = Need { prompt_bytes: 40_100, longest_bytes: 40_100, ..need(MODEL) };
    assert!(matches!(scheduler.ask(sure, vec![], now), Choice::TooLong { limit: 5_000, .. }));
}

#[test]
fn tokens_are_counted_as_the_last_jobs_had_them() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(1, 1)], now);
    let before = scheduler.knowledge(MODEL).tokens(4_000);
    let placed = scheduler.placed(need(MODEL), now);
    let usage = Usage { prompt_tokens: 416, ..Usage::default() };
    scheduler.ended(placed, Outcome::Served, &Observed { usage: Some(usage), ..seen(1.0, 50, 10.0) }, now);
    let after = scheduler.knowledge(MODEL).tokens(4_000);
    assert_eq!((before as u32, after as u32), (1_216, 4_016));
}

#[test]
fn a_drained_node_is_given_no_more_and_finishes_what_it_has() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(2, 2), (2, 2)], now);
    let first = scheduler.placed(need(MODEL), now).peer;
    scheduler.drain([first].into());
    let second = scheduler.placed(need(MODEL), now).peer;
    assert_ne!(first, second);
    assert_eq!(scheduler.standing(&first), Standing::Here, "its answer goes on");
    // It says how it is, goes, and comes again: still drained.
    scheduler.status(first, status(MODEL, 2, 1), now);
    scheduler.gone(first, now);
    scheduler.status(first, status(MODEL, 2, 2), now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, second);
    scheduler.drain([].into());
    assert_eq!(scheduler.placed(need(MODEL), now).peer, first);
}
