//! Slots that nobody waits for: a second node for an answer that stands still, and one that is warmed in case it does.

use super::*;

/// A warm job: what there is of an answer, for later.
fn warms() -> Need {
    Need { warms: true, continues: true, priority: Priority::Background, ..need(MODEL) }
}

fn stands_still() -> Need {
    Need { continues: true, ..need(MODEL) }
}

#[test]
fn a_second_node_is_a_free_one_that_was_not_tried() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1), (1, 0)], now);
    let first = scheduler.placed(need(MODEL), now).peer;
    let other = if first == peers[0] { peers[1] } else { peers[0] };
    assert_eq!(scheduler.spare(need(OTHER), vec![], now), None);
    assert_eq!(scheduler.spare(stands_still(), vec![first, other], now), None, "the third one is busy");
    let second = scheduler.spare(stands_still(), vec![first], now).unwrap();
    assert_eq!(second.peer, other);
    assert_eq!(scheduler.spare(stands_still(), vec![first], now), None, "it is taken now");
    scheduler.fails(second, Outcome::Left, now);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, other);
}

#[test]
fn nobody_goes_before_those_who_wait_and_nothing_stays_in_line() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 0), (1, 0)], now);
    assert_eq!(scheduler.spare(stands_still(), vec![], now), None);
    scheduler.status(peers[0], status(MODEL, 1, 1), now);
    assert_eq!(scheduler.placements(now), [], "it does not wait for a slot");
    scheduler.status(peers[0], status(MODEL, 1, 0), now);
    let ticket = scheduler.waits(need(MODEL), now);
    scheduler.status(peers[0], status(MODEL, 1, 1), now);
    assert_eq!(scheduler.spare(stands_still(), vec![], now), None, "somebody waits");
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[0])]);
}

#[test]
fn no_model_is_loaded_in_case_somebody_might_need_it() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    let model = starling_protocol::message::Loadable::new(MODEL, "model");
    scheduler.status(peers[0], Status { loadable: vec![model], ..Status::default() }, now);
    assert_eq!(scheduler.spare(stands_still(), vec![], now), None);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[0], "who needs it has it loaded");
}

#[test]
fn only_a_node_that_does_nothing_is_warmed() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(4, 4), (4, 3)], now);
    let warm = scheduler.spare(warms(), vec![], now).unwrap();
    assert_eq!(warm.peer, peers[0]);
    assert_eq!(scheduler.spare(warms(), vec![], now), None, "one computes for others, one for us");
    assert!(scheduler.spare(stands_still(), vec![], now).is_some(), "there is room on both");
}

#[test]
fn what_is_computed_for_later_makes_room_for_whoever_comes() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(1, 1)], now);
    let warm = scheduler.spare(warms(), vec![], now).unwrap();
    assert!(!scheduler.is_wanted(&warm));
    let ticket = scheduler.waits(need(MODEL), now);
    assert!(scheduler.is_wanted(&warm), "somebody waits");
    scheduler.fails(warm, Outcome::Left, now);
    assert_eq!(fates(&mut scheduler, now), [(ticket, warm.peer)]);
    let (mut scheduler, _) = super::scheduler(&[(2, 2)], now);
    let warm = scheduler.spare(warms(), vec![], now).unwrap();
    scheduler.placed(need(MODEL), now);
    assert!(scheduler.is_wanted(&warm), "somebody computes beside it");
    scheduler.gone(warm.peer, now);
    assert!(scheduler.is_wanted(&warm), "nobody is there");
}

#[test]
fn an_answer_goes_on_where_it_is_warm() {
    let now = Instant::now();
    for warm in 0..2 {
        let (mut scheduler, peers) = scheduler(&[(1, 1), (1, 1)], now);
        let warm = Some(Warm { peer: peers[warm], answered: 512 });
        let goes_on = Need { prompt_bytes: 30_000, answered: 600, warm, ..stands_still() };
        assert_eq!(Some(scheduler.placed(goes_on.clone(), now).peer), warm.map(|warm| warm.peer));
        assert_ne!(Some(scheduler.placed(goes_on, now).peer), warm.map(|warm| warm.peer), "it is full");
    }
}

#[test]
fn warming_is_charged_to_nobody_and_teaches_nothing_of_answers() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    let before = scheduler.knowledge(MODEL).answer(&need(MODEL));
    let warm = scheduler.spare(warms(), vec![], now).unwrap();
    scheduler.ended(warm, Outcome::Served, &seen(1.0, 2, 10.0), now);
    assert_eq!(scheduler.knowledge(MODEL).answer(&need(MODEL)), before);
    assert_eq!(scheduler.knowledge(MODEL).cost(&warms()), 0.0);
    assert_eq!(scheduler.nodes[&peers[0]].record.good, 0);
    assert_eq!(scheduler.placed(need(MODEL), now).peer, peers[0], "its slot is free");
}
