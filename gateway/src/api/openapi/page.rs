//! The description as a page to read: no script, nothing inline, nothing from elsewhere. The viewers that exist bring a
//! megabyte of scripts, and most of them styles that our content policy does not let in.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n<title>Starling: the gateway's API</title>\n\
    <link rel=\"stylesheet\" href=\"/api/docs.css\">\n</head>\n<body>\n<main>\n";
const TAIL: &str = "</main>\n</body>\n</html>\n";
const SCHEMAS: &str = "#/components/schemas/";

/// The page for a document.
pub(super) fn write(document: &Value) -> String {
    let mut page = Page(HEAD.to_owned());
    page.line("h1", &document["info"]["title"]);
    page.line("p", &document["info"]["description"]);
    page.add("<p><a href=\"/api/openapi.json\">As an OpenAPI document</a></p>\n");
    for (heading, operations) in by_heading(document) {
        page.line("h2", &Value::from(heading));
        for (method, path, operation) in operations {
            page.operation(method, path, operation);
        }
    }
    page.add("<h2>types</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escape(name);
        page.add(&format!("<details id=\"type-{name}\"><summary><code>{name}</code></summary>\n"));
        page.json(schema);
        page.add("</details>\n");
    }
    page.0 + TAIL
}

type Operations<'a> = Vec<(&'a str, &'a str, &'a Value)>;

fn by_heading(document: &Value) -> BTreeMap<&str, Operations<'_>> {
    let mut headings = BTreeMap::<_, Operations<'_>>::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let heading = operation["tags"][0].as_str().unwrap_or_default();
            headings.entry(heading).or_default().push((method, path, operation));
        }
    }
    headings
}

struct Page(String);

impl Page {
    fn add(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn line(&mut self, tag: &str, text: &Value) {
        if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
            self.add(&format!("<{tag}>{}</{tag}>\n", escape(text)));
        }
    }

    fn operation(&mut self, method: &str, path: &str, operation: &Value) {
        let (method, path) = (method.to_uppercase(), escape(path));
        self.add(&format!("<details><summary><b>{method}</b> <code>{path}</code> "));
        self.add(&escape(operation["summary"].as_str().unwrap_or_default()));
        self.add("</summary>\n");
        self.line("p", &operation["description"]);
        self.add(&format!("<p>For: {}</p>\n", whom(operation)));
        self.parameters(&operation["parameters"]);
        self.contents("Takes", &operation["requestBody"]["content"]);
        for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
            let words = escape(answer["description"].as_str().unwrap_or_default());
            self.add(&format!("<p><b>{}</b> {words}</p>\n", escape(status)));
            self.contents("Gives", &answer["content"]);
        }
        self.add("</details>\n");
    }

    fn parameters(&mut self, parameters: &Value) {
        let Some(parameters) = parameters.as_array() else { return };
        self.add("<ul>\n");
        for parameter in parameters {
            let text = |field: &str| escape(parameter[field].as_str().unwrap_or_default());
            self.add(&format!("<li><code>{}</code> ({}) {}</li>\n", text("name"), text("in"), text("description")));
        }
        self.add("</ul>\n");
    }

    fn contents(&mut self, verb: &str, contents: &Value) {
        for (kind, content) in contents.as_object().into_iter().flatten() {
            self.add(&format!("<p>{verb} <code>{}</code></p>\n", escape(kind)));
            self.json(&content["schema"]);
            if let Some(example) = content.get("example") {
                self.add("<p>For example</p>\n");
                self.json(example);
            }
        }
    }

    /// JSON, with links to the types in it.
    fn json(&mut self, value: &Value) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.add("<pre>");
        for line in text.lines() {
            match line.split_once(SCHEMAS) {
                Some((before, rest)) => {
                    let (name, after) = rest.split_once('"').unwrap_or((rest, ""));
                    let (before, name, after) = (escape(before), escape(name), escape(after));
                    let _ = write!(self.0, "{before}<a href=\"#type-{name}\">{name}</a>&quot;{after}");
                }
                None => self.add(&escape(line)),
            }
            self.add("\n");
        }
        self.add("</pre>\n");
    }
}

fn whom(operation: &Value) -> String {
    let names = operation["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
    let names: Vec<&str> = names.flat_map(|names| names.keys().map(String::as_str)).collect();
    if names.is_empty() { "everybody".to_owned() } else { escape(&names.join(" or ")) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::write;

    #[test]
    fn nothing_in_a_description_becomes_markup() {
        let evil = "<script>alert(\"x\")</script>";
        let operation = json!({"tags": [evil], "summary": evil, "responses": {evil: {"description": evil}}});
        let page = write(&json!({
            "info": {"title": evil, "description": evil},
            "paths": {evil: {"get": operation}},
            "components": {"schemas": {evil: {"$ref": format!("#/components/schemas/{evil}")}}},
        }));
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    }
}
