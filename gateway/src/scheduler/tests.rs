//! A made-up clock and made-up nodes: slots, failures, what comes and goes.

mod choice;
mod demand;
mod simulation;
mod spare;
mod waiting;

use starling_protocol::message::{Offer, PauseKind, Paused, Usage};

use super::*;
use crate::id::UserId;

const MODEL: ModelId = ModelId::new([1; 32]);
const OTHER: ModelId = ModelId::new([2; 32]);

fn status(model: ModelId, slots: u32, slots_free: u32) -> Status {
    let offer = Offer { slots, slots_free, ..Offer::new(model, "model") };
    Status { name: "node".into(), offers: vec![offer], ..Status::default() }
}

/// A job of 400 bytes.
fn need(model: ModelId) -> Need {
    Need {
        model,
        priority: Priority::Normal,
        owner: owner(0),
        prompt_bytes: 400,
        longest_bytes: 400,
        labels: vec![],
        answered: 0,
        max_tokens: None,
        continues: false,
        context_over: 0,
        warms: false,
        warm: None,
    }
}

fn owner(number: u128) -> UserId {
    format!("{number:032x}").parse().unwrap()
}

/// A scheduler that trusts everybody, with one node for each pair of (slots, free slots).
fn scheduler(nodes: &[(u32, u32)], now: Instant) -> (Scheduler, Vec<PeerId>) {
    let mut scheduler = Scheduler::new(Rules { trials: 0, ..Rules::default() });
    let mut peers: Vec<PeerId> = nodes.iter().map(|_| PeerId::random()).collect();
    peers.sort();
    for (peer, (slots, free)) in peers.iter().zip(nodes) {
        scheduler.status(*peer, status(MODEL, *slots, *free), now);
    }
    (scheduler, peers)
}

impl Scheduler {
    #[track_caller]
    fn placed(&mut self, need: Need, now: Instant) -> Placed {
        match self.ask(need, vec![], now) {
            Choice::Place(placed) => placed,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn waits(&mut self, need: Need, now: Instant) -> Ticket {
        match self.ask(need, vec![], now) {
            Choice::Wait(ticket, _) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn fails(&mut self, placed: Placed, outcome: Outcome, now: Instant) {
        self.ended(placed, outcome, &Observed::default(), now);
    }
}

/// A whole answer of so many tokens at this pace, after this long for the first one.
fn seen(first_token: f64, tokens: u32, per_second: f64) -> Observed {
    let decode = f64::from(tokens - 1) / per_second;
    Observed {
        first_token: Some(Duration::from_secs_f64(first_token)),
        decode: Some(Duration::from_secs_f64(decode)),
        tokens,
        spent: Duration::from_secs_f64(first_token + decode),
        usage: Some(Usage { prompt_tokens: 136, cached_tokens: 0, completion_tokens: tokens }),
    }
}

/// Who was placed where.
fn fates(scheduler: &mut Scheduler, now: Instant) -> Vec<(Ticket, PeerId)> {
    let placed = |(ticket, fate)| match fate {
        Fate::Placed(placed) => (ticket, placed.peer),
        other => panic!("{other:?}"),
    };
    scheduler.placements(now).into_iter().map(placed).collect()
}

#[test]
fn the_least_loaded_node_gets_the_job() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 1), (4, 3), (2, 1)], now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[1]);
}

#[test]
fn our_own_jobs_count_before_a_status_shows_them() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(2, 2), (2, 2)], now);
    let mut placed: Vec<_> = (0..4).map(|_| scheduler.placed(need(MODEL), now).peer).collect();
    placed.sort();
    assert_eq!(placed, [peers[0], peers[0], peers[1], peers[1]]);
    scheduler.waits(need(MODEL), now);
}

#[test]
fn a_direct_and_near_node_is_preferred_among_equals() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1), (1, 1)], now);
    scheduler.path(peers[0], true, Some(Duration::from_millis(1)));
    scheduler.path(peers[1], false, Some(Duration::from_millis(80)));
    scheduler.path(peers[2], false, Some(Duration::from_millis(20)));
    let order: Vec<_> = (0..3).map(|_| scheduler.placed(need(MODEL), now).peer).collect();
    assert_eq!(order, [peers[2], peers[1], peers[0]]);
}

#[test]
fn never_another_model_and_never_a_node_that_was_tried() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    assert_eq!(scheduler.ask(need(OTHER), vec![], now), Choice::Nobody);
    assert_eq!(scheduler.ask(need(MODEL), peers.clone(), now), Choice::Nobody);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[0]);
}

#[test]
fn a_slot_that_our_job_has_left_is_free_before_a_status_says_so() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    for outcome in [Outcome::Served, Outcome::Left] {
        let placed = scheduler.placed(need(MODEL), now);
        scheduler.status(peers[0], status(MODEL, 1, 0), now);
        scheduler.ended(placed, outcome, &seen(0.1, 10, 10.0), now);
    }
    scheduler.placed(need(MODEL), now);
}

#[test]
fn a_node_that_claims_too_much_does_not_get_it() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(4_096, 4_096)], now);
    for _ in 0..node::MAX_JOBS_PER_NODE {
        scheduler.placed(need(MODEL), now);
    }
    scheduler.waits(need(MODEL), now);
}

#[test]
fn a_new_node_gets_one_job_at_a_time_until_ten_have_gone_well() {
    let now = Instant::now();
    let mut scheduler = Scheduler::default();
    let peer = PeerId::random();
    scheduler.status(peer, status(MODEL, 4, 4), now);
    for good in 0..10 {
        let placed = scheduler.placed(need(MODEL), now);
        let ticket = scheduler.waits(need(MODEL), now);
        scheduler.forget(ticket);
        // A reader that leaves says nothing for the node, and a node that comes again has begun before.
        scheduler.fails(placed, Outcome::Left, now);
        scheduler.gone(peer, now);
        scheduler.status(peer, status(MODEL, 4, 4), now);
        let placed = scheduler.placed(need(MODEL), now);
        scheduler.ended(placed, Outcome::Served, &seen(0.1, 10, 10.0), now);
        assert_eq!(scheduler.nodes[&peer].record.good, good + 1);
    }
    for _ in 0..4 {
        scheduler.placed(need(MODEL), now);
    }
    scheduler.waits(need(MODEL), now);
}

#[test]
fn a_failing_node_rests_longer_each_time_and_a_new_connection_is_no_rest() {
    let mut now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    for failure in 0..3 {
        let placed = scheduler.placed(need(MODEL), now);
        scheduler.fails(placed, Outcome::Failed, now);
        scheduler.gone(peers[0], now);
        scheduler.status(peers[0], status(MODEL, 1, 1), now);
        let rest = node::FIRST_REST * (1 << failure);
        let ticket = scheduler.waits(need(MODEL), now);
        assert_eq!(scheduler.placements(now + rest / 2), []);
        scheduler.forget(ticket);
        now += rest;
    }
}

#[test]
fn jobs_that_fail_together_are_one_failure() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(4, 4)], now);
    let placed: Vec<_> = (0..4).map(|_| scheduler.placed(need(MODEL), now)).collect();
    for placed in placed {
        scheduler.fails(placed, Outcome::Failed, now);
    }
    scheduler.placed(need(MODEL), now + node::FIRST_REST);
}

#[test]
fn a_node_that_was_busy_after_all_is_full_until_it_says_otherwise() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(2, 2)], now);
    let placed = scheduler.placed(need(MODEL), now);
    scheduler.fails(placed, Outcome::Busy, now);
    let ticket = scheduler.waits(need(MODEL), now);
    scheduler.status(peers[0], status(MODEL, 2, 1), now);
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[0])]);
}

#[test]
fn a_job_that_outlives_its_connection_still_has_its_slot() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    let placed = scheduler.placed(need(MODEL), now);
    scheduler.gone(peers[0], now);
    scheduler.status(peers[0], status(MODEL, 1, 1), now);
    let ticket = scheduler.waits(need(MODEL), now);
    scheduler.ended(placed, Outcome::Served, &seen(0.1, 10, 10.0), now);
    scheduler.ended(placed, Outcome::Served, &seen(0.1, 10, 10.0), now);
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[0])]);
    scheduler.waits(need(MODEL), now);
}

#[test]
fn silent_and_stopping_nodes_get_nothing() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
    scheduler.status(peers[0], Status { stopping: true, ..status(MODEL, 1, 1) }, now + STATUS_TIMEOUT);
    assert!(scheduler.expire(now + STATUS_TIMEOUT));
    assert_eq!(scheduler.ask(need(MODEL), vec![], now), Choice::Nobody);
    assert_eq!((scheduler.view().nodes.len(), scheduler.view().models.len()), (1, 0));
}

#[test]
fn a_paused_node_gets_nothing_is_not_blamed_and_its_models_are_away() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    let placed = scheduler.placed(need(MODEL), now);
    let paused = Some(Paused { kind: PauseKind::FullScreen, seconds: None, returning: false });
    scheduler.status(peers[0], Status { stopping: true, paused, ..status(MODEL, 0, 0) }, now);
    assert_eq!(scheduler.standing(&peers[0]), Standing::Stopping, "its answers go elsewhere");
    scheduler.ended(placed, Outcome::Stopped, &Observed::default(), now);
    assert_eq!(scheduler.ask(need(MODEL), vec![], now), Choice::Nobody);
    let view = scheduler.view();
    assert_eq!((view.models.len(), view.away.len(), view.away[0].name.as_str()), (0, 1, "model"));
    assert_eq!((view.nodes[0].paused, view.nodes[0].models.len()), (paused, 1));
    // In the very moment in which it is back it is used again.
    scheduler.status(peers[0], status(MODEL, 1, 1), now);
    assert_eq!((scheduler.view().models.len(), scheduler.view().away.len()), (1, 0));
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[0]);
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

#[test]
fn a_node_that_is_not_heard_gets_what_nobody_else_can_do() {
    let mut now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
    now += Duration::from_millis(2_500);
    scheduler.status(peers[1], status(MODEL, 1, 1), now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[1]);
    let ticket = scheduler.waits(need(MODEL), now);
    scheduler.status(peers[0], status(MODEL, 1, 1), now);
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[0])], "it is heard again");
    let (mut alone, peers) = self::scheduler(&[(1, 1)], now);
    assert_eq!(alone.placed(need(MODEL), now + Duration::from_secs(4)).peer, peers[0]);
}

#[test]
fn a_node_that_was_only_slow_is_pardoned_once() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(3, 3)], now);
    let placed: Vec<_> = (0..3).map(|_| scheduler.placed(need(MODEL), now)).collect();
    for placed in placed {
        scheduler.fails(placed, Outcome::Failed, now);
    }
    scheduler.pardon(&peers[0]);
    let placed = scheduler.placed(need(MODEL), now);
    scheduler.fails(placed, Outcome::Failed, now);
    scheduler.gone(peers[0], now);
    scheduler.pardon(&peers[0]);
    scheduler.pardon(&peers[0]);
    scheduler.status(peers[0], status(MODEL, 1, 1), now);
    scheduler.placed(need(MODEL), now);
}
