//! Models that are loaded when somebody asks: who loads, who waits, who is left alone.

use starling_protocol::{
    limits::LOADING_STALL,
    message::{LoadFailure, Loadable},
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A node that can load the model in so many seconds, and is doing so where there are permille.
fn loadable(seconds: u32, loading: Option<u32>) -> Status {
    let model = Loadable { seconds, loading, context_tokens: 4096, ..Loadable::new(MODEL, "model") };
    Status { name: "node".into(), loadable: vec![model], ..Status::default() }
}

/// A scheduler that trusts everybody, with nodes that can load the model in so many seconds.
fn loaders(seconds: &[u32], now: Instant) -> (Scheduler, Vec<PeerId>) {
    let (mut scheduler, peers) = scheduler(&vec![(1, 1); seconds.len()], now);
    for (peer, seconds) in peers.iter().zip(seconds) {
        scheduler.status(*peer, loadable(*seconds, None), now);
    }
    (scheduler, peers)
}

#[test]
fn a_model_that_nobody_has_loaded_is_loaded_where_that_is_quickest() {
    let now = Instant::now();
    let (mut scheduler, peers) = loaders(&[30, 5, 20], now);
    let view = scheduler.view();
    assert_eq!((view.models[0].nodes, view.models[0].loaders, view.models[0].loading), (0, 3, None));
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[1]);
    assert_eq!(scheduler.ask(need(OTHER), vec![], now), Choice::Nobody);
    assert_eq!(scheduler.ask(need(MODEL), peers.clone(), now), Choice::Nobody, "all were tried");
}

#[test]
fn everybody_else_waits_for_that_load_and_is_told_how_long() {
    let mut now = Instant::now();
    let (mut scheduler, peers) = loaders(&[20, 20], now);
    let first = scheduler.placed(need(MODEL), now);
    let Choice::Wait(second, estimate) = scheduler.ask(need(MODEL), vec![], now) else { panic!("no stampede") };
    assert_eq!((estimate.position, estimate.seconds), (1, 20));
    now += 10 * SECOND;
    scheduler.status(first.peer, loadable(20, Some(500)), now);
    assert_eq!(scheduler.placements(now), []);
    assert_eq!(scheduler.estimates(now)[0].1.seconds, 10);
    assert_eq!(scheduler.view().models[0].loading, Some(500));
    now += 10 * SECOND;
    scheduler.status(first.peer, status(MODEL, 2, 1), now);
    assert_eq!(fates(&mut scheduler, now), [(second, first.peer)]);
    // What was seen counts more than what was said, also for the next time.
    scheduler.status(first.peer, loadable(1, None), now);
    let other = peers.iter().find(|peer| **peer != first.peer).unwrap();
    scheduler.status(*other, loadable(8, None), now);
    scheduler.ended(first, Outcome::Served, &seen(0.1, 10, 10.0), now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, *other);
}

#[test]
fn another_gateways_load_is_waited_for_too() {
    let now = Instant::now();
    let (mut scheduler, peers) = loaders(&[20, 20], now);
    scheduler.status(peers[0], loadable(20, Some(100)), now);
    let ticket = scheduler.waits(need(MODEL), now);
    scheduler.status(peers[0], status(MODEL, 1, 1), now + SECOND);
    assert_eq!(fates(&mut scheduler, now + SECOND), [(ticket, peers[0])]);
}

#[test]
fn a_free_slot_wins_and_a_long_line_does_not() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
    scheduler.status(peers[1], loadable(5, None), now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[0], "it is loaded there");
    // An answer of an unknown model takes twenty seconds: who waits for the first slot waits longer than for a load.
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[1]);
    let (mut scheduler, peers) = self::scheduler(&[(1, 1), (1, 1)], now);
    scheduler.status(peers[1], loadable(600, None), now);
    scheduler.placed(need(MODEL), now);
    scheduler.waits(need(MODEL), now);
}

#[test]
fn a_load_that_fails_sends_the_job_on_and_leaves_the_node_alone() {
    let mut now = Instant::now();
    let (mut scheduler, peers) = loaders(&[5, 20], now);
    let first = scheduler.placed(need(MODEL), now);
    assert_eq!(first.peer, peers[0]);
    scheduler.fails(first, Outcome::NotLoaded(LoadFailure::Memory), now);
    let again = scheduler.ask(need(MODEL), vec![peers[0]], now);
    assert!(matches!(again, Choice::Place(placed) if placed.peer == peers[1]), "{again:?}");
    let Choice::Place(second) = again else { unreachable!() };
    scheduler.fails(second, Outcome::NotLoaded(LoadFailure::File), now);
    // Nobody is left for a while; then the first one is asked again, and rests for longer if it fails again.
    let ticket = scheduler.waits(need(MODEL), now);
    assert_eq!(scheduler.placements(now + 9 * SECOND), []);
    now += 10 * SECOND;
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[0])]);
    let placed = Placed { peer: peers[0], ..second };
    let running = scheduler.nodes[&peers[0]].record.running[0].id;
    scheduler.fails(Placed { id: running, ..placed }, Outcome::NotLoaded(LoadFailure::Memory), now);
    let ticket = scheduler.waits(need(MODEL), now);
    assert_eq!(scheduler.placements(now + 19 * SECOND), []);
    assert_eq!(fates(&mut scheduler, now + 20 * SECOND), [(ticket, peers[0])]);
    assert!(!scheduler.nodes[&peers[1]].rests(now), "for other models it is as good as before");
}

#[test]
fn a_node_that_loads_another_model_is_asked_later() {
    let mut now = Instant::now();
    let (mut scheduler, peers) = loaders(&[5], now);
    let mut both = loadable(5, None);
    both.loadable.push(Loadable { loading: Some(0), seconds: 9, ..Loadable::new(OTHER, "other") });
    scheduler.status(peers[0], both.clone(), now);
    let Choice::Wait(ticket, estimate) = scheduler.ask(need(MODEL), vec![], now) else { panic!("one load at a time") };
    assert_eq!(estimate.seconds, 14, "first the other one, then this");
    both.loadable[1].loading = None;
    now += 3 * SECOND;
    scheduler.status(peers[0], both, now);
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[0])]);
}

#[test]
fn a_load_that_moves_is_waited_for_and_one_that_stands_still_is_not() {
    let begin = Instant::now();
    let (mut scheduler, peers) = loaders(&[100, 100], begin);
    scheduler.status(peers[0], loadable(100, Some(0)), begin);
    let ticket = scheduler.waits(need(MODEL), begin);
    let mut now = begin;
    for permille in 1..10 {
        now = begin + permille * 20 * SECOND;
        scheduler.status(peers[0], loadable(100, Some(permille)), now);
        scheduler.status(peers[1], loadable(100, None), now);
        assert_eq!(scheduler.placements(now), [], "longer than anybody waits for a slot");
    }
    now += LOADING_STALL / 3;
    let ticket_of_late = scheduler.waits(need(MODEL), now);
    now += LOADING_STALL / 3;
    assert!(matches!(scheduler.placements(now)[..], [(lost, Fate::Refused(_))] if lost == ticket));
    now += LOADING_STALL / 3;
    scheduler.status(peers[1], loadable(100, None), now);
    let fates = scheduler.placements(now);
    assert!(
        matches!(fates[..], [(late, Fate::Refused(_))] if late == ticket_of_late),
        "it has waited for as long as a program does: {fates:?}"
    );
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[1], "the other node is asked now");
}

#[test]
fn a_waiting_job_is_lost_once_nobody_can_load_its_model() {
    let now = Instant::now();
    let (mut scheduler, peers) = loaders(&[20], now);
    scheduler.placed(need(MODEL), now);
    let ticket = scheduler.waits(need(MODEL), now);
    scheduler.gone(peers[0], now);
    assert_eq!(scheduler.placements(now), [(ticket, Fate::Nobody)]);
}

#[test]
fn a_claim_of_no_time_at_all_counts_until_the_first_load() {
    let mut now = Instant::now();
    let (mut scheduler, peers) = loaders(&[1, 10], now);
    let first = scheduler.placed(need(MODEL), now);
    assert_eq!(first.peer, peers[0], "it says so");
    scheduler.status(peers[0], loadable(1, Some(0)), now);
    now += 40 * SECOND;
    scheduler.status(peers[0], status(MODEL, 1, 0), now);
    scheduler.ended(first, Outcome::Served, &seen(0.1, 10, 10.0), now);
    scheduler.status(peers[0], loadable(1, None), now);
    scheduler.status(peers[1], loadable(10, None), now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[1]);
}
