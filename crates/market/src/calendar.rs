//! Sessions of the US equity market (NYSE, Nasdaq), from the exchange's holiday rules.
//!
//! Rules of NYSE Rule 7.2 as in force since 1998, and the unscheduled full-day closures since then. Early closes are
//! sessions. Before 1998 the answer is not meant to be right.

use jiff::civil::{Date, Weekday};

use crate::Timestamp;

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

/// Sessions strictly between two dates, in order.
pub fn us_equity_sessions_between(after: Timestamp, before: Timestamp) -> impl Iterator<Item = Timestamp> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let first = after.micros().div_euclid(DAY_MICROS) + 1;
    let last = before.micros().div_euclid(DAY_MICROS);
    (first..last).map(|day| Timestamp::from_micros(day * DAY_MICROS)).filter(|time| is_us_equity_session(*time))
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
}
