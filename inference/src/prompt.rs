//! From a conversation to the text that a model was trained on: the chat template of its file, in Jinja.
//!
//! Rendered as Hugging Face's `transformers` does it, which is what authors of templates test with: blocks are
//! trimmed, Python's string methods exist, `tojson` writes like Python. A template is a stranger's program, so its
//! steps are counted and its errors show none of the conversation.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Template, Value};

use crate::{Invalid, RawPrompt, Reasoning, Request, Style};

pub use tools::Tool;
pub(crate) use tools::parse as parse_tools;

mod functions;
mod messages;
mod tools;

/// Steps that a template may take. Long conversations with tools need some ten thousand.
const FUEL: u64 = 5_000_000;
const NAME: &str = "chat";
/// How models that think begin and end it.
const THINK: &str = "<think>";
const THINK_END: &str = "</think>";
/// How models that call tools in Hermes' form begin a call.
const TOOL_CALL: &str = "<tool_call>";
/// What templates call the switch for it.
const ENABLE_THINKING: &str = "enable_thinking";

/// A model's way to write a conversation.
#[derive(Debug)]
pub struct Prompt {
    /// `None` for a file without a template.
    environment: Option<Environment<'static>>,
    bos: String,
    eos: String,
}

/// Texts of the tokens that templates write out; empty where a model has none.
#[derive(Clone, Debug, Default)]
pub struct Specials {
    /// At the beginning of a text.
    pub bos: String,
    /// At the end of a text.
    pub eos: String,
}

/// A conversation as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Up to where the assistant's answer begins.
    pub text: String,
    /// How to read what the model will write.
    pub style: Style,
}

impl Prompt {
    /// Compiles a template.
    ///
    /// # Errors
    /// One line about what is wrong with it.
    pub fn new(template: &str, specials: Specials) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_syntax(syntax());
        environment.set_fuel(Some(FUEL));
        environment.set_debug(false);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        functions::add_to(&mut environment);
        environment.add_template_owned(NAME, without_generation(template)).map_err(|error| error.to_string())?;
        Ok(Self { environment: Some(environment), bos: specials.bos, eos: specials.eos })
    }

    /// For a file without a template: the messages' texts, one after the other, for the model to go on from.
    /// That is right for models which were only trained to continue text.
    pub fn raw() -> Self {
        Self { environment: None, bos: String::new(), eos: String::new() }
    }

    /// Writes a request's conversation and tools down to where the assistant's answer begins. A raw text stays as it is.
    ///
    /// An answer that must have a form begins with it: the model is told not to think, unless its template opens the
    /// thoughts by itself; then the form begins behind them.
    ///
    /// # Errors
    /// Names `messages` when the template refuses the conversation or fails on it, `tools` when they are no list of
    /// functions or the template knows no tools.
    pub fn render(&self, request: &Request) -> Result<Rendered, Invalid> {
        if let Some(RawPrompt::Text(text)) = &request.raw {
            return Ok(Rendered { text: text.clone(), style: Style::default() });
        }
        let tools = tools::parse(request.tools.as_deref())?;
        let Some(environment) = &self.environment else {
            if !tools.is_empty() {
                return Err(no_tools());
            }
            let text = request.messages.iter().map(|message| message.content.as_str()).collect();
            return Ok(Rendered { text, style: Style::default() });
        };
        let template = environment.get_template(NAME).map_err(|error| refusal(&error))?;
        if !tools.is_empty() && !template.undeclared_variables(false).contains("tools") {
            return Err(no_tools());
        }
        let mut values = self.values(request, &tools)?;
        let rendered = write(&template, &values, &tools)?;
        if request.constraint.is_none() || rendered.style.reasoning == Reasoning::Open {
            return Ok(rendered);
        }
        values.insert(ENABLE_THINKING, false.into());
        let rendered = write(&template, &values, &tools)?;
        Ok(Rendered { style: Style { reasoning: Reasoning::Never, ..rendered.style }, ..rendered })
    }

    /// What a template may ask for.
    fn values(&self, request: &Request, tools: &[Tool]) -> Result<BTreeMap<&'static str, Value>, Invalid> {
        let mut values = BTreeMap::from([
            ("messages", messages::values(&request.messages)?),
            ("bos_token", Value::from(&self.bos)),
            ("eos_token", Value::from(&self.eos)),
            ("add_generation_prompt", Value::from(true)),
            ("tools", tools::value(tools)),
            ("documents", Value::from(())),
        ]);
        // Templates ask whether it is defined at all.
        values.extend(request.thinking.map(|thinking| (ENABLE_THINKING, Value::from(thinking))));
        Ok(values)
    }
}

fn write(template: &Template<'_, '_>, values: &BTreeMap<&str, Value>, tools: &[Tool]) -> Result<Rendered, Invalid> {
    let text = template.render(values).map_err(|error| refusal(&error))?;
    let source = template.source();
    let reasoning = match text.trim_end() {
        end if end.ends_with(THINK) => Reasoning::Open,
        end if end.ends_with(THINK_END) => Reasoning::Never,
        _ if source.contains(THINK) || source.contains(THINK_END) => Reasoning::Marked,
        _ => Reasoning::Never,
    };
    let tool_calls = !tools.is_empty() && source.contains(TOOL_CALL);
    Ok(Rendered { text, style: Style { reasoning, tool_calls } })
}

fn no_tools() -> Invalid {
    Invalid::new("tools", "the model's chat template knows no tools; choose another model or leave them out")
}

fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    syntax.build().expect("the delimiters are Jinja's own")
}

/// `{% generation %}` marks the assistant's text for training; here it only has to keep its trimming of spaces.
fn without_generation(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let (tag, behind) = rest[start..].split_at(length + 2);
        out.push_str(&rest[..start]);
        match tag.trim_matches(|c: char| "{}%-+".contains(c) || c.is_whitespace()) {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = behind;
    }
    out + rest
}

/// Only what a template raises itself is shown: other messages may quote the conversation.
fn refusal(error: &minijinja::Error) -> Invalid {
    let reason = match functions::raised(error) {
        Some(raised) => format!("the model's chat template refuses this conversation: {raised}"),
        None if error.kind() == ErrorKind::OutOfFuel => "the model's chat template takes too long".to_owned(),
        None => format!("the model's chat template fails at line {}: {}", error.line().unwrap_or(0), error.kind()),
    };
    Invalid::new("messages", reason)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
