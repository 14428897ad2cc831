//! What every indicator reads of a bar, derived once.

use market::Bar;

/// A bar with the one before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The bar.
    pub(crate) bar: Bar,
    /// The bar before; the bar itself at the first.
    pub(crate) before: Bar,
    /// Where the series stands.
    pub(crate) place: Place,
    /// ln(close / close before); 0 at the first bar.
    pub(crate) log_return: f64,
    /// The bar's range, the close before included.
    pub(crate) true_range: f64,
}

/// Whether a bar has one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Later,
}

impl Step {
    pub(crate) fn new(bar: &Bar, before: Option<&Bar>) -> Self {
        let place = if before.is_some() { Place::Later } else { Place::First };
        let before = before.unwrap_or(bar);
        let (above, below) = match place {
            Place::First => (0.0, 0.0),
            Place::Later => ((bar.high - before.close).abs(), (bar.low - before.close).abs()),
        };
        Self {
            bar: *bar,
            before: *before,
            place,
            log_return: match place {
                Place::First => 0.0,
                Place::Later => (bar.close / before.close).ln(),
            },
            true_range: (bar.high - bar.low).max(above).max(below),
        }
    }

    /// The bar before, where there is one.
    pub(crate) fn later(&self) -> Option<&Bar> {
        match self.place {
            Place::First => None,
            Place::Later => Some(&self.before),
        }
    }

    /// Mean of high, low and close.
    pub(crate) fn typical(&self) -> f64 {
        (self.bar.high + self.bar.low + self.bar.close) / 3.0
    }

    /// −1 with the close at the low to 1 at the high; 0 for a bar without range.
    pub(crate) fn close_location(&self) -> f64 {
        let Bar { high, low, close, .. } = self.bar;
        ratio((close - low) - (high - close), high - low, 0.0)
    }
}

/// `numerator / denominator`, or `otherwise` where the denominator is not above 0.
pub(crate) fn ratio(numerator: f64, denominator: f64, otherwise: f64) -> f64 {
    if denominator > 0.0 { numerator / denominator } else { otherwise }
}
