//! What a conversation is called until somebody finds a better name: its first words.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_the_first_words() {
        assert_eq!(first_words("  Hello,\n world ").0, "Hello, world");
        assert_eq!(first_words(&"word ".repeat(30)).0, format!("{}…", "word ".repeat(12).trim_end()));
        assert_eq!(first_words(&"ß".repeat(100)).0, format!("{}…", "ß".repeat(60)));
    }
}
