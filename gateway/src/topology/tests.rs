//! The history, with a made-up clock.

use std::sync::Arc;

use starling_protocol::{
    message::{Accepted, Done, Finish, Nat, PauseKind, Timings, Usage},
    swarm::PeerId,
};

use super::{
    chunks,
    facts::{Card, Link, Pulse, Role, Seen, Step, Totals, What},
    flow::{Fact, Flow, News},
    history::{Cursor, History, MAX_EVENTS, MAX_LATE, MAX_NODES, MAX_STEP_EVENTS, Next, SPAN_MS},
};
use crate::{
    clock::Timestamp,
    dispatch::{AnswerEvent, DispatchError, Estimate, Placement},
};

/// Any moment.
const BEGIN: i64 = 1_800_000_000_000;

pub(crate) fn node(peer: PeerId, used: u32) -> (Card, Pulse) {
    let card = Card {
        role: Role::Node,
        peer,
        name: "attic".to_owned(),
        nat: Nat::Cone,
        gpu: "NVIDIA GeForce RTX 4070".to_owned(),
        models: vec!["qwen3:8b".to_owned()],
        slots: 4,
        version: "0.1.0".to_owned(),
        drained: false,
        paused: None,
        warned: false,
    };
    (card, Pulse { link: Link::Direct, rtt_tenths: Some(12), used, tokens: 0 })
}

fn seen(peers: &[(Card, Pulse)]) -> Seen {
    let nodes = u32::try_from(peers.len()).unwrap();
    Seen { peers: peers.to_vec(), news: vec![], totals: Totals { nodes, ..Totals::default() } }
}

fn at(second: i64) -> Timestamp {
    Timestamp(BEGIN + second * 1000)
}

/// Reads on from there: the steps, a picture counting as one, and how many pictures there were.
fn read(history: &History, cursor: &mut Cursor) -> (Vec<Step>, usize) {
    let (mut steps, mut pictures) = (vec![], 0);
    while let Some(next) = history.next(cursor) {
        match next {
            Next::Picture { whole, .. } => {
                (steps, pictures) = (vec![whole], pictures + 1);
            }
            Next::Step(step) => steps.push(Arc::unwrap_or_clone(step)),
        }
    }
    (steps, pictures)
}

fn events(steps: &[Step]) -> Vec<What> {
    steps.iter().flat_map(|step| &step.events).map(|event| event.what).collect()
}

#[test]
fn what_changes_is_written_down_and_nothing_else() {
    let mut history = History::new(PeerId::random());
    let [a, b] = [PeerId::random(), PeerId::random()];
    history.record(at(0), seen(&[node(a, 0)]));
    history.record(at(1), seen(&[node(a, 0)]));
    history.record(at(2), seen(&[node(a, 2), node(b, 0)]));
    let mut relayed = node(a, 2);
    relayed.1.link = Link::Relayed;
    relayed.0.drained = true;
    relayed.0.models = vec![];
    history.record(at(3), seen(&[relayed.clone()]));
    let mut cursor = Cursor::default();
    let (steps, pictures) = read(&history, &mut cursor);
    assert_eq!((steps.len(), pictures), (4, 1), "the picture of nothing, and three steps: one second changed nothing");
    assert_eq!(steps[1].events, [], "who was there before us has not joined");
    assert_eq!((steps[2].cards.len(), steps[2].pulses.len()), (1, 2));
    let expected =
        [What::Joined(2), What::Linked(1, Link::Relayed), What::Drained(1, true), What::Models(1), What::Left(2)];
    assert_eq!(events(&steps), expected);
    assert_eq!(steps[3].gone, [2]);
    history.record(at(4), seen(&[relayed.clone(), node(b, 1)]));
    let (steps, pictures) = read(&history, &mut cursor);
    assert_eq!((events(&steps), pictures), (vec![What::Joined(2)], 0), "who comes again is the same one");
    let resting = relayed.clone();
    for paused in [Some(PauseKind::Battery), Some(PauseKind::Gpu), None] {
        relayed.0.paused = paused;
        history.record(at(5), seen(&[relayed.clone(), node(b, 1)]));
    }
    assert_eq!(relayed, resting);
    let (steps, _) = read(&history, &mut cursor);
    let expected = [What::Paused(1, PauseKind::Battery), What::Paused(1, PauseKind::Gpu), What::Back(1)];
    assert_eq!(events(&steps), expected);
}

#[test]
fn the_picture_of_any_moment_is_the_first_and_the_steps_since() {
    let mut history = History::new(PeerId::random());
    let peers: Vec<PeerId> = (0..20).map(|_| PeerId::random()).collect();
    let mut expected = vec![];
    for second in 0..1_500_i64 {
        // Each comes and goes at a pace of its own.
        let here = peers.iter().zip(1_i64..).filter(|(_, pace)| (second / pace) % 3 != 2);
        let here: Vec<_> =
            here.map(|(peer, pace)| node(*peer, u32::try_from(second / (pace * 2) % 5).unwrap())).collect();
        history.record(at(second), seen(&here));
        let mut used: Vec<u32> = here.iter().map(|(_, pulse)| pulse.used).collect();
        used.sort_unstable();
        expected.push(used);
    }
    let last = 1_499;
    for second in (last - SPAN_MS / 1000)..=last {
        let picture = history.at(at(second));
        let mut used: Vec<u32> = (0..50).filter_map(|id| picture.pulse(id)).map(|pulse| pulse.used).collect();
        used.sort_unstable();
        assert_eq!(used, expected[usize::try_from(second).unwrap()], "second {second}");
    }
    // A reader who begins now comes to the same end.
    let (mut cursor, mut steps) = (Cursor::default(), 0);
    while let Some(next) = history.next(&mut cursor) {
        steps += usize::from(matches!(next, Next::Step(_)));
    }
    assert!((400..=601).contains(&steps), "{steps}: a second in which nothing changes is no step");
}

#[test]
fn it_is_bounded_whatever_happens() {
    let me = PeerId::random();
    let mut history = History::new(me);
    let news = |second: i64, answer| News { at: at(second), answer, fact: Fact::Waits };
    for second in 0..1_300 {
        // Other nodes each second, more than are shown, and more events than are kept.
        let mut now = seen(&(0..20).map(|_| node(PeerId::random(), 1)).collect::<Vec<_>>());
        now.news = (0..400).map(|answer| news(second, answer)).collect();
        history.record(at(second), now);
    }
    let (steps, events, ids) = history.sizes();
    assert!(steps <= 601, "{steps} steps");
    assert!(events <= MAX_EVENTS + MAX_STEP_EVENTS, "{events} events");
    assert!(ids <= 4_096, "{ids} ids");
    let many: Vec<_> = (0..1_500).map(|_| node(PeerId::random(), 1)).collect();
    for second in 1_300..1_303 {
        history.record(at(second), seen(&many));
    }
    assert_eq!(history.at(at(1_303)).len(), MAX_NODES);
    let (mut cursor, mut totals) = (Cursor::default(), 0);
    while let Some(next) = history.next(&mut cursor) {
        if let Next::Step(step) = next {
            assert!(step.events.len() <= MAX_STEP_EVENTS);
            totals = step.totals.nodes;
        }
    }
    assert_eq!(totals, 1_500, "how many there are is said all the same");
}

#[test]
fn one_who_is_late_gets_the_picture_as_it_is() {
    let (mut history, peer) = (History::new(PeerId::random()), PeerId::random());
    let mut record = |second: i64| history.record(at(second), seen(&[node(peer, u32::try_from(second % 4).unwrap())]));
    (0..3).for_each(&mut record);
    let late = i64::try_from(MAX_LATE).unwrap();
    let mut cursor = Cursor::default();
    read(&history, &mut cursor);
    let mut record = |second: i64| history.record(at(second), seen(&[node(peer, u32::try_from(second % 4).unwrap())]));
    (3..3 + late).for_each(&mut record);
    let (steps, pictures) = read(&history, &mut cursor);
    assert_eq!((i64::try_from(steps.len()).unwrap(), pictures), (late, 0), "a little late is read on");
    let mut record = |second: i64| history.record(at(second), seen(&[node(peer, u32::try_from(second % 4).unwrap())]));
    (3 + late..4 + 2 * late).for_each(&mut record);
    let (steps, pictures) = read(&history, &mut cursor);
    assert_eq!((steps.len(), pictures), (1, 1));
    assert_eq!((steps[0].at, steps[0].cards.len()), (at(3 + 2 * late), 1));
}

#[test]
fn a_clock_that_is_put_back_stands_still() {
    let (mut history, peer) = (History::new(PeerId::random()), PeerId::random());
    history.record(at(100), seen(&[node(peer, 0)]));
    history.record(at(50), seen(&[node(peer, 1)]));
    history.record(at(101), seen(&[node(peer, 2)]));
    let (steps, _) = read(&history, &mut Cursor::default());
    let times: Vec<Timestamp> = steps.iter().map(|step| step.at).collect();
    assert_eq!(times, [at(100), at(100), at(100), at(101)]);
}

#[test]
fn a_large_picture_is_cut_and_leads_to_the_same() {
    let mut history = History::new(PeerId::random());
    let long = |_| {
        let (mut card, pulse) = node(PeerId::random(), 3);
        card.models = vec!["\u{1}".repeat(140); 8];
        (card, pulse)
    };
    history.record(at(0), seen(&(0..100).map(long).collect::<Vec<_>>()));
    let (steps, _) = read(&history, &mut Cursor::default());
    let pieces = chunks::cut(Arc::new(steps[1].clone()));
    assert!(pieces.len() > 10, "{}", pieces.len());
    let cards: usize = pieces.iter().map(|piece| piece.cards.len()).sum();
    assert_eq!((cards, pieces.last().unwrap().pulses.len()), (100, 100));
    for piece in pieces {
        let frame = crate::api::wire::topology::frame(super::News::Step(piece));
        let json = serde_json::to_string(&frame).unwrap();
        assert!(json.len() < 256 << 10, "{} bytes", json.len());
    }
}

fn started(peer: PeerId) -> Result<AnswerEvent, DispatchError> {
    let placement = Placement { peer, node_name: "attic".to_owned(), device: String::new(), relayed: false };
    Ok(AnswerEvent::Started { placement, accepted: Accepted::default(), attempt: 1 })
}

fn piece(tokens: u32) -> Result<AnswerEvent, DispatchError> {
    Ok(AnswerEvent::Piece { tokens: (0..tokens).collect(), text: "secret words".to_owned().into(), logprobs: vec![] })
}

#[test]
fn an_answer_is_followed_from_node_to_node_without_a_word_of_it() {
    let (flow, [a, b]) = (Flow::default(), [PeerId::random(), PeerId::random()]);
    let mut trace = flow.begin();
    let waits = Ok(AnswerEvent::Waiting(Estimate { position: 1, seconds: 1 }));
    trace.see(&waits, at(1));
    trace.see(&waits, at(2));
    let passed = flow.take();
    assert_eq!((passed.running, passed.waiting, passed.news.len()), (1, 1, 1));
    for (event, second) in
        [(started(a), 3), (piece(5), 4), (started(a), 5), (piece(2), 5), (started(b), 6), (piece(4), 7)]
    {
        trace.see(&event, at(second));
    }
    let passed = flow.take();
    assert_eq!((passed.tokens[&a], passed.tokens[&b], passed.waiting), (7, 4, 0));
    let facts: Vec<_> = passed.news.iter().map(|news| (news.at, news.fact)).collect();
    assert_eq!(facts, [(at(3), Fact::Began(a)), (at(6), Fact::Moved { from: a, to: b })]);
    assert!(!format!("{passed:?}").contains("secret"));
    let usage = Usage { prompt_tokens: 1, completion_tokens: 11, cached_tokens: 0 };
    trace.see(&Ok(AnswerEvent::Done(Done { finish: Finish::Stop, usage, timings: Timings::default() })), at(8));
    drop(trace);
    let passed = flow.take();
    assert_eq!((passed.running, passed.tokens.len()), (0, 0));
    assert_eq!(passed.news.iter().map(|news| news.fact).collect::<Vec<_>>(), [Fact::Ended { on: Some(b), tokens: 11 }]);
}

#[test]
fn one_that_breaks_off_or_is_left_ends_once() {
    let (flow, a) = (Flow::default(), PeerId::random());
    let mut trace = flow.begin();
    trace.see(&started(a), at(1));
    trace.see(&Err(DispatchError::NodeLost), at(2));
    drop(trace);
    let mut left = flow.begin();
    left.see(&Ok(AnswerEvent::Waiting(Estimate { position: 1, seconds: 1 })), at(3));
    drop(left);
    let passed = flow.take();
    let facts: Vec<_> = passed.news.iter().map(|news| news.fact).collect();
    let expected =
        [Fact::Began(a), Fact::Failed { on: Some(a), tokens: 0 }, Fact::Waits, Fact::Ended { on: None, tokens: 0 }];
    assert_eq!((facts.as_slice(), passed.running, passed.waiting), (&expected[..], 0, 0));
}

#[test]
fn between_two_looks_there_is_room_for_so_much_and_for_moves_longest() {
    let (flow, [a, b]) = (Flow::default(), [PeerId::random(), PeerId::random()]);
    let mut traces: Vec<_> = (0..1_000).map(|_| flow.begin()).collect();
    traces.iter_mut().for_each(|trace| trace.see(&started(a), at(1)));
    traces.iter_mut().for_each(|trace| trace.see(&started(b), at(2)));
    let passed = flow.take();
    let moved = passed.news.iter().filter(|news| matches!(news.fact, Fact::Moved { .. })).count();
    assert_eq!((passed.news.len(), moved, passed.running), (512, 256, 1_000));
}
