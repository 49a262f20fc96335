//! The hours in which a node computes, by the clock on the wall: also over midnight, and when the clocks change.

use std::str::FromStr;

use jiff::{
    Span, Timestamp, Zoned,
    civil::{Date, Time},
    tz::TimeZone,
};

/// Days in which the next beginning is looked for: each of the hours comes every day.
const DAYS: i64 = 3;

/// From one time of the day to another; the second is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: Time,
    to: Time,
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "hours are two times of the day, such as 22:00-07:00".to_owned();
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let from = time(from).ok_or_else(wrong)?;
        // The end of a day is the beginning of the next.
        let to = if to.trim() == "24:00" { Time::midnight() } else { time(to).ok_or_else(wrong)? };
        if from == to {
            return Err("that begins and ends at the same time; leave it out for always".to_owned());
        }
        Ok(Self { from, to })
    }
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| Some(text).filter(|text| matches!(text.len(), 1 | 2)).and_then(|text| text.parse().ok());
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

impl Hours {
    fn contain(self, time: Time) -> bool {
        if self.from < self.to { (self.from..self.to).contains(&time) } else { time >= self.from || time < self.to }
    }
}

/// When a node may compute again that may not now. The outer is none when it may; the inner, when that is not known.
pub(crate) fn closed(hours: &[Hours], now: &Zoned) -> Option<Option<Timestamp>> {
    if hours.is_empty() || is_open(hours, now) {
        return None;
    }
    Some(opens(hours, now))
}

fn is_open(hours: &[Hours], now: &Zoned) -> bool {
    hours.iter().any(|hours| hours.contain(now.time()))
}

/// The first moment of those at which any of the hours begins, or the clocks change, that lies in one of them.
fn opens(hours: &[Hours], now: &Zoned) -> Option<Timestamp> {
    let zone = now.time_zone();
    let mut moments: Vec<Timestamp> =
        zone.following(now.timestamp()).take(1).map(|change| change.timestamp()).collect();
    for day in 0..DAYS {
        let date = now.date().checked_add(Span::new().days(day)).ok()?;
        hours.iter().for_each(|hours| moments.extend(beginnings(date, hours.from, zone)));
    }
    moments.sort();
    let later = moments.into_iter().filter(|moment| *moment > now.timestamp());
    later.into_iter().find(|moment| is_open(hours, &moment.to_zoned(zone.clone())))
}

/// A time that comes twice in the night when the clocks are put back begins twice.
fn beginnings(date: Date, from: Time, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
    let at = zone.to_ambiguous_zoned(date.to_datetime(from));
    [at.clone().earlier(), at.later()].into_iter().flatten().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(texts: &[&str]) -> Vec<Hours> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// In Berlin, where clocks went forward on 2026-03-29 at 2 and back on 2026-10-25 at 3. Given by rule, so that the
    /// test needs no files of the system.
    fn berlin(moment: &str) -> Zoned {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        moment.parse::<Timestamp>().unwrap().to_zoned(zone)
    }

    /// `now` and when it opens are in UTC; an empty text: it is open.
    #[track_caller]
    fn check(texts: &[&str], now: &str, expected: &str) {
        let found = closed(&hours(texts), &berlin(now)).map(|opens| opens.unwrap().to_string());
        assert_eq!(found.unwrap_or_default(), expected, "{texts:?} at {now}");
    }

    #[test]
    fn over_midnight_and_several() {
        check(&[], "2026-01-10T12:00:00Z", "");
        check(&["22:00-07:00"], "2026-01-10T20:59:59Z", "2026-01-10T21:00:00Z");
        check(&["22:00-07:00"], "2026-01-10T21:00:00Z", "");
        check(&["22:00-07:00"], "2026-01-11T05:59:59Z", "");
        check(&["22:00-07:00"], "2026-01-11T06:00:00Z", "2026-01-11T21:00:00Z");
        check(&["22:00-07:00", "12:00-13:30"], "2026-01-11T06:00:00Z", "2026-01-11T11:00:00Z");
        check(&["22:00-07:00", "12:00-13:30"], "2026-01-11T12:00:00Z", "");
        check(&["09:00-17:00"], "2026-01-11T16:00:00Z", "2026-01-12T08:00:00Z");
        check(&["18:00-24:00"], "2026-01-11T22:59:59Z", "");
        check(&["18:00-24:00"], "2026-01-11T23:00:00Z", "2026-01-12T17:00:00Z");
        check(&["0:00-1:00"], "2026-01-11T12:00:00Z", "2026-01-11T23:00:00Z");
    }

    #[test]
    fn when_the_clocks_go_forward() {
        // 22:00 is an hour earlier on the day after.
        check(&["22:00-07:00"], "2026-03-29T04:59:59Z", "");
        check(&["22:00-07:00"], "2026-03-29T05:00:00Z", "2026-03-29T20:00:00Z");
        // There is no half past two that night: at three it has begun.
        check(&["02:30-06:00"], "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z");
        check(&["02:30-06:00"], "2026-03-29T01:00:00Z", "");
        // There is nothing of this one at all.
        check(&["02:15-02:45"], "2026-03-29T00:59:59Z", "2026-03-30T00:15:00Z");
    }

    #[test]
    fn when_the_clocks_go_back() {
        check(&["02:15-02:45"], "2026-10-24T23:00:00Z", "2026-10-25T00:15:00Z");
        check(&["02:15-02:45"], "2026-10-25T00:30:00Z", "");
        // And the same time once more.
        check(&["02:15-02:45"], "2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z");
        check(&["02:15-02:45"], "2026-10-25T01:15:00Z", "");
        check(&["02:15-02:45"], "2026-10-25T01:45:00Z", "2026-10-26T01:15:00Z");
        check(&["22:00-07:00"], "2026-10-25T05:59:00Z", "");
        check(&["22:00-07:00"], "2026-10-25T06:00:00Z", "2026-10-25T21:00:00Z");
    }

    /// The moment that is named is the first one that is open, whatever the hours and the day.
    #[test]
    fn it_opens_when_it_says_and_not_before() {
        for texts in [&["22:00-07:00"][..], &["02:15-02:45", "01:50-02:10"], &["12:00-13:00", "03:00-02:00"]] {
            let hours = hours(texts);
            for day in ["2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"] {
                for quarter in 0..96 {
                    let moment = format!("{day}T{:02}:{:02}:00Z", quarter / 4, quarter % 4 * 15);
                    let now = berlin(&moment);
                    let Some(opens) = closed(&hours, &now) else { continue };
                    let opens = opens.unwrap().as_second();
                    let at = |second: i64| berlin(&Timestamp::from_second(second).unwrap().to_string());
                    assert!(is_open(&hours, &at(opens)), "{texts:?} {moment}");
                    let before = (now.timestamp().as_second()..opens).step_by(300);
                    assert!(before.into_iter().all(|second| !is_open(&hours, &at(second))), "{texts:?} {moment}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_time_of_the_day_is_refused() {
        for text in
            ["", "22:00", "22:00-", "-07:00", "22-07", "22:00-07:60", "24:00-07:00", "022:00-07:00", "2²:00-07:00"]
        {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
        assert!("00:00-24:00".parse::<Hours>().unwrap_err().contains("same time"));
        assert!(" 7:05 - 9:00 ".parse::<Hours>().is_ok());
    }
}
