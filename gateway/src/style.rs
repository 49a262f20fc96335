//! What a model writes, taken apart while it comes: thoughts, calls of tools, and the answer itself.
//!
//! A node passes a model's text on as it is, so that an answer can go on elsewhere from its tokens
//! alone; this is where the text gets its meaning. Text goes in as it comes, in any pieces, and parts
//! come out: which ones does not depend on where the text was cut. Nothing is held back longer than it
//! can still turn out to be a tag, so the memory this takes is bounded. What only looks like a call is
//! text, and is given as text.
//!
//! `<think>…</think>` and `<tool_call>{"name": …, "arguments": {…}}</tool_call>` are the forms that
//! Qwen's models write, and many others after them.

mod head;
mod json;
mod part;
mod tag;

use starling_protocol::message::{Reasoning, Style};

pub use self::part::Part;
use self::{
    head::Head,
    json::{Object, Step},
    part::Parts,
    tag::{Match, Tag},
};

/// Most whitespace that is held back because a tag may follow, in bytes.
const MAX_SPACE: usize = 256;

const THINK: &str = "<think>";
const END_OF_THOUGHT: &str = "</think>";
const CALL: &str = "<tool_call>";
const END_OF_CALL: &str = "</tool_call>";

/// Takes one answer apart.
pub struct Parser {
    state: State,
    tool_calls: bool,
    /// Whitespace that belongs to the text, unless a tag follows it.
    space: String,
    /// Nothing but whitespace has come since the last call.
    after_call: bool,
    calls: u32,
    parts: Parts,
}

enum State {
    /// Nothing but whitespace so far: there may be thoughts.
    Start(Tag),
    Thought {
        end: Tag,
        begun: bool,
    },
    /// The newlines between thoughts and answer belong to neither.
    AfterThought,
    Text(Tag),
    /// From `<tool_call>` to the arguments.
    Head(String),
    Arguments(Object),
    /// Between the arguments' end and that of the object around them.
    Close,
    /// Between that and `</tool_call>`, which may be missing.
    Tail(Tag),
}

impl Parser {
    /// For an answer of this style.
    #[must_use]
    pub fn new(style: Style) -> Self {
        let state = match style.reasoning {
            Reasoning::Never => State::Text(Tag::new(CALL)),
            Reasoning::Marked => State::Start(Tag::new(THINK)),
            Reasoning::Open => State::thought(),
        };
        let tool_calls = style.tool_calls;
        Self { state, tool_calls, space: String::new(), after_call: false, calls: 0, parts: Parts::default() }
    }

    /// Takes more text; gives what is certain now.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        for letter in text.chars() {
            self.take(letter);
        }
        self.parts.take()
    }

    /// There is no more text: gives what was held back.
    pub fn end(&mut self) -> Vec<Part> {
        let space = std::mem::take(&mut self.space);
        match std::mem::replace(&mut self.state, State::Text(Tag::new(CALL))) {
            State::Thought { end, .. } => self.parts.think(&(space + end.begun())),
            State::Start(tag) => self.say(&(space + tag.begun())),
            // Whitespace behind a call is no answer.
            State::Text(tag) if self.after_call && tag.begun().is_empty() => {}
            State::Text(tag) => self.say(&(space + tag.begun())),
            State::Head(raw) => self.say(&(space + &raw)),
            State::Arguments(_) | State::Close => {
                self.parts.push(Part::CallBroken);
                self.say(&space);
            }
            State::AfterThought | State::Tail(_) => {}
        }
        self.parts.take()
    }

    /// Whole calls so far.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls
    }

    fn take(&mut self, letter: char) {
        match &mut self.state {
            State::Start(_) => self.at_start(letter),
            State::Thought { .. } => self.in_thought(letter),
            State::AfterThought if letter == '\n' => {}
            State::AfterThought => self.again(String::new(), letter),
            State::Text(_) => self.in_text(letter),
            State::Head(_) => self.in_head(letter),
            State::Arguments(object) => match object.push(letter) {
                Step::More => self.parts.argue(letter),
                Step::Done => {
                    self.parts.argue(letter);
                    self.state = State::Close;
                }
                Step::Bad => self.broken(letter),
            },
            State::Close if letter == '}' => {
                self.space.clear();
                self.call_end();
            }
            State::Close if is_space(letter) && self.space.len() < MAX_SPACE => self.space.push(letter),
            State::Close => self.broken(letter),
            State::Tail(_) => self.in_tail(letter),
        }
    }

    fn at_start(&mut self, letter: char) {
        let State::Start(tag) = &mut self.state else { return };
        if tag.begun().is_empty() && is_space(letter) && self.space.len() < MAX_SPACE {
            return self.space.push(letter);
        }
        match tag.push(letter) {
            Match::Part => {}
            Match::Whole => {
                self.space.clear();
                self.state = State::thought();
            }
            Match::No(begun) => {
                let held = std::mem::take(&mut self.space) + begun;
                self.again(held, letter);
            }
        }
    }

    fn in_thought(&mut self, letter: char) {
        let State::Thought { end, begun } = &mut self.state else { return };
        match end.push(letter) {
            Match::Part => {}
            Match::Whole => {
                self.space.clear();
                self.state = State::AfterThought;
            }
            Match::No("") if letter == '\n' && !*begun => {}
            Match::No("") if letter == '\n' && self.space.len() < MAX_SPACE => self.space.push(letter),
            Match::No(held) => {
                *begun = true;
                let held = std::mem::take(&mut self.space) + held;
                self.parts.think(&held);
                // It may begin the tag anew.
                if held.is_empty() { self.parts.think(letter.encode_utf8(&mut [0; 4])) } else { self.take(letter) }
            }
        }
    }

    fn in_text(&mut self, letter: char) {
        let State::Text(tag) = &mut self.state else { return };
        if !self.tool_calls {
            return self.say(letter.encode_utf8(&mut [0; 4]));
        }
        match tag.push(letter) {
            Match::Part => {}
            Match::Whole => self.state = State::Head(CALL.to_owned()),
            Match::No("") if is_space(letter) && self.space.len() < MAX_SPACE => self.space.push(letter),
            Match::No(held) => {
                let held = std::mem::take(&mut self.space) + held;
                self.say(&held);
                if held.is_empty() { self.say(letter.encode_utf8(&mut [0; 4])) } else { self.take(letter) }
            }
        }
    }

    fn in_head(&mut self, letter: char) {
        let State::Head(raw) = &mut self.state else { return };
        raw.push(letter);
        match head::read(&raw[CALL.len()..]) {
            Head::More => {}
            Head::Not => {
                let mut held = std::mem::take(&mut self.space) + raw;
                held.pop();
                self.say(&held);
                self.again(String::new(), letter);
            }
            Head::Bare(name) => {
                let raw = std::mem::take(&mut self.space) + raw;
                self.parts.push(Part::Call { name, raw });
                self.parts.push(Part::Arguments("{}".to_owned()));
                self.call_end();
            }
            Head::Arguments(name) => {
                raw.pop();
                let raw = std::mem::take(&mut self.space) + raw;
                self.parts.push(Part::Call { name, raw });
                self.state = State::Arguments(Object::default());
                self.take(letter);
            }
        }
    }

    fn in_tail(&mut self, letter: char) {
        let State::Tail(tag) = &mut self.state else { return };
        match tag.push(letter) {
            Match::Part => {}
            Match::Whole => {
                self.space.clear();
                self.state = State::Text(Tag::new(CALL));
            }
            Match::No("") if is_space(letter) && self.space.len() < MAX_SPACE => self.space.push(letter),
            Match::No(begun) => {
                let held = std::mem::take(&mut self.space) + begun;
                self.again(held, letter);
            }
        }
    }

    fn call_end(&mut self) {
        self.parts.push(Part::CallEnd);
        self.calls += 1;
        self.after_call = true;
        self.state = State::Tail(Tag::new(END_OF_CALL));
    }

    fn broken(&mut self, letter: char) {
        self.parts.push(Part::CallBroken);
        let space = std::mem::take(&mut self.space);
        self.say(&space);
        self.again(String::new(), letter);
    }

    /// It was all text: what was held, and this letter.
    fn again(&mut self, held: String, letter: char) {
        self.state = State::Text(Tag::new(CALL));
        for letter in held.chars().chain([letter]) {
            self.take(letter);
        }
    }

    fn say(&mut self, more: &str) {
        self.after_call &= more.is_empty();
        self.parts.say(more);
    }
}

impl State {
    fn thought() -> Self {
        Self::Thought { end: Tag::new(END_OF_THOUGHT), begun: false }
    }
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\n' | '\r' | '\t')
}

#[cfg(test)]
mod tests;
