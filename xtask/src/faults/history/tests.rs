//! A good run has nothing wrong; each thing that can be wrong is found in one that has it.

use super::*;

const TURN: &str = "turn-1";

/// A whole answer of ten tokens, one each 300 ms, and what is left of it.
fn good() -> (Seen, After) {
    let expected: String = (0..10).map(|token| format!("{token}-abcd ")).collect();
    let begin = Instant::now();
    let mut seen = Seen { prompt: "why".into(), expected: expected.clone(), ..Seen::default() };
    seen.accepted = Some(("conversation".into(), TURN.into()));
    for token in 1..=10 {
        seen.pieces.push((begin + Duration::from_millis(300) * token as u32, token * 7));
    }
    seen.text = expected.clone();
    seen.ends = vec![End::Done];
    let stored = |id: &str, role: &str, text: &str| Stored {
        id: id.into(),
        role: role.into(),
        text: text.into(),
        status: "complete".into(),
    };
    let stored = vec![stored("question", "user", "why"), stored(TURN, "assistant", &expected)];
    let slots = vec![Slots { node: "node".into(), free: 2, total: 2 }];
    (seen, After { stored, running: 0, slots })
}

#[track_caller]
fn check_wrong(change: impl FnOnce(&mut Seen, &mut After), expected: &[Wrong]) {
    let (mut seen, mut after) = good();
    change(&mut seen, &mut after);
    let found: Vec<Wrong> = check(&[seen], &after).into_iter().map(|(_, wrong)| wrong).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_good_run_has_nothing_wrong() {
    check_wrong(|_, _| {}, &[]);
    // The reader of a style keeps the space at the end to itself.
    check_wrong(|seen, after| (seen.text.pop(), after.stored[1].text.pop(), ()).2, &[]);
    // What was never acknowledged need not be there, and may be.
    check_wrong(|seen, _| (seen.accepted, seen.ends, seen.text) = (None, vec![], String::new()), &[]);
}

#[test]
fn questions_are_there_once() {
    check_wrong(|_, after| after.stored[0].text = "another".into(), &[Wrong::Lost]);
    check_wrong(|_, after| after.stored.push(after.stored[0].clone()), &[Wrong::Doubled(2)]);
    check_wrong(|_, after| drop(after.stored.remove(1)), &[Wrong::Places(0)]);
    check_wrong(|_, after| after.stored.push(after.stored[1].clone()), &[Wrong::Places(2)]);
}

#[test]
fn every_token_counts() {
    // Doubled, lost, swapped: the text differs from there on.
    check_wrong(|seen, _| seen.text.insert_str(14, "1-abcd "), &[Wrong::Text(14)]);
    check_wrong(|seen, _| seen.text.replace_range(7..14, ""), &[Wrong::Text(7), Wrong::Short(7)]);
    let swapped = "0-abcd 2-abcd 1-abcd ";
    check_wrong(|seen, _| seen.text.replace_range(..21, swapped), &[Wrong::Text(7)]);
    check_wrong(|seen, _| seen.text.truncate(63), &[Wrong::Short(7)]);
    check_wrong(|seen, _| seen.misplaced = 1, &[Wrong::Misplaced(1)]);
    check_wrong(|_, after| after.stored[1].text.replace_range(7..8, "x"), &[Wrong::StoredText(7)]);
    check_wrong(|_, after| after.stored[1].text.truncate(63), &[Wrong::StoredShort(7)]);
}

#[test]
fn an_answer_ends_once_and_the_database_says_how() {
    check_wrong(|seen, _| seen.ends.clear(), &[Wrong::NeverEnded]);
    check_wrong(|seen, _| seen.ends.push(End::Done), &[Wrong::EndedAgain(2)]);
    check_wrong(|_, after| after.stored[1].status = "running".into(), &[Wrong::Status("running".into())]);
    let failed = |seen: &mut Seen, _: &mut After| seen.ends = vec![End::Failed("node_lost".into())];
    check_wrong(failed, &[Wrong::Status("complete".into())]);
}

#[test]
fn what_broke_off_lacks_at_most_its_last_second() {
    let broken = |stored_tokens: usize| {
        move |seen: &mut Seen, after: &mut After| {
            seen.ends = vec![End::Failed("interrupted".into())];
            after.stored[1].status = "partial".into();
            after.stored[1].text.truncate(stored_tokens * 7);
        }
    };
    check_wrong(broken(5), &[]);
    check_wrong(broken(4), &[]);
    check_wrong(broken(3), &[Wrong::StoredShort(7)]);
}

#[test]
fn nothing_is_left_behind() {
    check_wrong(|_, after| after.running = 3, &[Wrong::Running(3)]);
    let leaked = Wrong::Slots { node: "node".into(), taken: 1 };
    check_wrong(|_, after| after.slots[0].free = 1, &[leaked]);
}

#[test]
fn gaps_are_between_pieces() {
    let (mut seen, _) = good();
    seen.pieces.iter_mut().skip(4).for_each(|(at, _)| *at += Duration::from_secs(2));
    assert_eq!(seen.worst_gap(), Duration::from_millis(2_300));
    let moment = seen.pieces[3].0 + Duration::from_millis(100);
    assert_eq!(seen.next_after(moment), Some(Duration::from_millis(2_200)));
    assert_eq!(seen.next_after(seen.pieces[9].0), None);
    assert_eq!(seen.tokens(), 10);
}
