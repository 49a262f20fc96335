//! A streamed response: the events that OpenAI's clients know, numbered from 0.

use std::collections::VecDeque;

use serde::Serialize;

use super::{
    object::{Failure, Frame, ResponseObject},
    output::{Change, Content, Item, Output},
};
use crate::{
    api::{
        error::ApiError,
        openai::{
            choices::{Choices, News},
            flow::{Form, line},
            logprobs::Token,
        },
    },
    dispatch::DispatchError,
};

/// How events are written.
pub(super) struct Events {
    frame: Frame,
    output: Output,
    /// The next event's number.
    number: u64,
    /// Why it is over before its end.
    broken: bool,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Event<'a> {
    #[serde(rename = "response.created")]
    Created { response: ResponseObject<'a> },
    #[serde(rename = "response.in_progress")]
    InProgress { response: ResponseObject<'a> },
    #[serde(rename = "response.completed")]
    Completed { response: ResponseObject<'a> },
    #[serde(rename = "response.incomplete")]
    Incomplete { response: ResponseObject<'a> },
    #[serde(rename = "response.failed")]
    Failed { response: ResponseObject<'a> },
    #[serde(rename = "response.output_item.added")]
    ItemAdded { output_index: usize, item: Item },
    #[serde(rename = "response.output_item.done")]
    ItemDone { output_index: usize, item: &'a Item },
    #[serde(rename = "response.content_part.added")]
    PartAdded { item_id: &'a str, output_index: usize, content_index: u32, part: &'a Content },
    #[serde(rename = "response.content_part.done")]
    PartDone { item_id: &'a str, output_index: usize, content_index: u32, part: &'a Content },
    #[serde(rename = "response.output_text.delta")]
    TextDelta { item_id: &'a str, output_index: usize, content_index: u32, delta: &'a str, logprobs: &'a [Token] },
    #[serde(rename = "response.output_text.done")]
    TextDone { item_id: &'a str, output_index: usize, content_index: u32, text: &'a str, logprobs: &'a [Token] },
    #[serde(rename = "response.reasoning_text.delta")]
    ThoughtDelta { item_id: &'a str, output_index: usize, content_index: u32, delta: &'a str },
    #[serde(rename = "response.reasoning_text.done")]
    ThoughtDone { item_id: &'a str, output_index: usize, content_index: u32, text: &'a str },
    #[serde(rename = "response.function_call_arguments.delta")]
    ArgumentsDelta { item_id: &'a str, output_index: usize, delta: &'a str },
    #[serde(rename = "response.function_call_arguments.done")]
    ArgumentsDone { item_id: &'a str, output_index: usize, name: &'a str, arguments: &'a str },
}

#[derive(Serialize)]
struct Numbered<'a> {
    #[serde(flatten)]
    event: Event<'a>,
    sequence_number: u64,
}

/// Where events go.
struct Out<'a> {
    number: &'a mut u64,
    ready: &'a mut VecDeque<String>,
}

impl Out<'_> {
    fn push(&mut self, event: Event<'_>) {
        self.ready.push_back(line(&Numbered { event, sequence_number: *self.number }));
        *self.number += 1;
    }

    fn change(&mut self, items: &[Item], change: Change<'_>) {
        match change {
            Change::Began(item) => self.began(items.len(), item),
            Change::More { delta, logprobs } => {
                let Some((output_index, item)) = items.iter().enumerate().next_back() else { return };
                let (item_id, content_index) = (item.id(), 0);
                self.push(match item {
                    Item::Message { .. } => Event::TextDelta { item_id, output_index, content_index, delta, logprobs },
                    Item::Reasoning { .. } => Event::ThoughtDelta { item_id, output_index, content_index, delta },
                    Item::FunctionCall { .. } => Event::ArgumentsDelta { item_id, output_index, delta },
                });
            }
            Change::Ended => {
                let Some((output_index, item)) = items.iter().enumerate().next_back() else { return };
                self.ended(output_index, item);
            }
        }
    }

    fn began(&mut self, output_index: usize, item: &Item) {
        self.push(Event::ItemAdded { output_index, item: item.without_content() });
        if let Some(part) = item.content() {
            self.push(Event::PartAdded { item_id: item.id(), output_index, content_index: 0, part });
        }
    }

    fn ended(&mut self, output_index: usize, item: &Item) {
        let (item_id, content_index) = (item.id(), 0);
        match item.content() {
            Some(Content::OutputText { text, logprobs, .. }) => {
                self.push(Event::TextDone { item_id, output_index, content_index, text, logprobs });
            }
            Some(Content::ReasoningText { text }) => {
                self.push(Event::ThoughtDone { item_id, output_index, content_index, text });
            }
            None => {}
        }
        if let Item::FunctionCall { name, arguments, .. } = item {
            self.push(Event::ArgumentsDone { item_id, output_index, name, arguments });
        }
        if let Some(part) = item.content() {
            self.push(Event::PartDone { item_id, output_index, content_index, part });
        }
        self.push(Event::ItemDone { output_index, item });
    }
}

impl Events {
    pub(super) fn new(frame: Frame) -> Self {
        Self { frame, output: Output::default(), number: 0, broken: false }
    }

    fn fail(&mut self, error: ApiError, ready: &mut VecDeque<String>) {
        self.broken = true;
        let refusal = error.refusal();
        let failure = Failure { code: refusal.code, message: refusal.message };
        let response = self.frame.failed(&self.output, failure);
        Out { number: &mut self.number, ready }.push(Event::Failed { response });
    }
}

impl Form for Events {
    fn take(&mut self, news: News, _: &Choices, ready: &mut VecDeque<String>) {
        if self.broken {
            return;
        }
        let mut out = Out { number: &mut self.number, ready };
        if *out.number == 0 {
            out.push(Event::Created { response: self.frame.begun() });
            out.push(Event::InProgress { response: self.frame.begun() });
        }
        if let Err(error) = self.output.take(news, &mut |items, change| out.change(items, change)) {
            self.fail(error, ready);
        }
    }

    fn end(&mut self, choices: &Choices, ready: &mut VecDeque<String>) {
        if self.broken {
            return;
        }
        let usage = self.output.usage(choices.usage());
        let response = self.frame.ended(&self.output, usage).by(choices.facts(0));
        let is_whole = self.output.status() == "completed";
        let event = if is_whole { Event::Completed { response } } else { Event::Incomplete { response } };
        Out { number: &mut self.number, ready }.push(event);
    }

    fn broken(&mut self, error: DispatchError, ready: &mut VecDeque<String>) {
        if !self.broken {
            self.fail(error.into(), ready);
        }
    }
}
