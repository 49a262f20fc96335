//! Forms against an engine whose tokens are single bytes, and a few longer ones.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::*;
use crate::engine::{Admitted, Encoded, EngineError, ModelInfo, Pace, Plan, Progress, Sequence, SlotId, Stepped};
use crate::{Message, Reasoning, Role};

/// Ends an answer.
const END: u32 = 256;
const WORDS: [&str; 5] = ["{\"", "</think>", "<tool_call>", "\": ", "true"];

/// Knows tokens and nothing else.
struct Bytes {
    info: ModelInfo,
}

impl Engine for Bytes {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn vocabulary(&self) -> u32 {
        END + 1 + WORDS.len() as u32
    }

    fn end_tokens(&self) -> Vec<u32> {
        vec![END]
    }

    fn encode(&self, _: &Request) -> Result<Encoded, Invalid> {
        unreachable!("nothing here has a prompt")
    }

    fn token_bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        match token {
            0..END => bytes.push(token as u8),
            END => bytes.extend(b"<end>"),
            _ => bytes.extend(WORDS[(token - END - 1) as usize].as_bytes()),
        }
    }

    fn admit(&mut self, _: Sequence) -> Result<Admitted, EngineError> {
        unreachable!("nothing here runs")
    }

    fn release(&mut self, _: SlotId) {}

    fn step(&mut self, _: &Plan<'_>, _: &mut Vec<Progress>) -> Result<Stepped, EngineError> {
        Ok(Stepped { pace: Pace::Ready, prompt_tokens: 0 })
    }
}

fn request(constraint: Constraint) -> Request {
    let messages = vec![Message::new(Role::User, "go")];
    Request { messages, constraint: Some(constraint), ..Request::default() }
}

fn matcher(request: &Request, style: Style) -> Result<Matcher, Invalid> {
    let matcher = Forms::new(&Bytes { info: ModelInfo::default() }).matcher(request, style)?;
    Ok(matcher.expect("there is a constraint"))
}

/// Walks along `text` byte by byte; how far it may go, and whether it may end there.
fn walk(matcher: &mut Matcher, text: &str) -> (usize, bool) {
    let mut logits = vec![0.0; 262];
    for (index, byte) in text.bytes().enumerate() {
        logits.fill(0.0);
        matcher.restrict(&mut logits).unwrap();
        if logits[usize::from(byte)] != 0.0 {
            return (index, logits[END as usize] == 0.0);
        }
        matcher.take(byte.into()).unwrap();
    }
    logits.fill(0.0);
    matcher.restrict(&mut logits).unwrap();
    (text.len(), logits[END as usize] == 0.0)
}

fn check(constraint: &Constraint, style: Style, tools: Option<&str>, good: &[&str], bad: &[&str]) {
    let request = Request { tools: tools.map(str::to_owned), ..request(constraint.clone()) };
    for text in good {
        assert_eq!(walk(&mut matcher(&request, style).unwrap(), text), (text.len(), true), "{text}");
    }
    for text in bad {
        let walked = walk(&mut matcher(&request, style).unwrap(), text);
        assert_ne!(walked, (text.len(), true), "{text}");
    }
}

#[test]
fn json_is_any_object_and_nothing_else() {
    let good = ["{}", "{\"a\": [1, -2.5e3, null, true, \"ü\\n\"], \"b\":{\"c\":{}}}", "{\n  \"a\": 1\n}"];
    let bad = ["", "[]", "1", "{\"a\"}", "{}}", "{} ", "x", "{\"a\":1,}", "{\n\n\n\"a\":1}", "{'a':1}"];
    check(&Constraint::Json, Style::default(), None, &good, &bad);
}

#[test]
fn a_schema_is_kept() {
    let schema = json!({
        "type": "object",
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 20},
            "next": {"oneOf": [{"$ref": "#"}, {"type": "null"}]},
            "kind": {"$ref": "#/$defs/kind"},
        },
        "$defs": {"kind": {"enum": ["a", "b c"]}},
        "required": ["size"],
        "additionalProperties": false,
    });
    let good = ["{\"size\": 20}", "{\"size\":1,\"next\":{\"size\":2,\"next\":null}, \"kind\": \"b c\"}"];
    let bad = ["{}", "{\"size\": 21}", "{\"size\": 1.5}", "{\"size\":1,\"kind\":\"c\"}", "{\"size\":1,\"more\":2}"];
    check(&Constraint::Schema(schema.to_string()), Style::default(), None, &good, &bad);
    // What a schema says to the compiler does not count.
    let loose = json!({"type": "object", "not": {}, "x-guidance": {"lenient": true, "whitespace_pattern": ".*"}});
    let refused = matcher(&request(Constraint::Schema(loose.to_string())), Style::default());
    assert!(refused.err().unwrap().reason.contains("not"));
}

#[test]
fn an_answer_begins_behind_open_thoughts() {
    let open = Style { reasoning: Reasoning::Open, tool_calls: false };
    let good = ["</think>{}", "Well. {<\n</think>\n\n{}", "ü</thin</think>\n{\"a\":1}"];
    let bad = ["{}", "thoughts", "thoughts</think>", "thoughts</think>\n\n\n{}", "</think> {}"];
    check(&Constraint::Json, open, None, &good, &bad);
}

const TOOLS: &str = r##"[
    {"type": "function", "function": {"name": "now"}},
    {"type": "function", "function": {"name": "say \"it\"", "parameters": {
        "$defs": {"word": {"enum": ["hi", "yo"]}}, "type": "object", "properties": {"word": {"$ref": "#/$defs/word"}},
        "required": ["word"], "additionalProperties": false}}}
]"##;

#[test]
fn a_call_is_of_a_tool_and_of_its_arguments() {
    let hermes = Style { reasoning: Reasoning::Never, tool_calls: true };
    let now = "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"any\": 1}}\n</tool_call>";
    let say = "<tool_call>\n{\"name\": \"say \\\"it\\\"\", \"arguments\": {\"word\": \"yo\"}}\n</tool_call>";
    let wrong = say.replace("yo", "oh");
    check(&Constraint::ToolCall(None), hermes, Some(TOOLS), &[now, say], &["", "hello", &wrong, "{}"]);
    check(&Constraint::ToolCall(Some("now".into())), hermes, Some(TOOLS), &[now], &[say]);
}

fn refused(constraint: Constraint, tools: Option<&str>, style: Style) -> Invalid {
    let request = Request { tools: tools.map(str::to_owned), ..request(constraint) };
    matcher(&request, style).err().expect("it is taken")
}

#[test]
fn a_call_that_cannot_be_demanded_is_refused() {
    let hermes = Style { reasoning: Reasoning::Never, tool_calls: true };
    let check = |name: Option<&str>, tools: Option<&str>, style: Style, field: &str, part: &str| {
        let invalid = refused(Constraint::ToolCall(name.map(str::to_owned)), tools, style);
        assert!(invalid.field == field && invalid.reason.contains(part), "{invalid}");
    };
    check(Some("later"), Some(TOOLS), hermes, "tool_choice", "none of the tools");
    check(None, None, hermes, "tool_choice", "no tools");
    check(None, Some(TOOLS), Style::default(), "tool_choice", "\"auto\"");
    let tool = |parameters: Json| json!({"type": "function", "function": {"name": "f", "parameters": parameters}});
    let many = Json::from(vec![tool(json!({})); 129]).to_string();
    check(None, Some(&many), hermes, "tool_choice", "at most 128");
    let large = Json::from(vec![tool(json!({"anyOf": vec![json!({}); 300]})); 4]).to_string();
    check(None, Some(&large), hermes, "tools", "more than 1000 parts");
    let wrong = Json::from(vec![tool(json!({"type": 7}))]).to_string();
    check(None, Some(&wrong), hermes, "tool_choice", "type must be");
}

#[test]
fn a_schema_that_does_not_work_is_refused_in_one_line() {
    let long = "ü".repeat(3000);
    let cases = [
        ("", "no JSON"),
        ("[]", "must be a JSON object"),
        (r#"{"type": "cat"}"#, "type"),
        (r#"{"properties": []}"#, "properties must be an object"),
        (r#"{"uniqueItems": true, "type": "array"}"#, "uniqueItems"),
        (r##"{"$ref": "#/nowhere"}"##, "nowhere"),
        (r#"{"$ref": "https://example.org/schema"}"#, "ref"),
        (r##"{"$ref": "#"}"##, "nothing is of this form"),
        (r#"{"type": "string", "pattern": "("}"#, "unclosed group"),
        (&format!(r#"{{"type": "string", "pattern": {{"{long}": 1}}}}"#), ""),
        (&format!(r#"{{"required": "{long}"}}"#), ""),
    ];
    for (schema, part) in cases {
        let Invalid { field, reason } = refused(Constraint::Schema(schema.into()), None, Style::default());
        assert!(field == "response_format" && reason.contains(part), "{schema}: {reason}");
        assert!(!reason.is_empty() && reason.chars().count() <= MAX_REASON && !reason.contains('\n'), "{reason}");
    }
}

/// Schemas that would be endless work, or deep beyond any stack, if they were taken as they come.
fn hostile() -> Vec<Json> {
    let nested = |levels: usize, inner: Json| (0..levels).fold(inner, |inner, _| json!({"anyOf": [inner]}));
    let chain = |count: usize, levels: usize| {
        let next = |index: usize| nested(levels, json!({"$ref": format!("#/$defs/{}", (index + 1) % count)}));
        let all: serde_json::Map<String, Json> = (0..count).map(|index| (index.to_string(), next(index))).collect();
        json!({"$ref": "#/$defs/0", "$defs": all})
    };
    let alternatives: Vec<Json> = (0..10).map(|index| json!({"properties": {index.to_string(): true}})).collect();
    let product = |factors: usize| json!({"allOf": vec![json!({"type": "object", "anyOf": alternatives}); factors]});
    let words: Vec<String> = (0..6000).map(|index| format!("v{index}")).collect();
    let optional: serde_json::Map<String, Json> = (0..256).map(|index| (index.to_string(), true.into())).collect();
    let mut all = vec![
        nested(100, json!({"type": "null"})),
        chain(250, 1),
        chain(30, 30),
        product(2),
        product(4),
        product(9),
        json!({"enum": words}),
        json!({"properties": optional, "additionalProperties": false}),
        json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"type": "array", "items": {"type": "array", "minItems": 100_000}, "minItems": 1_000_000_000}),
        json!({"type": "string", "minLength": 100_000, "maxLength": 1_000_000_000}),
        json!({"type": "integer", "minimum": -1e15, "maximum": 1e15, "multipleOf": 997}),
        json!({"type": "object", "minProperties": 100_000}),
    ];
    let patterns = ["(a|b)*a(a|b){200}", "((a{1,100}){1,100}){1,100}", "(.*a.*b){25}(.*c){30}", "\\p{L}{200}"];
    all.extend(patterns.map(|pattern| json!({"type": "string", "pattern": pattern})));
    all
}

#[test]
fn a_hostile_schema_takes_neither_time_nor_stack() {
    let forms = Forms::new(&Bytes { info: ModelInfo::default() });
    for schema in hostile() {
        let started = Instant::now();
        let shown: String = schema.to_string().chars().take(80).collect();
        let request = request(Constraint::Schema(schema.to_string()));
        if let Ok(Some(mut matcher)) = forms.matcher(&request, Style::default()) {
            wander(&mut matcher);
        }
        // Some ten milliseconds on a machine that does nothing else.
        assert!(started.elapsed() < Duration::from_secs(5), "{shown}: {:?}", started.elapsed());
    }
}

/// Takes up to a hundred allowed tokens.
fn wander(matcher: &mut Matcher) {
    for step in 0..100 {
        let mut logits = vec![0.0; 262];
        if matcher.restrict(&mut logits).is_err() {
            return;
        }
        let allowed: Vec<u32> = (0..262).filter(|&token| logits[token as usize] == 0.0).collect();
        let token = allowed[step * 7 % allowed.len()];
        if token == END || matcher.take(token).is_err() {
            return;
        }
    }
}

#[test]
fn given_tokens_are_of_the_form_or_refused() {
    let tokens = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
    let given = |text: &str| {
        let request = Request { continue_from: tokens(text), ..request(Constraint::Json) };
        matcher(&request, Style::default())
    };
    assert_eq!(walk(&mut given("{\"a").unwrap(), "\": 1}"), (5, true));
    assert_eq!(walk(&mut given("{}").unwrap(), ""), (0, true), "nothing but the end is left");
    for text in ["x", "{]", "{}}", "{\"a\": 1} and"] {
        assert_eq!(given(text).err().unwrap().field, "continue_from", "{text}");
    }
}

#[test]
fn tokens_that_are_no_text_are_never_taken() {
    let mut matcher = matcher(&request(Constraint::Json), Style::default()).unwrap();
    let mut logits = vec![0.0; 262];
    matcher.restrict(&mut logits).unwrap();
    let allowed: Vec<u32> = (0..262).filter(|&token| logits[token as usize] == 0.0).collect();
    assert_eq!(allowed, [u32::from(b'{'), END + 1], "an opening brace, alone and with a quotation mark");
}
