//! Templates as they come in model files.

use super::*;
use crate::Role;

fn specials() -> Specials {
    Specials { bos: "<s>".into(), eos: "</s>".into() }
}

fn messages() -> Vec<Message> {
    vec![Message::new(Role::System, " be brief "), Message::new(Role::User, "hi <b> & \"you\"")]
}

fn check(template: &str, expected: &str) {
    let prompt = Prompt::new(template, specials()).unwrap();
    assert_eq!(prompt.render(&messages()).unwrap(), expected);
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
    let date = prompt.render(&messages()).unwrap();
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
    let refused = |template: &str| Prompt::new(template, specials()).unwrap().render(&messages()).unwrap_err();
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
    assert_eq!(Prompt::raw().render(&messages()).unwrap(), " be brief hi <b> & \"you\"");
}
