//! What a schema may ask of the compiler: more than any that people write, and less than what takes long.
//!
//! The compiler has limits of its own, but some of its steps grow with the square of a schema, or with its numbers.

use serde_json::{Map, Value as Json};

/// Most objects in a schema, which are its subschemas and a few more.
const MAX_OBJECTS: usize = 1_000;
/// Most properties that one object has or requires.
const MAX_PROPERTIES: usize = 256;
/// Bounds of numbers are no farther from 0: beyond it whole numbers are no longer exact in JSON.
const MAX_BOUND: f64 = 1e15;
/// Highest `multipleOf`, without its decimal point.
const MAX_MULTIPLE: u32 = 1_000;

/// Says what is too much in a schema.
pub(super) fn check(schema: &Map<String, Json>) -> Result<(), String> {
    let mut objects = 0;
    let mut open = vec![schema];
    let mut lists: Vec<&Vec<Json>> = Vec::new();
    loop {
        if let Some(object) = open.pop() {
            objects += 1;
            if objects > MAX_OBJECTS {
                return Err(format!("the schema has more than {MAX_OBJECTS} parts"));
            }
            if object.len() > MAX_PROPERTIES {
                return Err(format!("an object of the schema has more than {MAX_PROPERTIES} properties"));
            }
            for (key, value) in object {
                check_value(key, value)?;
                open.extend(value.as_object());
                lists.extend(value.as_array());
            }
        } else if let Some(list) = lists.pop() {
            open.extend(list.iter().filter_map(Json::as_object));
            lists.extend(list.iter().filter_map(Json::as_array));
        } else {
            return Ok(());
        }
    }
}

fn check_value(key: &str, value: &Json) -> Result<(), String> {
    match (key, value) {
        ("required", Json::Array(names)) if names.len() > MAX_PROPERTIES => {
            Err(format!("an object of the schema requires more than {MAX_PROPERTIES} properties"))
        }
        ("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum", Json::Number(bound))
            if bound.as_f64().is_none_or(|bound| bound.abs() > MAX_BOUND) =>
        {
            Err(format!("{key} must be from -{MAX_BOUND:e} to {MAX_BOUND:e}"))
        }
        ("multipleOf", Json::Number(multiple)) if digits(multiple) > MAX_MULTIPLE => {
            Err(format!("multipleOf must be above 0 and have no more digits than {MAX_MULTIPLE}"))
        }
        _ => Ok(()),
    }
}

/// A number without its decimal point and the zeros around it.
fn digits(number: &serde_json::Number) -> u32 {
    let text = number.to_string();
    if text.contains(['e', 'E']) {
        return u32::MAX;
    }
    text.replace(['.', '-'], "").trim_matches('0').parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: &Json) -> Option<String> {
        check(schema.as_object().expect("a schema")).err()
    }

    #[test]
    fn each_bound_is_kept_from_both_sides() {
        let objects = |count: usize| json!({ "anyOf": vec![json!({}); count - 1] });
        let properties = |count: usize| {
            let all: Map<String, Json> = (0..count).map(|index| (index.to_string(), true.into())).collect();
            json!({ "properties": all })
        };
        let required = |count: usize| json!({ "required": vec!["x"; count] });
        let cases: [(Json, Json, &str); 6] = [
            (objects(MAX_OBJECTS), objects(MAX_OBJECTS + 1), "parts"),
            (properties(MAX_PROPERTIES), properties(MAX_PROPERTIES + 1), "has more than 256 properties"),
            (required(MAX_PROPERTIES), required(MAX_PROPERTIES + 1), "requires more than 256 properties"),
            (json!({ "items": { "minimum": -1e15 } }), json!({ "items": { "minimum": -1.1e15 } }), "minimum must be"),
            (json!({ "multipleOf": 0.001 }), json!({ "multipleOf": 0.1001 }), "multipleOf must be"),
            (json!({ "multipleOf": 12_000 }), json!({ "multipleOf": 0 }), "multipleOf must be"),
        ];
        for (good, bad, part) in cases {
            assert_eq!(refused(&good), None);
            let reason = refused(&bad).unwrap_or_else(|| panic!("{bad} is taken"));
            assert!(reason.contains(part), "{reason}");
        }
        assert!(refused(&json!({ "multipleOf": 1e-300 })).is_some());
        // A property may be called anything.
        assert_eq!(refused(&json!({ "properties": { "minimum": { "type": "string" } } })), None);
    }
}
