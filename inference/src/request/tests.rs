//! Every limit of a request, from both sides.

use super::*;

fn request() -> Request {
    Request { messages: vec![Message::new(Role::User, "the secret")], ..Request::default() }
}

fn check(field: &str, change: impl FnOnce(&mut Request)) {
    let mut request = request();
    change(&mut request);
    assert_eq!(request.validate().expect_err(field).field, field);
}

#[test]
fn defaults_are_valid() {
    assert_eq!(request().validate(), Ok(()));
}

#[test]
fn a_raw_prompt_stands_alone_and_is_bounded() {
    let raw = |raw| Request { messages: vec![], raw: Some(raw), ..Request::default() }.validate();
    let field = |found: Result<(), Invalid>| found.expect_err("it was taken").field;
    assert_eq!(raw(RawPrompt::Text("once".into())), Ok(()));
    assert_eq!(raw(RawPrompt::Tokens(vec![1])), Ok(()));
    assert_eq!(field(raw(RawPrompt::Text(String::new()))), "prompt");
    assert_eq!(field(raw(RawPrompt::Tokens(vec![]))), "prompt");
    assert_eq!(field(raw(RawPrompt::Text("x".repeat(MAX_PROMPT_BYTES + 1)))), "prompt");
    assert_eq!(field(raw(RawPrompt::Tokens(vec![1; MAX_PROMPT_BYTES / 4 + 1]))), "prompt");
    check("prompt", |r| r.raw = Some(RawPrompt::Text("beside messages".into())));
}

#[test]
fn a_wrong_parameter_is_named() {
    check("messages", |r| r.messages.clear());
    check("messages", |r| r.messages = vec![Message::new(Role::User, ""); MAX_MESSAGES + 1]);
    check("messages", |r| r.messages[0].content = "x".repeat(MAX_PROMPT_BYTES + 1));
    check("max_tokens", |r| r.max_tokens = Some(0));
    check("stop", |r| r.stop = vec![String::new()]);
    check("stop", |r| r.stop = vec!["x".repeat(MAX_STOP_BYTES + 1)]);
    check("stop", |r| r.stop = vec!["x".into(); MAX_STOPS + 1]);
    check("temperature", |r| r.sampling.temperature = f32::NAN);
    check("temperature", |r| r.sampling.temperature = -0.1);
    check("top_p", |r| r.sampling.top_p = 1.1);
    check("min_p", |r| r.sampling.min_p = f32::INFINITY);
    check("repetition_penalty", |r| r.sampling.repetition_penalty = 0.0);
    check("frequency_penalty", |r| r.sampling.frequency_penalty = -2.1);
    check("presence_penalty", |r| r.sampling.presence_penalty = f32::NAN);
    check("logit_bias", |r| r.sampling.logit_bias = vec![(1, 0.0), (2, 100.5)]);
    check("logit_bias", |r| r.sampling.logit_bias = vec![(1, f32::NEG_INFINITY)]);
    check("logit_bias", |r| r.sampling.logit_bias = vec![(1, 0.0); MAX_LOGIT_BIAS + 1]);
    check("top_logprobs", |r| r.sampling.top_logprobs = Some(MAX_TOP_LOGPROBS + 1));
    check("response_format", |r| r.constraint = Some(Constraint::Schema("x".repeat(MAX_SCHEMA_BYTES + 1))));
    check("messages", |r| r.tools = Some("x".repeat(MAX_PROMPT_BYTES)));
    check("messages", |r| r.messages[0].tool_calls = Some("x".repeat(MAX_PROMPT_BYTES)));
}

#[test]
fn the_limits_themselves_are_fine() {
    let mut request = request();
    request.sampling = Sampling {
        frequency_penalty: -2.0,
        presence_penalty: 2.0,
        logit_bias: vec![(u32::MAX, -100.0); MAX_LOGIT_BIAS],
        top_logprobs: Some(MAX_TOP_LOGPROBS),
        ..Sampling::default()
    };
    request.constraint = Some(Constraint::Schema("x".repeat(MAX_SCHEMA_BYTES)));
    assert_eq!(request.validate(), Ok(()));
}

#[test]
fn texts_to_embed_are_bounded() {
    let half = "x".repeat(MAX_PROMPT_BYTES / 2);
    for good in [vec!["x".to_owned(); MAX_TEXTS], vec![half.clone(); 2]] {
        assert_eq!(validate_texts(&good), Ok(()));
    }
    let bad =
        [vec![], vec!["x".into(); MAX_TEXTS + 1], vec!["x".into(), String::new()], vec![half.clone(), half + "x"]];
    for texts in bad {
        assert_eq!(validate_texts(&texts).expect_err("out of bounds").field, "input", "{} texts", texts.len());
    }
}

#[test]
fn debug_output_holds_no_text() {
    let mut request = request();
    request.stop = vec!["secret stop".into()];
    let shown = format!("{request:?} {:?}", request.messages);
    assert!(!shown.contains("secret"), "{shown}");
}
