//! The command line of a service, as text. Paths with quotes, backslashes before quotes or line ends in them are refused
//! before (`plan`), so that both systems read what is written here in the same way.

/// Words with quotes around those that need them.
pub(super) fn join(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

pub(super) fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains(char::is_whitespace) { format!("\"{word}\"") } else { word.to_owned() }
}

/// The words of a line, without their quotes.
pub(super) fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (vec![], None::<String>, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                inside = !inside;
                word.get_or_insert_default();
            }
            letter if letter.is_whitespace() && !inside => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// What stands behind a flag, or behind the flag and `=`.
pub(super) fn value<'a>(words: &'a [String], flag: &str) -> Option<&'a str> {
    let behind = words.iter().skip_while(|word| *word != flag).nth(1).map(String::as_str);
    behind.or_else(|| words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_split_again() {
        for words in
            [&["a"][..], &["C:\\Program Files\\Starling\\x.exe", "--data", "C:\\Für alle", ""], &["/a b/c", "d"]]
        {
            let words: Vec<_> = words.iter().map(ToString::to_string).collect();
            assert_eq!(split(&join(&words)), words);
        }
        assert!(split("  ").is_empty());
        assert_eq!(split("\"a b"), ["a b"], "an end without its quote is no end of the world");
    }

    #[test]
    fn the_value_of_a_flag_is_found_both_ways() {
        let words = split("x --config \"/a b\" --data=/c --last");
        assert_eq!(value(&words, "--config"), Some("/a b"));
        assert_eq!(value(&words, "--data"), Some("/c"));
        assert_eq!(value(&words, "--last"), None);
    }
}
