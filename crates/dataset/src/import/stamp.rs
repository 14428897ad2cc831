//! Text to UTC: stamps with a zone as they are, stamps without one only in a zone that was named.
//!
//! A local clock that is set back shows an hour twice (a fold), one set forward skips one (a gap). Neither is guessed: a gap
//! is refused, a fold is refused unless the caller says which of the two it is.

use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use market::Timestamp;
use serde::{Deserialize, Serialize};

/// Microseconds in a day, and in a second.
const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;

/// How stamps are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StampFormat {
    /// A date, or date and time as in RFC 3339, with `T` or a space between.
    #[default]
    Iso,
    /// As in `strftime`, such as `%d/%m/%Y %H:%M`.
    Pattern(String),
    /// Whole seconds, milliseconds, microseconds or nanoseconds since 1970, so many a second.
    Unix {
        /// Units in a second.
        per_second: i64,
    },
}

/// Which of two moments with the same local time is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// None: such a stamp is refused.
    #[default]
    Refuse,
    /// The earlier, before the clock is set back.
    Earlier,
    /// The later.
    Later,
    /// The earlier, unless it is not after the row above.
    InOrder,
}

/// What midnight of a clock without a zone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Midnight {
    /// The date, as daily bars are stamped.
    Date,
    /// A moment like any other.
    Moment,
}

/// Why a stamp is no moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StampError {
    /// Not written as it should be.
    Form,
    /// Neither a zone in the stamp nor one for the file.
    NoZone,
    /// The clock shows it twice.
    Folded(Timestamp, Timestamp),
    /// The clock skips it.
    Skipped(String),
}

impl fmt::Display for StampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("is not a UTC time such as 2021-03-04"),
            Self::NoZone => f.write_str("has no time zone: name the one of the file, such as --zone America/New_York"),
            Self::Folded(earlier, later) => {
                write!(f, "comes twice, as the clock is set back: it is {earlier} or {later}, say which with --fold")
            }
            Self::Skipped(zone) => write!(f, "does not exist in {zone}: the clock is set forward over it"),
        }
    }
}

/// Reads the stamps of one file.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    format: StampFormat,
    zone: Option<TimeZone>,
    fold: Fold,
    midnight: Midnight,
    /// The last local day without a change of the clock, as days since 1970, and its offset in microseconds.
    steady: Option<(i64, i64)>,
    last: Option<Timestamp>,
}

impl Stamps {
    pub(crate) fn new(format: StampFormat, zone: Option<TimeZone>, fold: Fold) -> Self {
        Self { format, zone, fold, midnight: Midnight::Moment, steady: None, last: None }
    }

    /// Takes midnight for what it means in this file.
    pub(crate) fn with(self, midnight: Midnight) -> Self {
        Self { midnight, ..self }
    }

    /// The moment a stamp names.
    pub(crate) fn parse(&mut self, text: &str) -> Result<Timestamp, StampError> {
        let time = match &self.format {
            StampFormat::Iso => match iso(text) {
                Some(Iso::Day(day)) => Timestamp::from_micros(day * DAY),
                Some(Iso::Zoned(micros)) => Timestamp::from_micros(micros),
                Some(Iso::Local { day, micros }) => self.local(day, micros)?,
                None => self.slow(text)?,
            },
            StampFormat::Pattern(pattern) => {
                let broken = jiff::fmt::strtime::parse(pattern, text).map_err(|_| StampError::Form)?;
                if broken.hour().is_none() && broken.to_timestamp().is_err() {
                    let date = broken.to_date().map_err(|_| StampError::Form)?;
                    Timestamp::from_micros(days(date) * DAY)
                } else if let Ok(moment) = broken.to_timestamp() {
                    Timestamp::from_micros(moment.as_microsecond())
                } else {
                    self.civil(broken.to_datetime().map_err(|_| StampError::Form)?)?
                }
            }
            StampFormat::Unix { per_second } => {
                let count: i128 = text.parse().map_err(|_| StampError::Form)?;
                let micros = count * i128::from(SECOND) / i128::from(*per_second);
                Timestamp::from_micros(i64::try_from(micros).map_err(|_| StampError::Form)?)
            }
        };
        self.last = Some(time);
        Ok(time)
    }

    /// A moment of a local clock, in microseconds since its 1970-01-01.
    pub(crate) fn wall(&mut self, micros: i64) -> Result<Timestamp, StampError> {
        let time = self.local(micros.div_euclid(DAY), micros.rem_euclid(DAY))?;
        self.last = Some(time);
        Ok(time)
    }

    fn slow(&mut self, text: &str) -> Result<Timestamp, StampError> {
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(Timestamp::from_micros(moment.as_microsecond()));
        }
        let local: DateTime = text.parse().map_err(|_| StampError::Form)?;
        self.civil(local)
    }

    fn civil(&mut self, local: DateTime) -> Result<Timestamp, StampError> {
        let time = local.time();
        let seconds = i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        self.local(days(local.date()), seconds * SECOND + i64::from(time.subsec_nanosecond()) / 1_000)
    }

    fn local(&mut self, day: i64, micros: i64) -> Result<Timestamp, StampError> {
        if micros == 0 && self.midnight == Midnight::Date {
            return Ok(Timestamp::from_micros(day * DAY));
        }
        let Some(zone) = &self.zone else { return Err(StampError::NoZone) };
        if let Some((steady, offset)) = self.steady
            && steady == day
        {
            return Ok(Timestamp::from_micros(day * DAY + micros - offset));
        }
        let offset =
            |micros: i64| datetime(day * DAY + micros).map(|local| zone.to_ambiguous_timestamp(local).offset());
        if let (
            Some(AmbiguousOffset::Unambiguous { offset: first }),
            Some(AmbiguousOffset::Unambiguous { offset: last }),
        ) = (offset(0), offset(DAY - 1))
            && first == last
        {
            let micros_ahead = i64::from(first.seconds()) * SECOND;
            self.steady = Some((day, micros_ahead));
            return Ok(Timestamp::from_micros(day * DAY + micros - micros_ahead));
        }
        let at = |offset: jiff::tz::Offset| {
            Timestamp::from_micros(day * DAY + micros - i64::from(offset.seconds()) * SECOND)
        };
        match offset(micros).ok_or(StampError::Form)? {
            AmbiguousOffset::Unambiguous { offset } => Ok(at(offset)),
            AmbiguousOffset::Gap { .. } => {
                Err(StampError::Skipped(zone.iana_name().unwrap_or("the zone of the file").to_owned()))
            }
            AmbiguousOffset::Fold { before, after } => {
                let (earlier, later) = (at(before), at(after));
                match self.fold {
                    Fold::Refuse => Err(StampError::Folded(earlier, later)),
                    Fold::Earlier => Ok(earlier),
                    Fold::Later => Ok(later),
                    Fold::InOrder => Ok(if self.last.is_some_and(|last| last >= earlier) { later } else { earlier }),
                }
            }
        }
    }
}

fn datetime(micros: i64) -> Option<DateTime> {
    let moment = jiff::Timestamp::from_microsecond(micros).ok()?;
    Some(TimeZone::UTC.to_datetime(moment))
}

fn days(date: Date) -> i64 {
    civil_days(i64::from(date.year()), i64::from(date.month()), i64::from(date.day()))
}

/// Days since 1970-01-01 of a Gregorian date (Hinnant's algorithm).
fn civil_days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// What the usual forms say.
enum Iso {
    /// A date alone.
    Day(i64),
    /// Microseconds since 1970 in UTC.
    Zoned(i64),
    /// A day and microseconds of a local clock.
    Local { day: i64, micros: i64 },
}

/// `YYYY-MM-DD`, then nothing or `[T ]hh:mm[:ss[.f]]` and nothing, `Z` or `±hh:mm`. `None` for any other form.
fn iso(text: &str) -> Option<Iso> {
    let bytes = text.as_bytes();
    let pair = |at: usize| {
        let [tens, ones] = [bytes.get(at)?.wrapping_sub(b'0'), bytes.get(at + 1)?.wrapping_sub(b'0')];
        (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
    };
    let (year, month, date) = (pair(0)? * 100 + pair(2)?, pair(5)?, pair(8)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if bytes[4] != b'-' || bytes[7] != b'-' || !(1..=length).contains(&date) {
        return None;
    }
    let day = civil_days(year, month, date);
    if bytes.len() == 10 {
        return Some(Iso::Day(day));
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') || bytes.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (pair(11)?, pair(14)?);
    let (mut at, mut second, mut fraction) = (16, 0, 0);
    if bytes.get(at) == Some(&b':') {
        second = pair(17)?;
        at = 19;
        if bytes.get(at) == Some(&b'.') {
            let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            for place in 0..6 {
                let digit = if place < digits { i64::from(bytes[at + 1 + place] - b'0') } else { 0 };
                fraction = fraction * 10 + digit;
            }
            at += 1 + digits;
            if digits == 0 {
                return None;
            }
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = ((hour * 60 + minute) * 60 + second) * SECOND + fraction;
    let ahead = match bytes.get(at) {
        None => return Some(Iso::Local { day, micros }),
        Some(b'Z' | b'z') if bytes.len() == at + 1 => 0,
        Some(sign @ (b'+' | b'-')) if bytes.len() == at + 6 && bytes[at + 3] == b':' => {
            let (hours, minutes) = (pair(at + 1)?, pair(at + 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let ahead = (hours * 60 + minutes) * 60 * SECOND;
            if *sign == b'-' { -ahead } else { ahead }
        }
        Some(_) => return None,
    };
    Some(Iso::Zoned(day * DAY + micros - ahead))
}

#[cfg(test)]
mod tests;
