//! What chat templates expect to be there beyond Jinja itself: `raise_exception`, `strftime_now`, Python's `tojson`.

use jiff::Zoned;
use jiff::tz::TimeZone;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// What a template raised; its text is the template author's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// Longest text of an exception that is passed on.
const MAX_RAISED: usize = 200;

/// Makes them known to an environment.
pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
}

/// The text with which the template itself gave up, if it did.
pub(super) fn raised(error: &minijinja::Error) -> Option<String> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(Raised(text)) = error.downcast_ref() {
            return Some(text.clone());
        }
        source = error.source();
    }
    None
}

fn raise_exception(text: &str) -> Result<Value, Error> {
    let text = text.chars().filter(|c| !c.is_control()).take(MAX_RAISED).collect();
    Err(Error::new(ErrorKind::InvalidOperation, "raised").with_source(Raised(text)))
}

/// In UTC, so that two nodes write the same prompt.
fn strftime_now(format: &str) -> Result<String, Error> {
    let now = Zoned::now().with_time_zone(TimeZone::UTC);
    jiff::fmt::strtime::format(format, &now).map_err(|_| Error::new(ErrorKind::InvalidOperation, "strftime"))
}

/// As Python's `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Others exist in Python; templates that give them mean the defaults.
    let json = match indent {
        None => dump(value, Python),
        Some(width) => dump(value, PrettyFormatter::with_indent(&b" ".repeat(width.min(16)))),
    };
    json.map(Value::from_safe_string).map_err(|_| Error::new(ErrorKind::BadSerialization, "tojson"))
}

fn dump(value: &Value, formatter: impl Formatter) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `", "` and `": "` between things.
struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        CompactFormatter.begin_object_value(writer)?;
        writer.write_all(b" ")
    }
}
