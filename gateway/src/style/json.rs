//! A JSON object, checked letter by letter as RFC 8259 has it, in bounded memory.

/// How deep lists and objects may lie in each other: as deep as serde_json reads.
const MAX_DEPTH: usize = 127;

/// An object that is coming; its `{` is the first letter.
#[derive(Default)]
pub(super) struct Object {
    around: Vec<Around>,
    at: At,
}

/// What a letter made of an [`Object`].
pub(super) enum Step {
    /// There must be more.
    More,
    /// It is whole.
    Done,
    /// It is no JSON object.
    Bad,
}

#[derive(Clone, Copy, PartialEq)]
enum Around {
    Object,
    List,
}

/// What may come next.
#[derive(Clone, Copy, Default)]
enum At {
    #[default]
    Begin,
    FirstKey,
    Key,
    Colon,
    FirstValue,
    Value,
    Next,
    Text {
        key: bool,
    },
    Escape {
        key: bool,
    },
    Hex {
        key: bool,
        left: u8,
    },
    /// The rest of `true`, `false` or `null`.
    Word(&'static str),
    Number(Digits),
}

#[derive(Clone, Copy)]
enum Digits {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Object {
    pub(super) fn push(&mut self, letter: char) -> Step {
        let next = match self.at {
            At::Begin if letter == '{' => self.open(Around::Object, At::FirstKey),
            At::Begin => None,
            At::FirstKey | At::FirstValue | At::Next if matches!(letter, '}' | ']') => {
                let closed = self.around.pop() == Some(if letter == '}' { Around::Object } else { Around::List });
                if closed && self.around.is_empty() {
                    return Step::Done;
                }
                closed.then_some(At::Next)
            }
            at @ (At::FirstKey | At::Key | At::Colon | At::FirstValue | At::Value | At::Next)
                if super::is_space(letter) =>
            {
                Some(at)
            }
            At::FirstKey | At::Key => (letter == '"').then_some(At::Text { key: true }),
            At::Colon => (letter == ':').then_some(At::Value),
            At::FirstValue | At::Value => self.value(letter),
            At::Next => (letter == ',').then(|| self.more()),
            At::Number(digits) => match digits.push(letter) {
                Some(digits) => Some(At::Number(digits)),
                // A number ends with what stands behind it.
                None if digits.is_whole() => {
                    self.at = At::Next;
                    return self.push(letter);
                }
                None => None,
            },
            at => at.within(letter),
        };
        match next {
            Some(next) => {
                self.at = next;
                Step::More
            }
            None => Step::Bad,
        }
    }

    fn open(&mut self, around: Around, next: At) -> Option<At> {
        self.around.push(around);
        (self.around.len() <= MAX_DEPTH).then_some(next)
    }

    fn more(&self) -> At {
        if self.around.last() == Some(&Around::Object) { At::Key } else { At::Value }
    }

    fn value(&mut self, letter: char) -> Option<At> {
        match letter {
            '{' => self.open(Around::Object, At::FirstKey),
            '[' => self.open(Around::List, At::FirstValue),
            '"' => Some(At::Text { key: false }),
            't' => Some(At::Word("rue")),
            'f' => Some(At::Word("alse")),
            'n' => Some(At::Word("ull")),
            '-' => Some(At::Number(Digits::Minus)),
            '0' => Some(At::Number(Digits::Zero)),
            '1'..='9' => Some(At::Number(Digits::Whole)),
            _ => None,
        }
    }
}

impl At {
    /// Within a string or a word.
    fn within(self, letter: char) -> Option<Self> {
        match self {
            Self::Text { key } => match letter {
                '"' => Some(if key { Self::Colon } else { Self::Next }),
                '\\' => Some(Self::Escape { key }),
                '\0'..='\u{1f}' => None,
                _ => Some(self),
            },
            Self::Escape { key } => match letter {
                'u' => Some(Self::Hex { key, left: 4 }),
                '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => Some(Self::Text { key }),
                _ => None,
            },
            Self::Hex { key, left } if letter.is_ascii_hexdigit() => {
                Some(if left > 1 { Self::Hex { key, left: left - 1 } } else { Self::Text { key } })
            }
            Self::Word(rest) => match rest.strip_prefix(letter)? {
                "" => Some(Self::Next),
                rest => Some(Self::Word(rest)),
            },
            _ => None,
        }
    }
}

impl Digits {
    fn push(self, letter: char) -> Option<Self> {
        match (self, letter) {
            (Self::Minus, '0') => Some(Self::Zero),
            (Self::Minus, '1'..='9') | (Self::Whole, '0'..='9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, '.') => Some(Self::Point),
            (Self::Point | Self::Fraction, '0'..='9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, 'e' | 'E') => Some(Self::E),
            (Self::E, '+' | '-') => Some(Self::Sign),
            (Self::E | Self::Sign | Self::Exponent, '0'..='9') => Some(Self::Exponent),
            _ => None,
        }
    }

    fn is_whole(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    /// How much of the text is an object, if it is one.
    fn whole(text: &str) -> Option<usize> {
        let mut object = Object::default();
        for (at, letter) in text.char_indices() {
            match object.push(letter) {
                Step::More => {}
                Step::Done => return Some(at + letter.len_utf8()),
                Step::Bad => return None,
            }
        }
        None
    }

    const GOOD: [&str; 8] = [
        "{}",
        r#"{ "a" : 1 , "b" : [ ] }"#,
        r#"{"a":{"b":[1,-0,2.5,1e5,-3.25E-10,0]}}"#,
        r#"{"a":[true,false,null,"",[[]],{}]}"#,
        r#"{"ß\"\\\/\b\f\n\r\té":"☃ \u00e9"}"#,
        "{\n\t\"a\"\r\n:\t0.5\n}",
        r#"{"":{"":""}}"#,
        r#"{"a":-1.0e+2}"#,
    ];

    #[test]
    fn what_serde_json_reads_is_an_object_and_nothing_else() {
        let letters: Vec<char> = "{}[]\",:\\ 0123456789-+.eEtruefalsn\u{1}ß\n".chars().collect();
        let mut dice: usize = 7;
        let mut roll = |below: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % below
        };
        let mut objects = 0;
        for round in 0..40_000 {
            let mut text: Vec<char> = GOOD[round % GOOD.len()].chars().collect();
            for _ in 0..roll(3) {
                let at = 1 + roll(text.len().max(2) - 1);
                if at >= text.len() {
                    break;
                }
                match roll(3) {
                    0 => drop(text.remove(at)),
                    1 => text.insert(at, letters[roll(letters.len())]),
                    _ => text[at] = letters[roll(letters.len())],
                }
            }
            let text: String = text.into_iter().collect();
            let expected = serde_json::Deserializer::from_str(&text).into_iter::<IgnoredAny>().next();
            let is_object = expected.is_some_and(|read| read.is_ok());
            assert_eq!(whole(&text).is_some(), is_object, "{text:?}");
            if let Some(end) = whole(&text) {
                objects += 1;
                assert!(serde_json::from_str::<IgnoredAny>(&text[..end]).is_ok(), "{text:?}");
            }
        }
        assert!(objects > 10_000, "{objects}");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(whole(&nested(MAX_DEPTH)).is_some());
        assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH)).is_ok());
        assert!(whole(&nested(MAX_DEPTH + 1)).is_none());
    }
}
