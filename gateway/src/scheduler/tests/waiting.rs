//! The line: its order, its bounds, what is told of it.

use super::*;

#[test]
fn who_waits_is_served_in_turn() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 1)], now);
    let placed = scheduler.placed(need(MODEL), now);
    let first = scheduler.waits(need(MODEL), now);
    let second = scheduler.waits(need(MODEL), now);
    assert_eq!(scheduler.placements(now), []);
    scheduler.fails(placed, Outcome::Left, now);
    let third = scheduler.waits(need(MODEL), now);
    assert_eq!(fates(&mut scheduler, now), [(first, peers[0])], "nobody jumps the queue");
    scheduler.forget(second);
    scheduler.status(peers[0], status(MODEL, 2, 1), now);
    assert_eq!(fates(&mut scheduler, now), [(third, peers[0])], "the one who left is not served");
}

#[test]
fn waiting_ends_in_time_and_has_a_bound() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 0)], now);
    for _ in 0..MAX_WAITING {
        scheduler.waits(need(MODEL), now);
    }
    assert!(matches!(scheduler.ask(need(MODEL), vec![], now), Choice::Full(_)));
    let late = scheduler.placements(now + Priority::Normal.max_wait());
    assert_eq!(late.len(), MAX_WAITING);
    assert!(late.iter().all(|(_, fate)| matches!(fate, Fate::Refused(_))));

    let ticket = scheduler.waits(need(MODEL), now);
    scheduler.gone(peers[0], now);
    assert_eq!(scheduler.placements(now), [(ticket, Fate::Nobody)]);
}

#[test]
fn a_full_line_makes_room_for_whoever_has_the_better_right() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(1, 0)], now);
    let greedy: Vec<_> = (0..MAX_WAITING).map(|_| scheduler.waits(need(MODEL), now)).collect();
    scheduler.waits(Need { owner: owner(1), ..need(MODEL) }, now);
    let sent_away = scheduler.placements(now);
    assert!(matches!(sent_away[..], [(ticket, Fate::Refused(_))] if Some(&ticket) == greedy.last()), "{sent_away:?}");
}

#[test]
fn people_go_before_programs_and_both_before_what_has_time() {
    let mut now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 0)], now);
    let of = |priority| Need { priority, ..need(MODEL) };
    let background = scheduler.waits(of(Priority::Background), now);
    let program = scheduler.waits(of(Priority::Normal), now);
    let person = scheduler.waits(of(Priority::Interactive), now);
    let mut order = vec![];
    for _ in 0..3 {
        scheduler.status(peers[0], status(MODEL, 1, 1), now);
        let served = scheduler.placements(now);
        let [(ticket, Fate::Placed(placed))] = served[..] else { panic!("{served:?}") };
        order.push(ticket);
        now += Duration::from_secs(1);
        scheduler.fails(placed, Outcome::Left, now);
        scheduler.status(peers[0], status(MODEL, 1, 0), now);
    }
    assert_eq!(order, [person, program, background]);
}

#[test]
fn an_answer_that_stands_still_goes_before_everybody_and_holds_out_for_nobody() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 0), (1, 0)], now);
    let person = scheduler.waits(Need { priority: Priority::Interactive, ..need(MODEL) }, now);
    let label = crate::prefix::Label { label: 2, bytes: 59_000 };
    let long = Need { prompt_bytes: 60_000, labels: vec![label], ..need(MODEL) };
    let stands = scheduler.waits(Need { priority: Priority::Background, continues: true, ..long }, now);
    // The other one holds nearly all of it.
    let mut holder = status(MODEL, 1, 0);
    holder.offers[0].prefixes = vec![2];
    scheduler.status(peers[0], holder, now);
    scheduler.status(peers[1], status(MODEL, 1, 1), now);
    assert_eq!(fates(&mut scheduler, now), [(stands, peers[1])]);
    scheduler.status(peers[0], status(MODEL, 1, 1), now);
    assert_eq!(fates(&mut scheduler, now), [(person, peers[0])]);
}

#[test]
fn a_program_is_passed_by_a_few_people_only() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(1, 0)], now);
    let program = scheduler.waits(need(MODEL), now);
    let person = |number| Need { priority: Priority::Interactive, owner: owner(number), ..need(MODEL) };
    let people: Vec<_> = (1..=6).map(|number| scheduler.waits(person(number), now)).collect();
    let expected = [&people[..4], &[program], &people[4..]].concat();
    let told: Vec<_> = scheduler.estimates(now).into_iter().map(|(ticket, _)| ticket).collect();
    assert_eq!(told, expected);
    scheduler.status(peers[0], status(MODEL, 7, 7), now);
    let order: Vec<_> = fates(&mut scheduler, now).into_iter().map(|(ticket, _)| ticket).collect();
    assert_eq!(order, expected);
}

#[test]
fn background_work_leaves_a_slot_for_people() {
    let now = Instant::now();
    let (mut scheduler, peers) = scheduler(&[(2, 2)], now);
    let background = || Need { priority: Priority::Background, ..need(MODEL) };
    scheduler.placed(background(), now);
    let ticket = scheduler.waits(background(), now);
    scheduler.placed(Need { priority: Priority::Interactive, ..need(MODEL) }, now);
    // Nobody talks to a model that makes vectors.
    let mut embeds = status(MODEL, 3, 1);
    embeds.offers[0].kind = starling_protocol::message::Kind::Embedding;
    scheduler.status(peers[0], embeds, now);
    assert_eq!(fates(&mut scheduler, now), [(ticket, peers[0])]);
}

#[test]
fn where_there_is_one_slot_background_work_may_have_it() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(1, 1)], now);
    scheduler.placed(Need { priority: Priority::Background, ..need(MODEL) }, now);
}

/// Tokens that each of the owners got in the time that `jobs` jobs take, where the first keeps a hundred times as
/// many in line as the others.
fn shares(owners: u128, jobs: usize) -> Vec<f64> {
    let mut now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(2, 2), (2, 2)], now);
    let mut got = vec![0.0; owners as usize];
    let mut running = std::collections::VecDeque::new();
    let mut tickets = BTreeMap::new();
    let mut waiting = vec![0; owners as usize];
    for round in 0..jobs {
        for who in 0..owners {
            let wanted = if who == 0 { 400 } else { 4 };
            while waiting[who as usize] < wanted {
                let need = Need { owner: owner(who), ..need(MODEL) };
                match scheduler.ask(need, vec![], now) {
                    Choice::Place(placed) => running.push_back((placed, who)),
                    Choice::Wait(ticket, _) => {
                        waiting[who as usize] += 1;
                        tickets.insert(ticket, who);
                    }
                    _ => break,
                }
            }
        }
        // The greedy one also writes longer answers.
        let (placed, who) = running.pop_front().unwrap();
        let tokens = if who == 0 { 150 + round as u32 % 100 } else { 50 };
        now += Duration::from_millis(100);
        scheduler.ended(placed, Outcome::Served, &seen(0.5, tokens, 50.0), now);
        got[who as usize] += f64::from(tokens) + 136.0 / 8.0;
        for (ticket, fate) in scheduler.placements(now) {
            let Some(who) = tickets.remove(&ticket) else { continue };
            waiting[who as usize] -= 1;
            if let Fate::Placed(placed) = fate {
                running.push_back((placed, who));
            }
        }
    }
    got
}

#[test]
fn a_hundred_times_the_requests_are_no_more_than_one_share() {
    for owners in [2, 5] {
        let got = shares(owners, 2_000);
        let share = got.iter().sum::<f64>() / owners as f64;
        assert!(got[0] <= 1.2 * share, "{got:?}");
        assert!(got.iter().all(|got| *got >= 0.8 * share), "{got:?}");
    }
}

#[test]
fn an_estimate_is_about_right_and_who_would_wait_too_long_is_told_at_once() {
    let now = Instant::now();
    let (mut scheduler, _) = scheduler(&[(2, 2)], now);
    // Each job takes about 5 seconds.
    for _ in 0..20 {
        let placed = scheduler.placed(need(MODEL), now);
        scheduler.ended(placed, Outcome::Served, &seen(1.0, 81, 20.0), now);
    }
    let mut told = vec![];
    let refused = loop {
        match scheduler.ask(need(MODEL), vec![], now) {
            Choice::Place(_) => {}
            Choice::Wait(_, estimate) => told.push((estimate.position, estimate.seconds)),
            Choice::Full(retry) => break retry,
            other => panic!("{other:?}"),
        }
    };
    // Two run at once, so the line moves by two jobs in five seconds.
    for (index, (position, seconds)) in told.iter().enumerate() {
        let expected = 5 * (1 + index as u32 / 2);
        assert_eq!(*position, index as u32 + 1);
        assert!(seconds.abs_diff(expected) <= 2 + expected / 3, "{told:?}");
    }
    assert!((9..=13).contains(&told.len()), "{told:?}");
    assert!(refused > Priority::Normal.max_wait() && refused < 2 * Priority::Normal.max_wait(), "{refused:?}");
    let estimates: Vec<_> = scheduler.estimates(now).into_iter().map(|(_, estimate)| estimate.position).collect();
    assert_eq!(estimates, (1..=told.len() as u32).collect::<Vec<_>>());
}

#[test]
fn who_waits_takes_the_slot_that_is_free_first() {
    let waits = |times: &[f64], job_seconds| -> Vec<f64> { super::place::waits(times, job_seconds).take(4).collect() };
    assert_eq!(waits(&[1.0, 2.0], 2.0), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(waits(&[1.0, 30.0], 0.5), [1.0, 1.5, 2.0, 2.5], "a slot that is taken for long holds up nobody");
    assert_eq!(waits(&[1.0, 30.0], 20.0), [1.0, 21.0, 30.0, 41.0]);
    assert_eq!(waits(&[], 2.0), [2.0, 4.0, 6.0, 8.0], "without slots, one after the other");
    assert_eq!(waits(&[0.0, 0.0], 0.0), [0.0; 4]);
}
