//! Parts in, items and changes out.

use serde_json::{Value, json};

use super::{Change, Output};
use crate::{api::openai::choices::News, style::Part};

/// What is told while these parts come, as `item:change`.
fn told(output: &mut Output, parts: Vec<Part>, finish: Option<&'static str>) -> Vec<String> {
    let mut told = vec![];
    let news = News { parts, finish, ..News::of(0) };
    let taken = output.take(news, &mut |items, change| {
        told.push(match change {
            Change::Began(_) => format!("{} began", items.len()),
            Change::More { delta, .. } => format!("{} {delta}", items.len() - 1),
            Change::Ended => format!("{} ended", items.len() - 1),
        });
    });
    assert!(taken.is_ok());
    told
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

#[test]
fn each_kind_is_an_item_of_its_own() {
    let mut output = Output::default();
    let thought = Part::Thought("hm".to_owned());
    assert_eq!(told(&mut output, vec![thought, text("so ")], None), ["0 began", "0 hm", "0 ended", "1 began", "1 so "]);
    let call = Part::Call { name: "f".to_owned(), raw: String::new() };
    let parts = vec![text("be it"), call, Part::Arguments("{}".to_owned()), Part::CallEnd, text("\n")];
    assert_eq!(told(&mut output, parts, None), ["1 be it", "1 ended", "2 began", "2 {}", "2 ended"]);
    assert_eq!(told(&mut output, vec![], Some("tool_calls")), Vec::<String>::new());
    let items: Value = serde_json::to_value(output.items()).unwrap();
    let shown = |at: usize, field: &str| items[at].pointer(field).cloned().unwrap();
    assert_eq!((shown(0, "/type"), shown(0, "/content/0/text")), (json!("reasoning"), json!("hm")));
    assert_eq!((shown(1, "/type"), shown(1, "/content/0/text")), (json!("message"), json!("so be it")));
    assert_eq!((shown(2, "/name"), shown(2, "/arguments")), (json!("f"), json!("{}")));
    assert!((0..3).all(|at| shown(at, "/status") == "completed"));
    assert_eq!(output.status(), "completed");
}

#[test]
fn what_is_cut_says_so() {
    let mut output = Output::default();
    assert_eq!(told(&mut output, vec![text("a")], Some("length")), ["0 began", "0 a", "0 ended"]);
    assert_eq!(output.status(), "incomplete");
    assert_eq!(serde_json::to_value(output.items()).unwrap()[0]["status"], "incomplete");
    let call = Part::Call { name: "f".to_owned(), raw: String::new() };
    let mut output = Output::default();
    assert_eq!(
        told(&mut output, vec![call, Part::CallBroken, text("x")], None),
        ["0 began", "0 ended", "1 began", "1 x"]
    );
    assert_eq!(serde_json::to_value(output.items()).unwrap()[0]["status"], "incomplete");
}

#[test]
fn an_answer_of_spaces_is_one() {
    let mut output = Output::default();
    assert_eq!(told(&mut output, vec![text(" ")], Some("stop")), ["0 began", "0  ", "0 ended"]);
}

#[test]
fn an_answer_without_end_is_refused() {
    let mut output = Output::default();
    let flood = |output: &mut Output| {
        output.take(News { parts: vec![text(&"x".repeat(1 << 20))], ..News::of(0) }, &mut |_, _| {})
    };
    assert!((0..4).all(|_| flood(&mut output).is_ok()));
    assert!(flood(&mut output).is_err());
}
