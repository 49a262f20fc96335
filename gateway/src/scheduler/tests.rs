//! A made-up clock and made-up nodes.

use super::*;

const MODEL: ModelId = ModelId::new([1; 32]);
const OTHER: ModelId = ModelId::new([2; 32]);

fn status(model: ModelId, slots: u32, slots_free: u32) -> Status {
    let offer = Offer { context_tokens: 1024, slots, slots_free, ..Offer::new(model, "model") };
    Status { name: "node".into(), offers: vec![offer], ..Status::default() }
}

/// A scheduler with one node for each pair of (slots, free slots).
fn scheduler(nodes: &[(u32, u32)], now: Instant) -> (Scheduler, Vec<PeerId>) {
    let mut scheduler = Scheduler::default();
    let mut peers: Vec<PeerId> = nodes.iter().map(|_| PeerId::random()).collect();
    peers.sort();
    for (peer, (slots, free)) in peers.iter().zip(nodes) {
        scheduler.status(*peer, status(MODEL, *slots, *free), now);
    }
    (scheduler, peers)
}

#[test]
fn the_least_loaded_node_gets_the_job() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 1), (4, 3), (2, 1)], now);
    assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Place(peers[1]));
}

#[test]
fn our_own_jobs_count_before_a_status_shows_them() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(2, 2), (2, 2)], now);
    let mut placed: Vec<_> = (0..4)
        .map(|_| match scheduler.ask(MODEL, vec![], now) {
            Choice::Place(peer) => peer,
            other => panic!("{other:?}"),
        })
        .collect();
    placed.sort();
    assert_eq!(placed, [peers[0], peers[0], peers[1], peers[1]]);
    assert!(matches!(scheduler.ask(MODEL, vec![], now), Choice::Wait(_)));
}

#[test]
fn a_direct_and_near_node_is_preferred_among_equals() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1), (1, 1)], now);
    scheduler.path(peers[0], true, Some(Duration::from_millis(1)));
    scheduler.path(peers[1], false, Some(Duration::from_millis(80)));
    scheduler.path(peers[2], false, Some(Duration::from_millis(20)));
    let order: Vec<_> = (0..3).map(|_| scheduler.ask(MODEL, vec![], now)).collect();
    assert_eq!(order, [peers[2], peers[1], peers[0]].map(Choice::Place));
}

#[test]
fn never_another_model_and_never_a_node_that_was_tried() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    assert_eq!(scheduler.ask(OTHER, vec![], now), Choice::Nobody);
    assert_eq!(scheduler.ask(MODEL, peers.clone(), now), Choice::Nobody);
    assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Place(peers[0]));
}

#[test]
fn a_slot_that_our_job_has_left_is_free_before_a_status_says_so() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Place(peers[0]));
    scheduler.status(peers[0], status(MODEL, 1, 0), now);
    scheduler.ended(peers[0], MODEL, Outcome::Served, now);
    assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Place(peers[0]));
}

#[test]
fn who_waits_is_served_in_turn() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Place(peers[0]));
    let Choice::Wait(first) = scheduler.ask(MODEL, vec![], now) else { panic!() };
    let Choice::Wait(second) = scheduler.ask(MODEL, vec![], now) else { panic!() };
    assert_eq!(scheduler.placements(now), []);
    scheduler.ended(peers[0], MODEL, Outcome::Served, now);
    assert!(matches!(scheduler.ask(MODEL, vec![], now), Choice::Wait(_)), "nobody jumps the queue");
    assert_eq!(scheduler.placements(now), [(first, Fate::Placed(peers[0]))]);
    scheduler.forget(second);
    scheduler.ended(peers[0], MODEL, Outcome::Served, now);
    assert_eq!(scheduler.placements(now).len(), 1, "the one who left is not served");
}

#[test]
fn waiting_ends_in_time_and_has_a_bound() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 0)], now);
    for _ in 0..MAX_WAITING {
        assert!(matches!(scheduler.ask(MODEL, vec![], now), Choice::Wait(_)));
    }
    assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Full);
    let late = scheduler.placements(now + MAX_WAIT);
    assert_eq!(late.len(), MAX_WAITING);
    assert!(late.iter().all(|(_, fate)| *fate == Fate::Overdue));

    let Choice::Wait(ticket) = scheduler.ask(MODEL, vec![], now) else { panic!() };
    scheduler.gone(peers[0]);
    assert_eq!(scheduler.placements(now), [(ticket, Fate::Nobody)]);
}

#[test]
fn a_node_that_claims_too_much_does_not_get_it() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(4_096, 4_096)], now);
    for _ in 0..MAX_JOBS_PER_NODE {
        assert!(matches!(scheduler.ask(MODEL, vec![], now), Choice::Place(_)));
    }
    assert!(matches!(scheduler.ask(MODEL, vec![], now), Choice::Wait(_)));
}

#[test]
fn a_failing_node_rests_longer_each_time() {
    let mut now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    for failure in 0..3 {
        assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Place(peers[0]));
        scheduler.ended(peers[0], MODEL, Outcome::Failed, now);
        let rest = FIRST_REST * (1 << failure);
        let Choice::Wait(ticket) = scheduler.ask(MODEL, vec![], now) else { panic!() };
        assert_eq!(scheduler.placements(now + rest / 2), []);
        scheduler.forget(ticket);
        now += rest;
    }
}

#[test]
fn jobs_that_fail_together_are_one_failure() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 4)], now);
    for _ in 0..4 {
        assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Place(peers[0]));
    }
    for _ in 0..4 {
        scheduler.ended(peers[0], MODEL, Outcome::Failed, now);
    }
    assert_eq!(scheduler.ask(MODEL, vec![], now + FIRST_REST), Choice::Place(peers[0]));
}

#[test]
fn a_node_that_was_busy_after_all_is_full_until_it_says_otherwise() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(2, 2)], now);
    assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Place(peers[0]));
    scheduler.ended(peers[0], MODEL, Outcome::Busy, now);
    let Choice::Wait(ticket) = scheduler.ask(MODEL, vec![], now) else { panic!() };
    scheduler.status(peers[0], status(MODEL, 2, 1), now);
    assert_eq!(scheduler.placements(now), [(ticket, Fate::Placed(peers[0]))]);
}

#[test]
fn silent_and_stopping_nodes_get_nothing() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
    scheduler.status(peers[0], Status { stopping: true, ..status(MODEL, 1, 1) }, now + STATUS_TIMEOUT);
    assert!(scheduler.expire(now + STATUS_TIMEOUT));
    assert_eq!(scheduler.ask(MODEL, vec![], now), Choice::Nobody);
    assert_eq!((scheduler.view().nodes.len(), scheduler.view().models.len()), (1, 0));
}

#[test]
fn two_files_of_one_name_are_two_models() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(1, 1)], now);
    assert_eq!(scheduler.view().models[0].name, "model");
    scheduler.status(PeerId::random(), status(OTHER, 2, 2), now);
    let names: Vec<String> = scheduler.view().models.iter().map(|model| model.name.clone()).collect();
    assert_eq!(names, ["model@010101010101", "model@020202020202"]);
}

#[test]
fn the_number_of_nodes_is_bounded() {
    let now = Instant::now();
    let mut scheduler = Scheduler::default();
    for _ in 0..=MAX_NODES {
        scheduler.status(PeerId::random(), status(MODEL, 1, 1), now);
    }
    assert_eq!(scheduler.view().nodes.len(), MAX_NODES);
    assert_eq!(scheduler.view().models[0].nodes as usize, MAX_NODES);
}
