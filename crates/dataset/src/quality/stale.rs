//! Bars that repeat.

use market::{Bar, Interval};

use super::FindingKind;
use super::checker::Fault;

/// A run of bars that repeat in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Every price that of the bar before, and its volume but for a twentieth.
    Copy,
    /// One price and no volume.
    NoTrade,
    /// The same close with other values.
    Still,
}

pub(super) struct Stale {
    /// Fewest bars of each way that are a finding.
    least: [u64; 3],
    before: Option<Bar>,
    /// The way, its first bar, and how many it has.
    run: Option<(Way, usize, Bar, u64)>,
}

impl Stale {
    pub(super) fn new(interval: Interval) -> Self {
        // In an order of Way: a copy of a bar with trades is never by chance, the rest is among short bars.
        let least = match interval {
            Interval::Day => [1, 1, 4],
            Interval::FourHours | Interval::Hour => [1, 1, 8],
            Interval::HalfHour | Interval::QuarterHour | Interval::FiveMinutes => [2, 12, 40],
            Interval::Minute => [3, 60, 60],
        };
        Self { least, before: None, run: None }
    }

    /// Takes in a bar; gives a run that it ends.
    pub(super) fn push(&mut self, row: usize, bar: &Bar) -> Option<Fault> {
        let before = self.before.replace(*bar)?;
        let way = way(&before, bar);
        match (&mut self.run, way) {
            (Some((present, .., count)), Some(way)) if *present == way => {
                *count += 1;
                None
            }
            (_, way) => {
                let ended = self.finish();
                self.run = way.map(|way| (way, row, *bar, 1));
                ended
            }
        }
    }

    /// The run that is open.
    pub(super) fn finish(&mut self) -> Option<Fault> {
        let (way, row, bar, bars) = self.run.take()?;
        let (least, detail) = match way {
            Way::Copy => (self.least[0], format!("{bars} × the bar before, volume included")),
            Way::NoTrade => (self.least[1], format!("{bars} × no trade at {}", bar.close)),
            Way::Still => (self.least[2], format!("the close stands still at {} for {bars} bars", bar.close)),
        };
        (bars >= least).then_some(Fault { row, time: bar.time, kind: FindingKind::Stale, bars, detail })
    }
}

fn way(before: &Bar, bar: &Bar) -> Option<Way> {
    let Bar { time: _, open, high, low, close, volume } = *bar;
    if close != before.close {
        return None;
    }
    let is_point = open == close && high == close && low == close;
    if is_point && volume == 0.0 {
        return Some(Way::NoTrade);
    }
    // Vendors who copy a bar may still count a few of its shares anew.
    let is_same_volume = (volume - before.volume).abs() <= 0.05 * before.volume;
    let is_copy = open == before.open && high == before.high && low == before.low && is_same_volume;
    // A bar of one price with the same small volume can come twice by chance; one with a range cannot.
    Some(if is_copy && !is_point { Way::Copy } else { Way::Still })
}
