//! What is known, would change the answer, and is not there: refused by name.

use serde::Deserialize;
use serde_json::Value;

use crate::api::error::ApiError;

#[derive(Deserialize)]
pub(super) struct NotSupported {
    functions: Option<Value>,
    function_call: Option<Value>,
    modalities: Option<Value>,
    audio: Option<Value>,
    web_search_options: Option<Value>,
}

/// A field's name, its value, and whether a value changes nothing.
type Field<'a> = (&'static str, &'a Option<Value>, fn(&Value) -> bool);

impl NotSupported {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let fields: [Field<'_>; 5] = [
            ("functions", &self.functions, |value| value.as_array().is_some_and(Vec::is_empty)),
            ("function_call", &self.function_call, |value| matches!(value.as_str(), Some("none" | "auto"))),
            ("modalities", &self.modalities, |value| {
                value.as_array().is_some_and(|list| list.iter().all(|kind| kind == "text"))
            }),
            ("audio", &self.audio, |_| false),
            ("web_search_options", &self.web_search_options, |_| false),
        ];
        for (name, value, changes_nothing) in fields {
            if value.as_ref().is_some_and(|value| !value.is_null() && !changes_nothing(value)) {
                return Err(ApiError::field(name, "is not supported"));
            }
        }
        Ok(())
    }
}
