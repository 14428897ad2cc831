//! When markets trade: US equities from the exchange's holiday rules, London and Tokyo from tables, and those that never close.
//!
//! US equities follow NYSE Rule 7.2 as in force since 1998, and the unscheduled full-day closures since then. Early closes
//! are sessions. Before 1998 the answer is not meant to be right.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Microseconds in a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// Days on which a market trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// New York and Nasdaq, by rule.
    #[default]
    Xnys,
    /// London, by a table of 2005 to June 2026; outside it every weekday counts.
    Xlon,
    /// Tokyo, by a table of 2005 to June 2026; outside it every weekday counts.
    Xtks,
    /// Every Monday to Friday.
    Weekdays,
    /// Foreign exchange: Sunday 17:00 to Friday 17:00 in New York; daily bars on weekdays and Sundays.
    Forex,
    /// Every day, around the clock.
    Always,
}

/// No calendar has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no calendar: use xnys, xlon, xtks, weekdays, forex or always")]
pub struct CalendarError(String);

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xnys => "xnys",
            Self::Xlon => "xlon",
            Self::Xtks => "xtks",
            Self::Weekdays => "weekdays",
            Self::Forex => "forex",
            Self::Always => "always",
        })
    }
}

impl FromStr for Calendar {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Xnys, Self::Xlon, Self::Xtks, Self::Weekdays, Self::Forex, Self::Always];
        all.into_iter().find(|one| one.to_string() == text).ok_or_else(|| CalendarError(text.to_owned()))
    }
}

impl Calendar {
    /// Whether the market trades on the UTC date of `time`.
    #[must_use]
    pub fn is_session(self, time: Timestamp) -> bool {
        date_of(time).is_some_and(|date| self.trades_on(date))
    }

    /// Whether a daily bar is owed for the UTC date of `time`: a Sunday of [`Calendar::Forex`] may have one, but need not.
    fn owes(self, time: Timestamp) -> bool {
        date_of(time)
            .is_some_and(|date| self.trades_on(date) && (self != Self::Forex || date.weekday() != Weekday::Sunday))
    }

    fn trades_on(self, date: Date) -> bool {
        let is_weekday = !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        match self {
            Self::Xnys => is_session(date),
            Self::Xlon => is_weekday && XLON_CLOSED.binary_search(&date).is_err(),
            Self::Xtks => is_weekday && XTKS_CLOSED.binary_search(&date).is_err(),
            Self::Weekdays => is_weekday,
            Self::Forex => date.weekday() != Weekday::Saturday,
            Self::Always => true,
        }
    }

    /// Dates strictly between two dates for which a bar is owed, in order.
    pub fn sessions_between(self, after: Timestamp, before: Timestamp) -> impl Iterator<Item = Timestamp> {
        let first = after.micros().div_euclid(DAY_MICROS) + 1;
        let last = before.micros().div_euclid(DAY_MICROS);
        (first..last).map(|day| Timestamp::from_micros(day * DAY_MICROS)).filter(move |time| self.owes(*time))
    }

    /// Whether the market trades at this very moment, early closes and lunch breaks left aside.
    #[must_use]
    pub fn is_open(self, time: Timestamp) -> bool {
        let local = |zone: &str| {
            let moment = jiff::Timestamp::from_microsecond(time.micros()).ok()?;
            let local = moment.to_zoned(TimeZone::get(zone).ok()?).datetime();
            Some((local.date(), i32::from(local.hour()) * 60 + i32::from(local.minute())))
        };
        let within = |zone: &str, open: i32, close: i32| {
            local(zone).is_some_and(|(date, minute)| self.trades_on(date) && (open..close).contains(&minute))
        };
        match self {
            Self::Always => true,
            Self::Weekdays => self.is_session(time),
            Self::Xnys => within("America/New_York", 570, 960),
            Self::Xlon => within("Europe/London", 480, 990),
            Self::Xtks => within("Asia/Tokyo", 540, 900),
            Self::Forex => local("America/New_York").is_some_and(|(date, minute)| match date.weekday() {
                Weekday::Saturday => false,
                Weekday::Sunday => minute >= 1_020,
                Weekday::Friday => minute < 1_020,
                Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday => true,
            }),
        }
    }
}

/// Weekdays of 2005-01-01 to 2026-06-30 without a session, from exchange_calendars 4.13.2.
static XLON_CLOSED: LazyLock<Vec<Date>> = LazyLock::new(|| dates(include_str!("calendar/xlon_closed_weekdays.txt")));

/// As [`XLON_CLOSED`], of Tokyo.
static XTKS_CLOSED: LazyLock<Vec<Date>> = LazyLock::new(|| dates(include_str!("calendar/xtks_closed_weekdays.txt")));

fn dates(lines: &str) -> Vec<Date> {
    lines.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Full-day closures that follow from no rule: 11 September 2001, the funerals of Presidents Reagan, Ford, G. H. W. Bush
/// and Carter, and Hurricane Sandy.
const UNSCHEDULED: [(i16, i8, i8); 10] = [
    (2001, 9, 11),
    (2001, 9, 12),
    (2001, 9, 13),
    (2001, 9, 14),
    (2004, 6, 11),
    (2007, 1, 2),
    (2012, 10, 29),
    (2012, 10, 30),
    (2018, 12, 5),
    (2025, 1, 9),
];

/// First year in which Juneteenth closes the exchange.
const JUNETEENTH_SINCE: i16 = 2022;

/// Whether US equities trade on the UTC date of `time`.
#[must_use]
pub fn is_us_equity_session(time: Timestamp) -> bool {
    date_of(time).is_some_and(is_session)
}

/// Sessions of US equities strictly between two dates, in order.
pub fn us_equity_sessions_between(after: Timestamp, before: Timestamp) -> impl Iterator<Item = Timestamp> {
    Calendar::Xnys.sessions_between(after, before)
}

fn date_of(time: Timestamp) -> Option<Date> {
    let moment = jiff::Timestamp::from_microsecond(time.micros()).ok()?;
    Some(moment.to_zoned(jiff::tz::TimeZone::UTC).date())
}

fn is_session(date: Date) -> bool {
    let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
    !weekend && !is_holiday(date) && !UNSCHEDULED.contains(&(date.year(), date.month(), date.day()))
}

fn is_holiday(date: Date) -> bool {
    let monday = date.weekday() == Weekday::Monday;
    // The week of the month that the day falls into, from 1.
    let week = (date.day() - 1) / 7 + 1;
    match date.month() {
        1 => is_new_year(date) || (monday && week == 3),
        2 => monday && week == 3,
        3 | 4 => is_good_friday(date),
        5 => monday && date.day() > 24,
        6 => date.year() >= JUNETEENTH_SINCE && is_observed(date, 19),
        7 => is_observed(date, 4),
        9 => monday && week == 1,
        11 => date.weekday() == Weekday::Thursday && week == 4,
        12 => is_observed(date, 25),
        _ => false,
    }
}

/// A Sunday holiday moves to Monday. A Saturday New Year is not made up for: 31 December stays a session.
fn is_new_year(date: Date) -> bool {
    date.day() == 1 || (date.day() == 2 && date.weekday() == Weekday::Monday)
}

/// A fixed day of this month, moved from Saturday to Friday and from Sunday to Monday.
fn is_observed(date: Date, day: i8) -> bool {
    let moved = match date.weekday() {
        Weekday::Friday => date.day() + 1 == day,
        Weekday::Monday => date.day() - 1 == day,
        Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Saturday | Weekday::Sunday => false,
    };
    moved || date.day() == day
}

/// Two days before Easter Sunday (Gregorian computus, Meeus, Jones and Butcher).
fn is_good_friday(date: Date) -> bool {
    let year = i32::from(date.year());
    let a = year % 19;
    let (b, c) = (year / 100, year % 100);
    let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let month = (h + l - 7 * m + 114) / 31;
    let day = (h + l - 7 * m + 114) % 31 + 1;
    let easter = Date::new(date.year(), i8::try_from(month).unwrap_or(4), i8::try_from(day).unwrap_or(1));
    easter.is_ok_and(|easter| easter.yesterday().and_then(Date::yesterday).is_ok_and(|friday| friday == date))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every weekday between 2005-01-03 and 2026-06-30 on which exchange_calendars 4.13.2 has no XNYS session.
    const CLOSED: &str = include_str!("calendar/xnys_closed_weekdays.txt");

    #[test]
    fn closed_weekdays_are_those_of_the_exchange_for_twenty_one_years() {
        let start: Timestamp = "2005-01-02".parse().unwrap();
        let end: Timestamp = "2026-07-01".parse().unwrap();
        let sessions: std::collections::HashSet<_> = us_equity_sessions_between(start, end).collect();
        let mut ours = Vec::new();
        let mut day = start.plus_seconds(86_400.0);
        while day < end {
            let weekday = date_of(day).unwrap().weekday();
            if !matches!(weekday, Weekday::Saturday | Weekday::Sunday) && !sessions.contains(&day) {
                ours.push(day.date());
            }
            day = day.plus_seconds(86_400.0);
        }
        assert_eq!(ours, CLOSED.lines().collect::<Vec<_>>());
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn between(calendar: Calendar, after: &str, before: &str) -> Vec<String> {
        calendar.sessions_between(at(after), at(before)).map(Timestamp::date).collect()
    }

    #[test]
    fn each_market_has_its_own_holidays() {
        // Early May holiday in London, Golden Week in Tokyo, nothing in New York.
        let week = ["2023-05-01", "2023-05-02", "2023-05-03", "2023-05-04", "2023-05-05"];
        assert_eq!(between(Calendar::Xnys, "2023-04-28", "2023-05-08"), week);
        assert_eq!(between(Calendar::Xlon, "2023-04-28", "2023-05-08"), week[1..]);
        assert_eq!(between(Calendar::Xtks, "2023-04-28", "2023-05-08"), week[..2]);
        assert_eq!(between(Calendar::Weekdays, "2023-04-28", "2023-05-08"), week);
        assert_eq!(between(Calendar::Forex, "2023-04-28", "2023-05-08"), week, "a Sunday bar is owed by nobody");
        assert_eq!(between(Calendar::Always, "2023-04-28", "2023-05-08").len(), 9);
        assert!(Calendar::Forex.is_session(at("2023-05-07")) && !Calendar::Forex.is_session(at("2023-05-06")));
        assert_eq!("xlon".parse(), Ok(Calendar::Xlon));
        assert!("moon".parse::<Calendar>().is_err());
    }

    #[test]
    fn trading_hours_follow_the_clock_of_the_place() {
        for (time, open) in [
            ("2011-03-11T14:29:00Z", false),
            ("2011-03-11T14:30:00Z", true),
            ("2011-03-14T13:30:00Z", true),
            ("2011-03-14T19:59:00Z", true),
            ("2011-03-14T20:00:00Z", false),
        ] {
            assert_eq!(Calendar::Xnys.is_open(at(time)), open, "{time}");
        }
        assert!(
            Calendar::Forex.is_open(at("2017-01-01T22:00:00Z")) && !Calendar::Forex.is_open(at("2017-01-01T21:59:00Z"))
        );
        assert!(Calendar::Forex.is_open(at("2017-07-02T21:00:00Z")));
    }
}
