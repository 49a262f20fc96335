//! What comes out, whatever goes in, and however it is cut.

use starling_protocol::message::{Reasoning, Style};

use super::{Parser, Part};

const PLAIN: Style = Style { reasoning: Reasoning::Never, tool_calls: false };
const TOOLS: Style = Style { reasoning: Reasoning::Never, tool_calls: true };
const MARKED: Style = Style { reasoning: Reasoning::Marked, tool_calls: true };
const OPEN: Style = Style { reasoning: Reasoning::Open, tool_calls: true };

/// The parts, one text: what belongs together is put together again.
fn show(parts: &[Part]) -> String {
    let (mut shown, mut last) = (String::new(), "");
    for part in parts {
        let (kind, text) = match part {
            Part::Thought(text) => ("think", text.as_str()),
            Part::Text(text) => ("text", text.as_str()),
            Part::Call { name, .. } => ("call", name.as_str()),
            Part::Arguments(text) => ("with", text.as_str()),
            Part::CallEnd => ("end", ""),
            Part::CallBroken => ("broken", ""),
        };
        if kind != last || kind == "end" {
            shown.push_str(&format!("|{kind}:"));
        }
        shown.push_str(text);
        last = kind;
    }
    shown
}

fn parse<'a>(style: Style, pieces: impl IntoIterator<Item = &'a str>) -> Vec<Part> {
    let mut parser = Parser::new(style);
    let mut parts: Vec<Part> = pieces.into_iter().flat_map(|piece| parser.push(piece)).collect();
    parts.extend(parser.end());
    let ends = parts.iter().filter(|part| matches!(part, Part::CallEnd)).count();
    assert_eq!(parser.calls() as usize, ends);
    parts
}

/// `text` whole, and one letter at a time.
#[track_caller]
fn check(style: Style, text: &str, expected: &str) {
    assert_eq!(show(&parse(style, [text])), expected, "{text:?}");
    let letters: Vec<String> = text.chars().map(String::from).collect();
    assert_eq!(show(&parse(style, letters.iter().map(String::as_str))), expected, "{text:?} letter by letter");
}

#[test]
fn a_plain_answer_is_text() {
    check(PLAIN, "", "");
    check(PLAIN, "<think>a</think>\n\nb", "|text:<think>a</think>\n\nb");
    check(PLAIN, "<tool_call>\n{\"name\": \"f\"}\n</tool_call>", "|text:<tool_call>\n{\"name\": \"f\"}\n</tool_call>");
    check(TOOLS, " grüße < \n<b>\n ", "|text: grüße < \n<b>\n ");
}

#[test]
fn thoughts_are_told_from_the_answer() {
    check(MARKED, "<think>\nhm\n\nso\n</think>\n\nyes", "|think:hm\n\nso|text:yes");
    check(MARKED, " \n<think>hm</think>yes", "|think:hm|text:yes");
    check(MARKED, "<think>\n\n</think>\n\nyes", "|text:yes");
    check(MARKED, "yes <think>hm</think>", "|text:yes <think>hm</think>");
    check(MARKED, "\n yes", "|text:\n yes");
    check(OPEN, "\nhm\n</think>\n\nyes</think>", "|think:hm|text:yes</think>");
    check(OPEN, "a </b> </think", "|think:a </b> </think");
    check(OPEN, "hm </ </think>\n yes", "|think:hm </ |text: yes");
    check(OPEN, "hm <tool_call>{\"name\": \"f\"}", "|think:hm <tool_call>{\"name\": \"f\"}");
}

#[test]
fn what_only_looks_like_a_tag_is_text() {
    for text in ["<thin", "<tool", "<<think>", "<tool<tool_cal", "\n<tool ", "<think"] {
        check(MARKED, text, &format!("|text:{text}"));
    }
    check(MARKED, "<tool_call>", "|text:<tool_call>");
    check(MARKED, "<thi<tool_call>{\"name\":\"f\"}", "|text:<thi|call:f|with:{}|end:");
    check(OPEN, "a<</think>b", "|think:a<|text:b");
    check(OPEN, "a</thin</think>b", "|think:a</thin|text:b");
}

#[test]
fn calls_are_taken_apart() {
    let one = "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"Bern\", \"n\": [1, {}]}}\n</tool_call>";
    let expected = "|call:get|with:{\"city\": \"Bern\", \"n\": [1, {}]}|end:";
    check(TOOLS, one, expected);
    check(TOOLS, &format!("\n\n{one}\n"), expected);
    check(TOOLS, &format!("{one}\n{one}"), &expected.repeat(2));
    check(TOOLS, &format!("wait\n{one}\nso"), &format!("|text:wait{expected}|text:\nso"));
    check(MARKED, &format!("<think>\nhm\n</think>\n\n{one}"), &format!("|think:hm{expected}"));
    check(TOOLS, "<tool_call>{\"name\":\"f\"}</tool_call>", "|call:f|with:{}|end:");
    check(TOOLS, "<tool_call>{\"name\":\"\\u0066\",\"arguments\":{}}</tool_call>", "|call:f|with:{}|end:");
    // Without its end, as an answer is that was to end there; and two in one.
    check(TOOLS, "<tool_call>{\"name\":\"f\",\"arguments\":{} }\n</tool", "|call:f|with:{}|end:");
    check(TOOLS, "<tool_call>{\"name\":\"f\"}\n{", "|call:f|with:{}|end:|text:\n{");
}

#[test]
fn what_is_no_call_is_text_to_the_last_letter() {
    for text in [
        "<tool_call>hello</tool_call>",
        "<tool_call>{\"name\": 5}</tool_call>",
        "<tool_call>{\"name\": \"\"}",
        "<tool_call>{\"arguments\": {}, \"name\": \"f\"}",
        "<tool_call>{\"name\": \"f\", \"arguments\": \"{}\"}",
        "<tool_call>{\"name\": \"f\\",
        "<tool_call>{\"name\": \"f\\x\"}",
        "<tool_call>\n{\"name\": \"f\", \"argu",
        "a \n<tool_call>\n{",
    ] {
        check(TOOLS, text, &format!("|text:{text}"));
    }
    let long = format!("<tool_call>{{\"name\": \"{}\"}}", "f".repeat(129));
    check(TOOLS, &long, &format!("|text:{long}"));
    let just = format!("<tool_call>{{\"name\": \"{}\"}}", "f".repeat(128));
    check(TOOLS, &just, &format!("|call:{}|with:{{}}|end:", "f".repeat(128)));
    let wide = format!("<tool_call>{}", " ".repeat(300));
    check(TOOLS, &wide, &format!("|text:{wide}"));
}

#[test]
fn a_call_that_breaks_off_says_so() {
    let head = "<tool_call>{\"name\": \"f\", \"arguments\": ";
    check(TOOLS, &format!("{head}{{\"a\": 1"), "|call:f|with:{\"a\": 1|broken:");
    check(TOOLS, &format!("{head}{{\"a\": 1}}"), "|call:f|with:{\"a\": 1}|broken:");
    check(TOOLS, &format!("{head}{{\"a\": x}} so"), "|call:f|with:{\"a\": |broken:|text:x} so");
    check(TOOLS, &format!("{head}{{}}, 5}}"), "|call:f|with:{}|broken:|text:, 5}");
    let again = format!("{head}{{<tool_call>{{\"name\":\"g\"}}</tool_call>");
    check(TOOLS, &again, "|call:f|with:{|broken:|call:g|with:{}|end:");
    let parts = parse(TOOLS, [format!("a\n{head}{{").as_str()]);
    let raw = parts.iter().find_map(|part| if let Part::Call { raw, .. } = part { Some(raw.as_str()) } else { None });
    assert_eq!(raw, Some(format!("\n{head}").as_str()), "what stood there can be put back");
}

const FRAGMENTS: [&str; 25] = [
    "<tool_call>{\"name\": \"f\", \"arguments\": {",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "\n",
    "\n\n",
    " ",
    "grüße",
    "☃",
    "{",
    "}",
    "<",
    "</",
    "<tool",
    "{\"name\": \"f\", \"arguments\": {\"a\": \"ß\\\"}\"}}",
    "{\"name\": \"f\"",
    ", \"arguments\": {",
    "\"x\": [1, 2.5]",
    "{\"name\":\"g\",\"arguments\":{}}",
    "{\"name\": \"h\"}",
    "\\",
    "\"",
    "plain text",
    "</tool_cal",
];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn text(&mut self) -> String {
        let count = 1 + self.roll(14);
        (0..count).map(|_| FRAGMENTS[self.roll(FRAGMENTS.len())]).collect()
    }

    fn cut<'a>(&mut self, text: &'a str) -> Vec<&'a str> {
        let (mut pieces, mut rest) = (vec![], text);
        while !rest.is_empty() {
            let letters = self.roll(9);
            let at = rest.char_indices().nth(letters).map_or(rest.len(), |(at, _)| at);
            let (piece, more) = rest.split_at(at);
            pieces.push(piece);
            rest = more;
        }
        pieces
    }
}

/// Without whitespace and tags, which are not part of any part.
fn bare(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    ["<think>", "</think>", "<tool_call>", "</tool_call>"].iter().fold(text, |text, tag| text.replace(tag, ""))
}

/// What the parts were made of.
fn put_back(parts: &[Part]) -> String {
    let (mut text, mut is_bare) = (String::new(), false);
    for part in parts {
        match part {
            Part::Thought(more) | Part::Text(more) => text.push_str(more),
            Part::Call { raw, .. } => {
                is_bare = raw.ends_with('}');
                text.push_str(raw);
            }
            Part::Arguments(more) if !is_bare => text.push_str(more),
            Part::CallEnd if !is_bare => text.push('}'),
            Part::Arguments(_) | Part::CallEnd | Part::CallBroken => {}
        }
    }
    text
}

#[test]
fn any_cut_gives_the_same_parts_and_nothing_is_lost() {
    let mut dice = Dice(5);
    let (mut calls, mut broken) = (0, 0);
    for round in 0..30_000 {
        let style = [PLAIN, TOOLS, MARKED, OPEN][round % 4];
        let text = dice.text();
        let parts = parse(style, [text.as_str()]);
        let pieces = dice.cut(&text);
        assert_eq!(show(&parse(style, pieces.iter().copied())), show(&parts), "{text:?} as {pieces:?}");
        // The end of a call that has only begun when the answer ends is no text.
        let (given, all) = (bare(&put_back(&parts)), bare(&text));
        let rest = all.strip_prefix(given.as_str());
        assert!(rest.is_some_and(|rest| "</tool_call>".starts_with(rest)), "{text:?}: {}", show(&parts));
        for part in &parts {
            calls += u32::from(*part == Part::CallEnd);
            broken += u32::from(*part == Part::CallBroken);
        }
    }
    assert!(calls > 100 && broken > 20, "{calls} calls, {broken} broken");
}

#[test]
fn arguments_of_a_whole_call_are_json() {
    let mut dice = Dice(9);
    for _ in 0..20_000 {
        let text = format!("<tool_call>{{\"name\": \"f\", \"arguments\": {{{}", dice.text());
        let mut arguments = String::new();
        for part in parse(TOOLS, [text.as_str()]) {
            match part {
                Part::Call { .. } => arguments.clear(),
                Part::Arguments(more) => arguments.push_str(&more),
                Part::CallEnd => {
                    let read: Result<serde_json::Map<_, _>, _> = serde_json::from_str(&arguments);
                    assert!(read.is_ok(), "{arguments:?}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn little_is_held_back() {
    let streams =
        ["\n", " ", "<", "<tool_call>", "<tool_call>\n ", "</", "<think>", "\n\n</thin", "{\"name\": \"", "x"];
    for style in [PLAIN, TOOLS, MARKED, OPEN] {
        for unit in streams {
            let mut parser = Parser::new(style);
            let (mut given, mut taken) = (0, 0);
            for _ in 0..2_000 {
                taken += unit.len();
                given += put_back(&parser.push(unit)).len();
                // Newlines at the beginning of thoughts, and what was read as a tag, are not given.
                let dropped = if style.reasoning == Reasoning::Never { 0 } else { "<think>".len() };
                let thinking = style.reasoning == Reasoning::Open && unit == "\n";
                assert!(thinking || given + 600 + dropped >= taken, "{unit:?}: {given} of {taken}");
            }
        }
    }
    // Arguments flow while they come.
    let mut parser = Parser::new(TOOLS);
    parser.push("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"");
    for _ in 0..1_000 {
        assert_eq!(show(&parser.push("more ")), "|with:more ");
    }
}
