//! From what a request asks for to grammars: JSON schemas, and what stands around them.

use llguidance::api::GrammarWithLexer;
use serde_json::{Map, Value as Json, json};

use super::bounds;
use crate::prompt::{self, Tool};
use crate::{Constraint, Invalid, Reasoning, Style};

/// White space between the parts of JSON: one space, or a new line and its indent; never so much that a model forgets
/// itself in it.
const WHITE_SPACE: &str = r" |\r?\n[ \t]{0,32}";
/// Most tools that a call may choose from.
const MAX_TOOLS: usize = 128;

/// The grammar of the whole answer, first, and those that it names.
pub(super) fn grammars(
    constraint: &Constraint,
    tools: Option<&str>,
    style: Style,
) -> Result<Vec<GrammarWithLexer>, Invalid> {
    let (answer, parts) = match constraint {
        Constraint::Json => ("@json".to_owned(), vec![named("json", object(Map::new()))]),
        Constraint::Schema(text) => {
            let schema = schema(text).map_err(|reason| Invalid::new("response_format", reason))?;
            ("@json".to_owned(), vec![named("json", schema)])
        }
        Constraint::ToolCall(name) => {
            let tools = wanted(name.as_deref(), tools, style)?;
            calls(&tools).map_err(|reason| Invalid::new("tools", reason))?
        }
    };
    let before = match style.reasoning {
        // The thoughts have no form; what follows them has.
        Reasoning::Open => "start: thoughts /\\n{0,2}/ answer\nthoughts[suffix=\"</think>\"]: /(?s:.*)/\n",
        Reasoning::Never | Reasoning::Marked => "start: answer\n",
    };
    let whole = GrammarWithLexer::from_lark(format!("{before}answer: {answer}\n"));
    Ok([whole].into_iter().chain(parts).collect())
}

fn schema(text: &str) -> Result<Map<String, Json>, String> {
    match serde_json::from_str(text) {
        Ok(Json::Object(schema)) => bounds::check(&schema).map(|()| schema),
        Ok(_) => Err("the schema must be a JSON object".into()),
        Err(error) => Err(format!("the schema is no JSON: {error}")),
    }
}

/// The tools of which one has to be called.
fn wanted(name: Option<&str>, tools: Option<&str>, style: Style) -> Result<Vec<Tool>, Invalid> {
    let mut tools = prompt::parse_tools(tools)?;
    if tools.is_empty() {
        return Err(Invalid::new("tool_choice", "there are no tools to call"));
    }
    if !style.tool_calls {
        let reason = "the model's chat template writes calls in a form that cannot be demanded; use \"auto\"";
        return Err(Invalid::new("tool_choice", reason));
    }
    if let Some(name) = name {
        tools.retain(|tool| tool.name == name);
        tools.truncate(1);
        if tools.is_empty() {
            return Err(Invalid::new("tool_choice", "it names none of the tools"));
        }
    }
    if tools.len() > MAX_TOOLS {
        return Err(Invalid::new("tool_choice", format!("a call can be demanded of at most {MAX_TOOLS} tools")));
    }
    Ok(tools)
}

/// A call in Hermes' form, which Qwen's models share: spaces and line breaks as they learnt them.
fn calls(tools: &[Tool]) -> Result<(String, Vec<GrammarWithLexer>), String> {
    let schemas: Vec<Map<String, Json>> = tools.iter().map(arguments).collect();
    // Together they are as much work as one that has them all.
    bounds::check(&Map::from_iter([("anyOf".to_owned(), schemas.clone().into())]))?;
    let call = |(index, tool): (usize, &Tool)| {
        let head = format!("<tool_call>\n{{\"name\": {}, \"arguments\": ", Json::from(tool.name.as_str()));
        format!("{} @tool{index} {}", literal(&head), literal("}\n</tool_call>"))
    };
    let answer = tools.iter().enumerate().map(call).collect::<Vec<_>>().join(" | ");
    // Each schema is a grammar of its own, so that its references find their definitions.
    let parts = schemas.into_iter().enumerate().map(|(index, schema)| named(&format!("tool{index}"), schema));
    Ok((answer, parts.collect()))
}

/// A string of the grammar's language, which are JSON's.
fn literal(text: &str) -> String {
    Json::from(text).to_string()
}

/// A tool's schema; of an object, whatever it says of that.
fn arguments(tool: &Tool) -> Map<String, Json> {
    match tool.parameters() {
        Json::Object(schema) => object(schema),
        _ => object(Map::new()),
    }
}

fn object(mut schema: Map<String, Json>) -> Map<String, Json> {
    schema.entry("type").or_insert_with(|| "object".into());
    schema
}

fn named(name: &str, mut schema: Map<String, Json>) -> GrammarWithLexer {
    // In place of what the schema itself may say to the compiler. `oneOf` becomes `anyOf`: a grammar cannot count.
    schema.insert("x-guidance".into(), json!({ "whitespace_pattern": WHITE_SPACE, "coerce_one_of": true }));
    GrammarWithLexer { name: Some(name.to_owned()), json_schema: Some(schema.into()), ..GrammarWithLexer::default() }
}
