//! The description and the table of routes say the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::gather;
use crate::api::routes;

fn document() -> Value {
    json!(gather())
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let of_routes: BTreeSet<(String, String)> =
        routes().iter().map(|route| (route.method.as_str().to_lowercase(), route.path.replace("{*", "{"))).collect();
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())))
        .collect();
    let missing: Vec<_> = of_routes.difference(&described).collect();
    assert!(missing.is_empty(), "add #[utoipa::path] to these, and name them in openapi.rs: {missing:?}");
    let too_many: Vec<_> = described.difference(&of_routes).collect();
    assert!(too_many.is_empty(), "these have no route: {too_many:?}");
}

#[test]
fn everything_that_is_referred_to_is_there() {
    let document = document();
    let mut names = BTreeSet::new();
    collect(&document, &mut names);
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(document.pointer(&name[1..]).is_some(), "{name}");
    }
}

#[test]
fn each_operation_has_its_own_name_and_says_how_it_fails() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path}");
            assert!(operation["summary"].is_string() && operation["security"].is_array(), "{path}: {operation}");
            let failure = &operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"];
            let expected = if path.starts_with("/v1") { "OpenAiError" } else { "ErrorAnswer" };
            assert!(failure.as_str().unwrap().ends_with(expected), "{path}");
        }
    }
}

#[test]
fn no_two_types_share_a_name() {
    // Of two types with one name one would be lost: then a field of one of these is missing.
    let document = document();
    let has = |name: &str, field: &str| {
        let schema = &document["components"]["schemas"][name];
        assert!(schema["properties"].get(field).is_some(), "{name} has no {field}: {schema}");
    };
    for (name, field) in [
        ("Message", "versions"),
        ("Answer", "node_name"),
        ("ErrorAnswer", "error"),
        ("OpenAiError", "error"),
        ("ChatCompletion", "choices"),
        ("TextCompletion", "choices"),
        ("ChatUsage", "prompt_tokens_details"),
        ("ResponseUsage", "input_tokens"),
        ("EmbeddingUsage", "total_tokens"),
    ] {
        has(name, field);
    }
}

#[test]
fn the_page_holds_every_path_and_nothing_inline() {
    let page = super::page::write(&document());
    for route in routes() {
        assert!(page.contains(&route.path.replace("{*", "{")), "{}", route.path);
    }
    for forbidden in ["<script", "<style", "style=", "onclick", "http://", "https://"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            names.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
