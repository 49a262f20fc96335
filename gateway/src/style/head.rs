//! The beginning of a call, up to its arguments: `{"name": "…", "arguments": {`.
//!
//! It is short, so it is read from its beginning with each letter that comes; that takes no state.

/// Longest name of a tool, as it stands in JSON, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// Longest beginning of a call: the longest name, and room for whitespace. In bytes.
const MAX_BYTES: usize = 256;

/// What a text is the beginning of.
pub(super) enum Head {
    /// It may become a call.
    More,
    /// It cannot.
    Not,
    /// A call of this name; the last letter begins its arguments.
    Arguments(String),
    /// A whole call of this name, without arguments.
    Bare(String),
}

/// Why a text was not read to its end.
enum Stop {
    Short,
    Wrong,
}

pub(super) fn read(text: &str) -> Head {
    match call(Rest(text)) {
        Ok(head) => head,
        Err(Stop::Short) if text.len() < MAX_BYTES => Head::More,
        Err(_) => Head::Not,
    }
}

fn call(mut rest: Rest<'_>) -> Result<Head, Stop> {
    rest.expect("{")?;
    rest.expect("\"name\"")?;
    rest.expect(":")?;
    let name = rest.string()?;
    if rest.expect("}").is_ok() {
        return Ok(Head::Bare(name));
    }
    rest.expect(",")?;
    rest.expect("\"arguments\"")?;
    rest.expect(":")?;
    rest.expect("{")?;
    Ok(Head::Arguments(name))
}

struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// This word, and whitespace before it.
    fn expect(&mut self, word: &str) -> Result<(), Stop> {
        self.0 = self.0.trim_start_matches(super::is_space);
        match self.0.strip_prefix(word) {
            Some(rest) => {
                self.0 = rest;
                Ok(())
            }
            None if word.starts_with(self.0) => Err(Stop::Short),
            None => Err(Stop::Wrong),
        }
    }

    /// A string that is a name.
    fn string(&mut self) -> Result<String, Stop> {
        self.expect("\"")?;
        let mut escaped = false;
        let end = self.0.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        let Some(end) = end.filter(|end| *end <= MAX_NAME_BYTES) else {
            return Err(if self.0.len() > MAX_NAME_BYTES { Stop::Wrong } else { Stop::Short });
        };
        let name = serde_json::from_str(&format!("\"{}\"", &self.0[..end])).map_err(|_| Stop::Wrong)?;
        self.0 = &self.0[end + 1..];
        if end == 0 { Err(Stop::Wrong) } else { Ok(name) }
    }
}
