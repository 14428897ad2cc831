//! Prices that leave their level: bad prints that come back, splits that do not, rows in another unit.
//!
//! A bar is judged when the two after it are known, against the usual size of moves up to it: the mean absolute log return,
//! exponentially weighted, each limited to a few times the mean so that what is looked for does not raise it.

use std::fmt;

use market::{Bar, Interval, Timestamp};

/// Weight of the newest move in the usual ones.
const WEIGHT: f64 = 1.0 / 32.0;

/// A move counts into the usual ones up to this many of them.
const LIMIT: f64 = 4.0;

/// Bars before anything is judged.
const WARM_UP: usize = 16;

/// A jump is this many usual moves.
const JUMP: f64 = 8.0;

/// A spike of a high, low or open is this many usual ones.
const SPIKE: f64 = 8.0;

/// Powers of ten by which units differ.
const UNIT_POWERS: std::ops::RangeInclusive<i32> = 1..=4;

/// New for old shares.
const RATIOS: [(u32, u32); 18] = [
    (2, 1),
    (3, 1),
    (3, 2),
    (4, 1),
    (4, 3),
    (5, 1),
    (5, 2),
    (5, 4),
    (6, 1),
    (7, 1),
    (8, 1),
    (10, 1),
    (15, 1),
    (20, 1),
    (25, 1),
    (30, 1),
    (50, 1),
    (7, 2),
];

/// A place where prices leave their level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Jump {
    pub(crate) row: usize,
    pub(crate) time: Timestamp,
    pub(crate) kind: JumpKind,
}

/// In what way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum JumpKind {
    /// From this row on, for so many rows, prices are 10^power of what they should be; `None`: to the end.
    Unit { power: i32, rows: Option<usize> },
    /// From this row on there are `new` shares for `old`.
    Split { new: u32, old: u32 },
    /// A price alone, and how far off, as a factor.
    Outlier { price: &'static str, factor: f64 },
}

impl Jump {
    /// Bars that it touches; a split touches all before it and is counted once.
    pub(crate) fn bars(&self) -> u64 {
        match self.kind {
            JumpKind::Unit { rows, .. } => rows.map_or(1, |rows| rows as u64),
            JumpKind::Split { .. } | JumpKind::Outlier { .. } => 1,
        }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            JumpKind::Unit { power, rows: Some(rows) } => write!(f, "10^{power} times its neighbours, for {rows} bars"),
            JumpKind::Unit { power, rows: None } => write!(f, "10^{power} times the bars before, to the end"),
            JumpKind::Split { new, old } => {
                write!(f, "prices keep a move by {old}:{new}, as after a split of {new} for {old}")
            }
            JumpKind::Outlier { price, factor } => write!(f, "the {price} is {factor:.3} of its neighbours"),
        }
    }
}

/// A usual size, learnt as bars come.
#[derive(Clone, Copy, Debug, Default)]
struct Usual {
    size: f64,
    seen: u32,
}

impl Usual {
    fn learn(&mut self, size: f64) {
        self.seen = self.seen.saturating_add(1);
        let limited = if self.seen > 1 { size.min(LIMIT * self.size + 1e-4) } else { size.min(0.05) };
        // A plain mean at first.
        self.size += WEIGHT.max(1.0 / f64::from(self.seen)) * (limited - self.size);
    }
}

/// Rows of another unit, so far.
#[derive(Clone, Copy, Debug)]
struct Run {
    power: i32,
    row: usize,
    time: Timestamp,
}

/// Finds jumps in a series of sound bars in order of time.
pub(crate) struct Jumps {
    /// Smallest move that is looked at.
    floor: f64,
    seen: usize,
    /// The last bars with their rows: before, judged, and the two after it.
    near: [Option<(usize, Bar)>; 4],
    returns: Usual,
    gaps: Usual,
    wicks: Usual,
    /// Usual turnover of a bar.
    money: f64,
    run: Option<Run>,
    /// Time of the last bad close: the move from it back is no jump of its own.
    bad_close: Option<Timestamp>,
}

impl Jumps {
    pub(crate) fn new(interval: Interval) -> Self {
        let floor = match interval {
            Interval::Day => 0.05,
            Interval::FourHours | Interval::Hour => 0.03,
            Interval::HalfHour | Interval::QuarterHour | Interval::FiveMinutes | Interval::Minute => 0.02,
        };
        let (returns, gaps, wicks) = Default::default();
        Self { floor, seen: 0, near: [None; 4], returns, gaps, wicks, money: 0.0, run: None, bad_close: None }
    }

    /// Takes in a bar; what is wrong with the one two before it, now that what follows is known.
    pub(crate) fn push(&mut self, row: usize, bar: &Bar) -> Option<Jump> {
        self.near = [self.near[1], self.near[2], self.near[3], Some((row, *bar))];
        self.judge()
    }

    /// What is wrong with the last bars.
    pub(crate) fn finish(&mut self) -> Vec<Jump> {
        let mut found = Vec::new();
        for _ in 0..2 {
            self.near = [self.near[1], self.near[2], self.near[3], None];
            found.extend(self.judge());
        }
        // What never came back: tenfold is a split of shares, more is another unit.
        if let Some(run) = self.run.take() {
            let kind = match run.power {
                -1 => JumpKind::Split { new: 10, old: 1 },
                1 => JumpKind::Split { new: 1, old: 10 },
                power => JumpKind::Unit { power, rows: None },
            };
            found.push(Jump { row: run.row, time: run.time, kind });
        }
        found
    }

    fn judge(&mut self) -> Option<Jump> {
        let [Some((_, before)), Some((row, bar)), after, later] = self.near else { return None };
        self.seen += 1;
        let (after, later) = (after.map(|(_, bar)| bar), later.map(|(_, bar)| bar));
        let step = (bar.close / before.close).ln();
        let usual = self.returns.size.max(1e-5);
        let found = if self.seen <= WARM_UP {
            None
        } else if step.abs() > self.floor.max(JUMP * usual) {
            self.level(row, [&before, &bar], [after, later])
        } else {
            self.spike(&before, &bar).map(|kind| Jump { row, time: bar.time, kind })
        };
        self.learn(&before, &bar, step);
        found
    }

    fn learn(&mut self, before: &Bar, bar: &Bar, step: f64) {
        self.returns.learn(step.abs());
        self.gaps.learn((bar.open / before.close).ln().abs());
        let (top, bottom) = (bar.open.max(bar.close), bar.open.min(bar.close));
        self.wicks.learn((bar.high / top).max(bottom / bar.low).ln());
        // The unit of money is its own: the first amount stands for the rest until there are more.
        let money = bar.close * bar.volume;
        let limited = if self.money > 0.0 { money.min(LIMIT * self.money) } else { money };
        self.money = if self.money > 0.0 { self.money + WEIGHT * (limited - self.money) } else { limited };
    }

    /// The close has left the level of the one before.
    fn level(&mut self, row: usize, [before, bar]: [&Bar; 2], [after, later]: [Option<Bar>; 2]) -> Option<Jump> {
        let step = (bar.close / before.close).ln();
        let at = |kind| Some(Jump { row, time: bar.time, kind });
        if self.bad_close == Some(before.time) {
            return None;
        }
        if let Some(run) = self.run {
            let back = step + f64::from(run.power) * std::f64::consts::LN_10;
            if back.abs() < self.unit_tolerance() {
                self.run = None;
                let kind = JumpKind::Unit { power: run.power, rows: Some(row - run.row) };
                return Some(Jump { row: run.row, time: run.time, kind });
            }
        }
        if let Some(power) = self.unit(step, before, bar)
            && self.run.is_none()
        {
            self.run = Some(Run { power, row, time: bar.time });
            return None;
        }
        let after = after?;
        let returned = (after.close / before.close).ln();
        let back = (after.close / bar.close).ln();
        if returned.abs() < 0.3 * step.abs() && back.abs() > 0.7 * step.abs() {
            // A crash that is made good the next day has its low and its volume; a bad print stands alone.
            self.bad_close = Some(bar.time);
            return at(JumpKind::Outlier { price: "close", factor: step.exp() });
        }
        let settled = later.map_or(returned, |later| (later.close / before.close).ln());
        let kept =
            |ratio: f64| (returned - ratio).abs() < 0.25 * ratio.abs() && (settled - ratio).abs() < 0.3 * ratio.abs();
        let (new, old) = self.ratio(before, bar)?;
        if kept((f64::from(old) / f64::from(new)).ln()) { at(JumpKind::Split { new, old }) } else { None }
    }

    fn unit_tolerance(&self) -> f64 {
        (6.0 * self.returns.size).clamp(0.1, 0.5)
    }

    /// The power of ten between two bars, where all four prices have it.
    fn unit(&self, step: f64, before: &Bar, bar: &Bar) -> Option<i32> {
        let power = (step / std::f64::consts::LN_10).round();
        let off = |now: f64, then: f64| ((now / then).ln() - power * std::f64::consts::LN_10).abs();
        let tolerance = self.unit_tolerance();
        let pairs =
            [(bar.open, before.close), (bar.high, before.close), (bar.low, before.close), (bar.close, before.close)];
        let fits = pairs.iter().all(|(now, then)| off(*now, *then) < 2.0 * tolerance)
            && off(bar.close, before.close) < tolerance;
        let power = power as i32;
        (fits && UNIT_POWERS.contains(&power.abs())).then_some(power)
    }

    /// The split between two bars: the open stands at its ratio to the close before, and no more money than usual changes hands.
    fn ratio(&self, before: &Bar, bar: &Bar) -> Option<(u32, u32)> {
        /// Money that trades on the first day of a split, in usual days; a crash trades more.
        const MONEY: f64 = 4.0;
        let gap = (bar.open / before.close).ln();
        let close = (bar.close / before.close).ln();
        let tolerance = (3.0 * self.gaps.size).clamp(0.008, 0.04);
        let both = RATIOS.into_iter().flat_map(|(new, old)| [(new, old), (old, new)]);
        let off = |(new, old): (u32, u32)| (gap - (f64::from(old) / f64::from(new)).ln()).abs();
        let nearest = both.min_by(|a, b| off(*a).total_cmp(&off(*b)))?;
        let ratio = (f64::from(nearest.1) / f64::from(nearest.0)).ln();
        // Companies fall by a quarter or a third as well: small ratios must be met well.
        let tolerance = if ratio.abs() < 0.5 { tolerance.min(0.015) } else { tolerance };
        let is_quiet = self.money <= 0.0 || bar.close * bar.volume < MONEY * self.money;
        let fits = off(nearest) < tolerance && (close - ratio).abs() < (6.0 * self.returns.size).clamp(0.03, 0.12);
        (fits && is_quiet).then_some(nearest)
    }

    /// A high, low or open alone is far from all else of the bar and from the close before.
    fn spike(&self, before: &Bar, bar: &Bar) -> Option<JumpKind> {
        let usual = (self.returns.size + self.wicks.size + self.gaps.size).max(1e-5);
        let far = self.floor.max(SPIKE * usual);
        let (top, bottom) = (bar.close.max(before.close), bar.close.min(before.close));
        let beyond = |price: f64| if price > top { (price / top).ln() } else { (price / bottom).ln().min(0.0) };
        let outlier = |price: &'static str, off: f64| JumpKind::Outlier { price, factor: off.exp() };
        let open = beyond(bar.open);
        if open.abs() > far {
            return Some(outlier("open", open));
        }
        let (high, low) = ((bar.high / bar.open.max(top)).ln(), (bar.low / bar.open.min(bottom)).ln());
        if high > far {
            Some(outlier("high", high))
        } else if -low > far {
            Some(outlier("low", low))
        } else {
            None
        }
    }
}
