//! Cutting what was said into passages that a small embedding model can read whole, at ends of sentences where there
//! are any.

/// Longest passage, in bytes: some 200 tokens of most languages. Embedding models read 256 to 512.
pub(super) const MAX_BYTES: usize = 800;
/// Most passages of one message, its first: some fifty pages.
const MAX_PASSAGES: usize = 128;
/// What has fewer letters ("yes", "thanks!") says nothing later on.
const MIN_LETTERS: usize = 8;

/// The passages of a message, in order.
pub(super) fn cut(text: &str) -> Vec<String> {
    let mut passages = vec![];
    let mut rest = text.trim();
    while !rest.is_empty() && passages.len() < MAX_PASSAGES {
        let (passage, behind) = rest.split_at(end_of_passage(rest));
        let passage = passage.trim();
        if passage.chars().filter(|letter| letter.is_alphanumeric()).count() >= MIN_LETTERS {
            passages.push(passage.to_owned());
        }
        rest = behind.trim_start();
    }
    passages
}

/// Of a text that may be long, what a search goes by: its beginning and its end, where people say what they want.
pub(super) fn excerpt(text: &str) -> String {
    let text = text.trim();
    if text.len() <= MAX_BYTES {
        return text.to_owned();
    }
    let half = MAX_BYTES / 2;
    let (head, tail) = (&text[..text.floor_char_boundary(half)], &text[text.ceil_char_boundary(text.len() - half)..]);
    format!("{head}\n{tail}")
}

/// Where the passage at the beginning of a text ends, in bytes; above 0.
fn end_of_passage(text: &str) -> usize {
    if text.len() <= MAX_BYTES {
        return text.len();
    }
    let longest = text.floor_char_boundary(MAX_BYTES);
    let window = &text[..longest];
    // Not far at the front, or passages would become ever smaller.
    let far_enough = |end: &usize| *end >= MAX_BYTES / 4;
    let paragraph = window.rfind("\n\n");
    let sentence = || last_sentence(window);
    let word = || window.rfind(char::is_whitespace);
    paragraph
        .filter(far_enough)
        .or_else(sentence)
        .filter(far_enough)
        .or_else(word)
        .filter(|end| *end > 0)
        .unwrap_or(longest)
}

/// Where the last sentence ends that is whole.
fn last_sentence(text: &str) -> Option<usize> {
    let ends = text.char_indices().zip(text.chars().skip(1)).filter(|((_, letter), next)| match letter {
        '.' | '!' | '?' | '…' => next.is_whitespace(),
        '。' | '！' | '？' | '\n' => true,
        _ => false,
    });
    ends.last().map(|((at, letter), _)| at + letter.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_one_passage_and_what_says_nothing_none() {
        assert_eq!(cut(" I live in Lisbon. "), ["I live in Lisbon."]);
        for nothing in ["", " ", "ok", "Thanks!", "???!!! --- ***"] {
            assert!(cut(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_ends_of_sentences_and_nothing_is_lost() {
        let sentence = "The starlings gather over the pier at dusk and turn as one. ";
        let text = sentence.repeat(50);
        let passages = cut(&text);
        assert!(passages.len() > 3 && passages.iter().all(|passage| passage.len() <= MAX_BYTES));
        assert!(passages.iter().all(|passage| passage.ends_with("as one.") && passage.starts_with("The")));
        assert_eq!(passages.join(" "), text.trim());
    }

    #[test]
    fn paragraphs_stay_whole_where_they_can() {
        let (one, two) = ("One sentence. ".repeat(30), "Another sentence. ".repeat(30));
        let passages = cut(&format!("{}\n\n{}", one.trim(), two.trim()));
        assert_eq!(passages[0], one.trim());
    }

    #[test]
    fn text_without_sentences_or_spaces_is_cut_too() {
        for text in ["word ".repeat(1_000), "x".repeat(5_000), "鳥".repeat(2_000), "。".repeat(2_000)] {
            let passages = cut(&text);
            assert!(passages.iter().all(|passage| (1..=MAX_BYTES).contains(&passage.len())));
            let letters: usize = passages.iter().map(|passage| passage.replace(' ', "").len()).sum();
            assert!(letters == text.replace(' ', "").len() || passages.is_empty(), "{letters}");
        }
    }

    #[test]
    fn one_message_leaves_only_so_many() {
        assert_eq!(cut(&"A long book of words. ".repeat(20_000)).len(), MAX_PASSAGES);
    }

    #[test]
    fn a_search_goes_by_the_beginning_and_the_end() {
        assert_eq!(excerpt(" short "), "short");
        let long = format!("What is this?{}Explain it.", "é".repeat(5_000));
        let short = excerpt(&long);
        assert!(short.len() <= MAX_BYTES + 1 && short.starts_with("What is") && short.ends_with("Explain it."));
    }
}
