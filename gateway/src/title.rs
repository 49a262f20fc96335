//! What a conversation is called: its first words, until a model or a person finds a better name.

use starling_protocol::message::Private;

/// Letters of a title.
const TITLE_CHARS: usize = 60;

/// The first words of a question, on one line.
pub(crate) fn first_words(text: &str) -> Private {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((cut, _)) = line.char_indices().nth(TITLE_CHARS) else { return Private(line) };
    let whole_words = line[..cut].rfind(' ').filter(|at| *at > cut / 2).unwrap_or(cut);
    Private(format!("{}…", &line[..whole_words]))
}

/// A title as a model has written it, without the marks that models put around one; `None` when it is none.
pub(crate) fn from_model(text: &str) -> Option<Private> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.strip_prefix("Title:").unwrap_or(line);
    let bare = line.trim_matches(|letter: char| letter.is_whitespace() || "\"'“”„«»*#_`.".contains(letter));
    let has_words = bare.chars().any(char::is_alphanumeric) && !bare.chars().any(char::is_control);
    has_words.then(|| first_words(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_the_first_words() {
        assert_eq!(first_words("  Hello,\n world ").0, "Hello, world");
        assert_eq!(first_words(&"word ".repeat(30)).0, format!("{}…", "word ".repeat(12).trim_end()));
        assert_eq!(first_words(&"ß".repeat(100)).0, format!("{}…", "ß".repeat(60)));
    }

    #[test]
    fn titles_of_models_are_bare_and_short() {
        for (text, title) in [
            ("\n\n**\"Birds in Winter.\"**\nand more", Some("Birds in Winter")),
            ("Title: Tides", Some("Tides")),
            ("# „Grüße“", Some("Grüße")),
            ("...", None),
            ("", None),
            ("a\u{7}b", None),
        ] {
            assert_eq!(from_model(text).map(|title| title.0).as_deref(), title, "{text}");
        }
        assert!(from_model(&"word ".repeat(99)).unwrap().0.len() <= 64);
    }
}
