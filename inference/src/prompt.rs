//! From a conversation to the text that a model was trained on: the chat template of its file, in Jinja.
//!
//! Rendered as Hugging Face's `transformers` does it, which is what authors of templates test with: blocks are
//! trimmed, Python's string methods exist, `tojson` writes like Python. A template is a stranger's program, so its
//! steps are counted and its errors show none of the conversation.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};

use crate::{Invalid, Message};

mod functions;

/// Steps that a template may take. Long conversations with tools need some ten thousand.
const FUEL: u64 = 5_000_000;
const NAME: &str = "chat";

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

    /// Writes a conversation down to where the assistant's answer begins.
    ///
    /// # Errors
    /// Names `messages` when the template refuses the conversation or fails on it.
    pub fn render(&self, messages: &[Message]) -> Result<String, Invalid> {
        let Some(environment) = &self.environment else {
            return Ok(messages.iter().map(|message| message.content.as_str()).collect());
        };
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role.as_str(), content => &message.content })
            .collect();
        let values = context! {
            messages,
            bos_token => &self.bos,
            eos_token => &self.eos,
            add_generation_prompt => true,
            tools => (),
            documents => (),
        };
        let template = environment.get_template(NAME).map_err(|error| refusal(&error))?;
        template.render(values).map_err(|error| refusal(&error))
    }
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
mod tests;
