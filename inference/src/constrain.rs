//! Keeps an answer to a form: JSON, a JSON schema, a call of a tool.
//!
//! The form becomes a grammar over bytes, and before each token the grammar says which tokens may come next. What it
//! costs to read a stranger's schema, and to follow it, is bounded. A matcher's state depends on the answer's tokens
//! only, so that another engine goes on as this one would have.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher as Parser, ParserFactory, TokenParser};

use crate::engine::Engine;
use crate::{Constraint, Failure, Invalid, Request, Style};

mod bounds;
mod grammar;

/// Longest token that may be part of a form; the trie takes no much longer ones.
const MAX_TOKEN_BYTES: usize = 512;
/// Most tokens that the trie takes.
const MAX_VOCABULARY: u32 = 1 << 20;
/// Longest reason that is given for a schema that does not work.
const MAX_REASON: usize = 200;
/// Each byte of a schema takes some 600 bytes of it at the worst.
const STACK_BYTES: usize = 64 << 20;
/// Tokens that may stand anywhere in a string are allowed together. More such sets would make the first form of an
/// engine wait longer, and each token no faster.
const IN_STRINGS: &str = r#"[^"\\\x00-\x1F\x7F]+"#;
/// In UTF-8 no text has this byte, and the trie uses it as a mark.
const NEVER_TEXT: u8 = 0xff;

/// The vocabulary of an engine as grammars see it. Built before the engine serves: with 150,000 tokens that takes some
/// tenths of a second, which no running answer should wait.
pub struct Forms {
    /// Or why there is none.
    factory: Result<ParserFactory, String>,
}

/// Follows one answer through its form.
pub struct Matcher {
    parser: Parser,
}

impl Forms {
    /// For the answers of `engine`.
    pub fn new(engine: &dyn Engine) -> Self {
        let ends = engine.end_tokens();
        let none = || Err("this engine cannot keep an answer to a form; choose another model or leave it out".into());
        // An odd vocabulary costs its model the forms and nothing else.
        let build = || factory(engine, &ends).map_err(|reason| one_line(&reason));
        let built = || catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|_| none());
        Self { factory: if ends.is_empty() { none() } else { built() } }
    }

    /// The form of an answer to `request` behind the tokens that it goes on from; `None` where any answer will do.
    ///
    /// # Errors
    /// Names `response_format` or `tool_choice` for a form that cannot be kept, `continue_from` for tokens that are
    /// against it.
    pub fn matcher(&self, request: &Request, style: Style) -> Result<Option<Matcher>, Invalid> {
        let Some(constraint) = &request.constraint else { return Ok(None) };
        let field = field(constraint);
        let factory = self.factory.as_ref().map_err(|reason| Invalid::new(field, reason.as_str()))?;
        let grammars = grammar::grammars(constraint, request.tools.as_deref(), style)?;
        let compiled = compile(factory, TopLevelGrammar { grammars, max_tokens: None });
        let compiled = compiled.map_err(|reason| Invalid::new(field, one_line(&reason)))?;
        let mut parser = Parser::new(Ok(compiled));
        // What cannot even begin is known before there is an answer.
        let nothing = "nothing is of this form, or it is too complex to follow; make it simpler";
        parser.compute_mask().map_err(|_| Invalid::new(field, nothing))?;
        match parser.try_consume_tokens(&request.continue_from) {
            Ok(taken) if taken == request.continue_from.len() => Ok(Some(Matcher { parser })),
            _ => Err(Invalid::new("continue_from", format!("its text is not of the form that {field} asks for"))),
        }
    }
}

impl Matcher {
    /// Leaves in `logits` those of tokens that may come next, the end tokens among them where the form is complete.
    pub(crate) fn restrict(&mut self, logits: &mut [f32]) -> Result<(), Failure> {
        let allowed = self.parser.compute_mask_or_eos().map_err(|_| lost())?;
        allowed.iter_unset_entries(|token| {
            if let Some(logit) = logits.get_mut(token) {
                *logit = f32::NEG_INFINITY;
            }
        });
        Ok(())
    }

    /// Takes the next token, which was allowed.
    pub(crate) fn take(&mut self, token: u32) -> Result<(), Failure> {
        if self.parser.is_stopped() {
            // Only the end was allowed.
            return Ok(());
        }
        self.parser.consume_token(token).map_err(|_| lost())
    }
}

/// On a stack of its own: definitions that lead to each other go as deep as a schema is long.
fn compile(factory: &ParserFactory, grammar: TopLevelGrammar) -> Result<TokenParser, String> {
    std::thread::scope(|scope| {
        let compiling = std::thread::Builder::new()
            .name("schema".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || factory.create_parser(grammar).map_err(|error| error.to_string()))
            .map_err(|error| format!("no thread to read the schema on: {error}"))?;
        compiling.join().unwrap_or_else(|_| Err("panic".into()))
    })
}

fn field(constraint: &Constraint) -> &'static str {
    match constraint {
        Constraint::Json | Constraint::Schema(_) => "response_format",
        Constraint::ToolCall(_) => "tool_choice",
    }
}

/// The parser's own words quote the answer.
fn lost() -> Failure {
    Failure::Garbage { what: "an answer whose form became too complex to follow".into() }
}

fn factory(engine: &dyn Engine, ends: &[u32]) -> Result<ParserFactory, String> {
    let size = engine.vocabulary();
    if size > MAX_VOCABULARY {
        return Err("the model has too many tokens to keep an answer to a form".into());
    }
    let mut words: Vec<Vec<u8>> = (0..size).map(|token| word(engine, token)).collect();
    for &end in ends {
        if let Some(word) = words.get_mut(end as usize) {
            word.clear();
        }
    }
    let trie = TokTrie::from(&TokRxInfo::new(size, ends[0]), &words).with_eos_tokens(ends);
    let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &[IN_STRINGS.to_owned()])
        .map_err(|error| one_line(&error.to_string()))?;
    // Its log would quote answers.
    factory.quiet();
    *factory.limits_mut() = limits();
    Ok(factory)
}

/// What a token may add to a text; nothing for a token that is no text, which the grammar then never allows.
fn word(engine: &dyn Engine, token: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    engine.token_bytes(token, &mut bytes);
    if bytes.len() > MAX_TOKEN_BYTES || bytes.contains(&NEVER_TEXT) {
        bytes.clear();
    }
    bytes
}

/// Well above what schemas of people need, and some ten milliseconds of work for any other.
fn limits() -> ParserLimits {
    ParserLimits {
        max_items_in_row: 2_000,
        initial_lexer_fuel: 500_000,
        step_lexer_fuel: 200_000,
        step_max_items: 50_000,
        max_lexer_states: 20_000,
        max_grammar_size: 20_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
    }
}

/// A reason as one line, and no more of it than people read.
fn one_line(reason: &str) -> String {
    if reason.starts_with("panic") {
        return "the schema cannot be followed; make it simpler".into();
    }
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests;
