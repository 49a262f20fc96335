//! Templates as they come in model files.

use super::*;
use crate::{Message, Role};

fn specials() -> Specials {
    Specials { bos: "<s>".into(), eos: "</s>".into() }
}

fn request() -> Request {
    let messages = vec![Message::new(Role::System, " be brief "), Message::new(Role::User, "hi <b> & \"you\"")];
    Request { messages, ..Request::default() }
}

fn check(template: &str, expected: &str) {
    let prompt = Prompt::new(template, specials()).unwrap();
    assert_eq!(prompt.render(&request()).unwrap().text, expected);
}

#[test]
fn a_raw_text_is_no_conversation() {
    let raw = Some(crate::RawPrompt::Text("<think>Once".into()));
    let request = Request { messages: vec![], raw, thinking: Some(true), ..Request::default() };
    let prompt = Prompt::new("{{ raise_exception('messages') }}", specials()).unwrap();
    let rendered = prompt.render(&request).unwrap();
    assert_eq!((rendered.text.as_str(), rendered.style), ("<think>Once", Style::default()));
}

#[test]
fn chatml() {
    check(
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}\
         {% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        "<|im_start|>system\n be brief <|im_end|>\n<|im_start|>user\nhi <b> & \"you\"<|im_end|>\n\
         <|im_start|>assistant\n",
    );
}

#[test]
fn python_methods_and_special_tokens() {
    check("{{ bos_token + messages[0].content.strip() + eos_token }}", "<s>be brief</s>");
    check("{{ messages[1]['content'].split(' ')[0].upper() }}{{ 'x'.startswith('x') }}", "HITrue");
    check("{% if tools is none and not documents %}none{% endif %}", "none");
    check("{% if date_string is not defined %}no date{% endif %}", "no date");
}

#[test]
fn blocks_are_trimmed_as_in_transformers() {
    check("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc\n");
    check("{%- for m in messages -%}\n {{ m.role }}\n {%- endfor -%}\n", "systemuser");
}

#[test]
fn loops_can_break() {
    check("{% for m in messages %}{{ m.role }}{% break %}{% endfor %}", "system");
}

#[test]
fn json_is_written_as_python_writes_it() {
    check(
        "{{ {'b': [1, 2.5, true, none, 'ü<&>\"'], 'a': {}} | tojson }}",
        "{\"b\": [1, 2.5, true, null, \"ü<&>\\\"\"], \"a\": {}}",
    );
    check("{{ [1, {'a': 2}] | tojson(indent=2) }}", "[\n  1,\n  {\n    \"a\": 2\n  }\n]");
    check(
        "{{ messages | tojson }}",
        "[{\"role\": \"system\", \"content\": \" be brief \"}, \
                                      {\"role\": \"user\", \"content\": \"hi <b> & \\\"you\\\"\"}]",
    );
}

#[test]
fn the_date_is_now() {
    let prompt = Prompt::new("{{ strftime_now('%Y-%m-%d %d %b') }}", specials()).unwrap();
    let date = prompt.render(&request()).unwrap().text;
    assert!(date.starts_with("20") && date.len() == "2026-11-22 22 Nov".len(), "{date}");
}

#[test]
fn generation_marks_go_and_their_trimming_stays() {
    check("a {%- generation -%} b {%- endgeneration %} c", "ab c");
    check("{% generation %}x{% endgeneration %}{{ '{%' }}", "x{%");
    assert_eq!(without_generation("no {% end"), "no {% end");
}

#[test]
fn a_refusal_says_why_and_quotes_nobody() {
    let refused = |template: &str| Prompt::new(template, specials()).unwrap().render(&request()).err().unwrap();
    let raised = refused("{{ raise_exception('roles must alternate') }}");
    assert_eq!(raised.field, "messages");
    assert!(raised.reason.ends_with("roles must alternate"), "{raised}");
    let broken = refused("\n{{ messages[1].content / 2 }}");
    assert!(broken.reason.contains("line 2") && !broken.reason.contains("hi"), "{broken}");
    let endless = refused("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}");
    assert!(endless.reason.contains("too long"), "{endless}");
    assert!(Prompt::new("{% if %}", specials()).is_err());
}

#[test]
fn without_a_template_the_texts_are_joined() {
    assert_eq!(Prompt::raw().render(&request()).unwrap().text, " be brief hi <b> & \"you\"");
}

const TOOL: &str = r#"[{"type":"function","function":{"name":"now"}}]"#;

fn refused(template: Option<&str>, change: impl FnOnce(&mut Request)) -> Invalid {
    let prompt = template.map_or_else(Prompt::raw, |template| Prompt::new(template, specials()).unwrap());
    let mut request = request();
    change(&mut request);
    prompt.render(&request).err().unwrap()
}

#[test]
fn tools_that_cannot_be_used_are_refused() {
    let template = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}";
    let check = |template: Option<&str>, tools: &str, part: &str| {
        let invalid = refused(template, |request| request.tools = Some(tools.into()));
        assert_eq!(invalid.field, "tools");
        assert!(invalid.reason.contains(part), "{tools}: {invalid}");
    };
    check(Some("{{ messages[0].content }} tools"), TOOL, "knows no tools");
    check(None, TOOL, "knows no tools");
    check(Some(template), "", "must be a JSON list");
    check(Some(template), "{}", "must be a JSON list");
    check(Some(template), &"[".repeat(100_000), "must be a JSON list");
    for wrong in ["[1]", "[{}]", r#"[{"type":"function"}]"#, r#"[{"type":"x","function":{"name":"now"}}]"#] {
        check(Some(template), wrong, r#"{"type":"function","function":{"name""#);
    }
    let long = TOOL.replace("now", &"n".repeat(257));
    check(Some(template), &long, "at most 256 bytes");
}

#[test]
fn an_empty_list_of_tools_is_none() {
    let request = Request { tools: Some("[]".into()), ..request() };
    let prompt = Prompt::new("{% if tools is none %}none{% endif %}<tool_call>", specials()).unwrap();
    let rendered = prompt.render(&request).unwrap();
    assert_eq!(rendered.text, "none<tool_call>");
    assert!(!rendered.style.tool_calls);
    assert!(Prompt::raw().render(&request).is_ok());
}

#[test]
fn calls_come_to_a_template_as_objects() {
    let template = "{{ messages[1].tool_calls | tojson }}";
    let prompt = Prompt::new(template, specials()).unwrap();
    let render = |calls: &str| {
        let mut request = request();
        request.messages[1].tool_calls = Some(calls.into());
        prompt.render(&request)
    };
    let call = |arguments: &str| format!(r#"[{{"function": {{"name": "f", "arguments": {arguments}}}}}]"#);
    for (given, expected) in [(r#""{\"b\":1,\"a\":[2.0]}""#, r#"{"b": 1, "a": [2.0]}"#), (r#"{"x": 1}"#, r#"{"x": 1}"#)]
    {
        assert_eq!(render(&call(given)).unwrap().text, call(expected));
    }
    // What a model broke off, and JSON that is no object, stay as they were.
    for text in [r#""{\"b\":""#, r#""7""#] {
        assert_eq!(render(&call(text)).unwrap().text, call(text));
    }
    for wrong in ["", "{}", "[1]", "[{}]", r#"[{"function": {}}]"#] {
        assert_eq!(render(wrong).err().unwrap().field, "messages", "{wrong}");
    }
}

#[test]
fn the_switch_for_thinking_is_there_only_when_asked() {
    let template = "{% if enable_thinking is defined %}{{ enable_thinking }}{% else %}unasked{% endif %}";
    let prompt = Prompt::new(template, specials()).unwrap();
    for (thinking, expected) in [(None, "unasked"), (Some(true), "True"), (Some(false), "False")] {
        assert_eq!(prompt.render(&Request { thinking, ..request() }).unwrap().text, expected);
    }
}

#[test]
fn the_style_follows_the_end_of_the_prompt() {
    let check = |template: &str, expected: Reasoning| {
        let rendered = Prompt::new(template, specials()).unwrap().render(&request()).unwrap();
        assert_eq!(rendered.style.reasoning, expected, "{template}");
    };
    check("assistant\n<think>\n", Reasoning::Open);
    check("assistant\n<think>\n\n</think>\n\n", Reasoning::Never);
    check("{{ messages[0].content.split('</think>')[-1] }}", Reasoning::Marked);
    check("{{ messages[0].content }}", Reasoning::Never);
}
