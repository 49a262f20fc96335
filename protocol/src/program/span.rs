//! Spans of time as people write them on a command line.

use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A number and its unit: s, m, h or d.
///
/// # Errors
/// Says what fits.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number and s, m, h or d, such as 12h or 7d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let span = Duration::from_secs(number.saturating_mul(seconds));
    match span {
        Duration::ZERO => Err("it would be over at once".to_owned()),
        span if span > LONGEST => Err("a year is the longest".to_owned()),
        span => Ok(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800), ("365d", 31_536_000)] {
            assert_eq!(parse_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "7", "d", "-1d", "0d", "7w", "1.5h", "366d", "99999999999999999999d", "7ä"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
