//! One rate, as an operator writes it.

use std::{fmt, str::FromStr, time::Duration};

use crate::limiter::Rate;

/// So many requests a minute, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// 0: no limit.
    pub per_minute: u32,
    /// Requests that may come at once.
    pub burst: u32,
}

/// Beyond this a rule is none.
const MOST: u32 = 1_000_000;

impl Rule {
    /// No limit.
    pub const NONE: Self = Self { per_minute: 0, burst: 0 };

    pub(super) fn rate(self) -> Rate {
        let minute = Duration::from_secs(60);
        Rate { burst: self.burst, refill: minute.checked_div(self.per_minute).unwrap_or(minute) }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("0"),
            Self { per_minute, burst } => write!(f, "{per_minute}:{burst}"),
        }
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("write it as 600 or 600:150, a minute and at once, of at most {MOST}; 0 for no limit");
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= MOST).ok_or_else(wrong);
        let (per_minute, burst) = match text.split_once(':') {
            Some((per_minute, burst)) => (number(per_minute)?, number(burst)?),
            None => (number(text)?, (number(text)? / 4).max(1)),
        };
        match (per_minute, burst) {
            (0, _) => Ok(Self::NONE),
            (_, 0) => Err(wrong()),
            _ => Ok(Self { per_minute, burst }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_written() {
        let check = |text: &str, per_minute, burst| assert_eq!(text.parse(), Ok(Rule { per_minute, burst }), "{text}");
        check("600", 600, 150);
        check("600:1", 600, 1);
        check("1", 1, 1);
        check("0", 0, 0);
        check("0:5", 0, 0);
        for bad in ["", "x", "-1", "600:", "600:0", "1000001", "5:1000001"] {
            assert!(bad.parse::<Rule>().is_err(), "{bad}");
        }
        for rule in [Rule::NONE, Rule { per_minute: 600, burst: 1 }] {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
    }
}
