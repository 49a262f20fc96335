//! Messages survive the way, and nothing else gets in.

use super::*;
use crate::{Message, Request, Role, Style};

fn messages(bytes: &[u8]) -> Result<Vec<Report>, FrameError> {
    let mut inbox = Inbox::default();
    inbox.space().extend_from_slice(bytes);
    let mut got = vec![];
    while let Some(report) = inbox.next()? {
        got.push(report);
    }
    Ok(got)
}

fn some_reports() -> Vec<u8> {
    let mut outbox = Outbox::default();
    let piece = Output::Piece { tokens: vec![1, 70_000], text: "zwei".into(), logprobs: vec![] };
    let load = Load { prefixes: [1, 2].into(), running: 3, ..Load::default() };
    let reports = [
        Report::Opened(ModelInfo { name: "model".into(), ..ModelInfo::default() }),
        Report::Load(LoadShown::new(&load, &Load::default())),
        Report::Output {
            id: 7,
            output: Output::Started { prompt_tokens: 1, cached_tokens: 0, style: Style::default() },
        },
        Report::Output { id: 7, output: piece },
        Report::Beat { pulse: u64::MAX },
    ];
    for report in &reports {
        outbox.put(report).expect("it is small");
    }
    outbox.rest().to_vec()
}

#[test]
fn messages_come_out_as_they_went_in_however_they_are_cut() {
    let bytes = some_reports();
    let mut inbox = Inbox::default();
    let mut got = vec![];
    for byte in bytes {
        inbox.space().push(byte);
        got.extend(inbox.next::<Report>().expect("all is well"));
    }
    assert_eq!(got.len(), 5);
    assert!(matches!(&got[3], Report::Output { id: 7, output: Output::Piece { tokens, text, .. } }
        if *tokens == [1, 70_000] && text == "zwei"));
    let Report::Load(load) = got.remove(1) else { panic!("no load") };
    let mut shown = Load { alive: true, ..Load::default() };
    load.apply(&mut shown);
    assert_eq!((shown.running, &*shown.prefixes, shown.alive), (3, &[1, 2][..], true));
}

#[test]
fn an_order_carries_a_whole_request() {
    let request = Request {
        messages: vec![Message::new(Role::User, "hello")],
        max_tokens: Some(3),
        prefixes: vec![1 << 60],
        ..Request::default()
    };
    let mut outbox = Outbox::default();
    outbox.put(&Order::Job { id: 1, outputs: 2, work: Work::Answer(Box::new(request)) }).expect("it is small");
    let mut inbox = Inbox::default();
    inbox.space().extend_from_slice(outbox.rest());
    let Ok(Some(Order::Job { id: 1, outputs: 2, work: Work::Answer(request) })) = inbox.next() else {
        panic!("another order")
    };
    assert_eq!((request.messages[0].content.as_str(), request.max_tokens), ("hello", Some(3)));
    assert_eq!(request.prefixes, [1 << 60]);
}

#[test]
fn garbage_is_an_error_and_never_more() {
    let good = some_reports();
    // Every byte in turn, changed in some ways: an error or another message, no panic and no large allocation.
    for at in 0..good.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            let _ = messages(&bytes);
        }
    }
    let framed = |body: &[u8]| [&u32::try_from(body.len()).expect("short").to_le_bytes(), body].concat();
    assert_eq!(messages(&framed(&[99])).err(), Some(FrameError::Garbage), "no such message");
    assert_eq!(messages(&framed(&[])).err(), Some(FrameError::Garbage), "no message at all");
    assert_eq!(messages(&framed(&[6, 1, 1])).err(), Some(FrameError::Garbage), "more than a message");
    // An output with a text that claims to be endless.
    let endless = [4, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(messages(&framed(&endless)).err(), Some(FrameError::Garbage));
}

#[test]
fn a_length_is_not_believed() {
    let mut inbox = Inbox::default();
    let too_large = u32::try_from(MAX_FRAME + 1).expect("it fits");
    inbox.space().extend_from_slice(&too_large.to_le_bytes());
    assert!(matches!(inbox.next::<Report>(), Err(FrameError::TooLarge(_))));
    let mut inbox = Inbox::default();
    inbox.space().extend_from_slice(&u32::try_from(MAX_FRAME).expect("it fits").to_le_bytes());
    assert!(matches!(inbox.next::<Report>(), Ok(None)));
    assert!(inbox.space().capacity() < 1024);
}

#[test]
fn what_is_too_large_is_not_sent() {
    let mut outbox = Outbox::default();
    outbox.put(&Report::Beat { pulse: 1 }).expect("it is small");
    let before = outbox.rest().to_vec();
    let (hint, reason) = (String::new(), Reason::Other);
    let huge = Report::NotOpened { what: "x".repeat(MAX_FRAME + 1), hint, memory: false, reason };
    assert!(matches!(outbox.put(&huge), Err(FrameError::TooLarge(_))));
    assert_eq!(outbox.rest(), before);
}
