//! OHLCV bars and their spacing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// One bar of an instrument. `time` labels the bar; its values are known only after the bar closes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// Label of the bar: the session date for daily bars, the open for intraday ones.
    pub time: Timestamp,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Units traded.
    pub volume: f64,
}

/// Why a single bar cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BarDefect {
    /// A field is NaN or infinite.
    NotFinite,
    /// A price is zero or below.
    NonPositivePrice,
    /// The volume is below zero.
    NegativeVolume,
    /// High below low, or open or close outside them.
    Range,
}

impl fmt::Display for BarDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "a value is not a finite number",
            Self::NonPositivePrice => "a price is zero or negative",
            Self::NegativeVolume => "the volume is negative",
            Self::Range => "open or close lies outside low to high",
        })
    }
}

impl Bar {
    /// The first defect of this bar taken alone, or `None`.
    #[must_use]
    pub fn defect(&self) -> Option<BarDefect> {
        let prices = [self.open, self.high, self.low, self.close];
        if !prices.iter().chain([&self.volume]).all(|x| x.is_finite()) {
            Some(BarDefect::NotFinite)
        } else if prices.iter().any(|&p| p <= 0.0) {
            Some(BarDefect::NonPositivePrice)
        } else if self.volume < 0.0 {
            Some(BarDefect::NegativeVolume)
        } else if self.high < self.low || prices.iter().any(|&p| p < self.low || p > self.high) {
            Some(BarDefect::Range)
        } else {
            None
        }
    }
}

/// Spacing of bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Interval {
    /// One exchange session.
    #[serde(rename = "1d")]
    Day,
    /// Four hours.
    #[serde(rename = "4h")]
    FourHours,
    /// Sixty minutes.
    #[serde(rename = "1h")]
    Hour,
    /// Thirty minutes.
    #[serde(rename = "30m")]
    HalfHour,
    /// Fifteen minutes.
    #[serde(rename = "15m")]
    QuarterHour,
    /// Five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// One minute.
    #[serde(rename = "1m")]
    Minute,
}

/// No spacing has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no spacing of bars: use 1d, 4h, 1h, 30m, 15m, 5m or 1m")]
pub struct IntervalError(String);

impl Interval {
    const ALL: [Self; 7] =
        [Self::Day, Self::FourHours, Self::Hour, Self::HalfHour, Self::QuarterHour, Self::FiveMinutes, Self::Minute];

    /// Minutes from bar to bar; of a day for [`Interval::Day`].
    #[must_use]
    pub const fn minutes(self) -> i64 {
        match self {
            Self::Day => 1_440,
            Self::FourHours => 240,
            Self::Hour => 60,
            Self::HalfHour => 30,
            Self::QuarterHour => 15,
            Self::FiveMinutes => 5,
            Self::Minute => 1,
        }
    }

    /// Bars in a year of US equity sessions (252 days of 6.5 hours), for annualisation.
    #[must_use]
    pub fn periods_per_year(self) -> f64 {
        match self {
            Self::Day => 252.0,
            Self::FourHours | Self::Hour | Self::HalfHour | Self::QuarterHour | Self::FiveMinutes | Self::Minute => {
                252.0 * 390.0 / self.minutes() as f64
            }
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "1d",
            Self::FourHours => "4h",
            Self::Hour => "1h",
            Self::HalfHour => "30m",
            Self::QuarterHour => "15m",
            Self::FiveMinutes => "5m",
            Self::Minute => "1m",
        })
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.to_string() == text).ok_or_else(|| IntervalError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_defect_is_named() {
        let good = Bar { time: Timestamp::default(), open: 2.0, high: 3.0, low: 1.0, close: 2.5, volume: 0.0 };
        assert_eq!(good.defect(), None);
        assert_eq!(Bar { open: f64::NAN, ..good }.defect(), Some(BarDefect::NotFinite));
        assert_eq!(Bar { low: 0.0, ..good }.defect(), Some(BarDefect::NonPositivePrice));
        assert_eq!(Bar { volume: -1.0, ..good }.defect(), Some(BarDefect::NegativeVolume));
        assert_eq!(Bar { close: 3.5, ..good }.defect(), Some(BarDefect::Range));
    }

    #[test]
    fn a_spacing_reads_as_it_is_written() {
        for interval in Interval::ALL {
            assert_eq!(interval.to_string().parse(), Ok(interval));
        }
        assert!("1w".parse::<Interval>().is_err());
        assert_eq!(Interval::Hour.periods_per_year(), 252.0 * 6.5);
    }
}
