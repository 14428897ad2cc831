//! Cross-validation of a forecaster: how the rows before the test split are dealt into folds, and what a fold came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DateRange;
use crate::forecast::is_default;

/// Folds of a trial: each is a training of its own.
pub const FOLDS_MAX: u32 = 64;

/// Fewest rows that a fold is fitted on, stops by or is tested on: a mean of fewer says nothing.
pub const FOLD_ROWS_MIN: usize = 8;

/// How the rows of train and validation are dealt into folds (Lopez de Prado 2018, ch. 7 and 12). A row trains only where
/// its label shares no bar with a tested one and where it does not begin within `data.split.embargo` rows after one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CrossValidationSpec {
    /// Blocks in order of time: each after the first is tested once, and only rows before it train.
    WalkForward {
        /// Blocks that are tested. Range: 2 to 64.
        #[schemars(range(min = 2, max = 64))]
        folds: u32,
        /// Which rows before a block train. Default: `expanding`.
        #[serde(default, skip_serializing_if = "is_default")]
        window: FoldWindow,
    },
    /// Each block is tested once, rows before and after it train.
    Blocks {
        /// Blocks. Range: 2 to 64.
        #[schemars(range(min = 2, max = 64))]
        folds: u32,
    },
    /// Every choice of `tested` of `groups` blocks is tested once, the others train. At most 64 choices.
    Combinatorial {
        /// Blocks. Range: 3 to 64.
        #[schemars(range(min = 3, max = 64))]
        groups: u32,
        /// Blocks tested at a time. Range: 1 to `groups` - 1.
        #[schemars(range(min = 1, max = 63))]
        tested: u32,
    },
}

/// Which rows before a tested block train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FoldWindow {
    /// All of them.
    #[default]
    Expanding,
    /// The last so many, purged ones included.
    Rolling {
        /// Rows. Range: 16 to 10000000.
        #[schemars(range(min = 16, max = 10_000_000))]
        rows: u32,
    },
}

impl CrossValidationSpec {
    /// Folds that it makes; [`u32::MAX`] for choices beyond [`FOLDS_MAX`], 0 where nothing can be chosen.
    #[must_use]
    pub fn folds(&self) -> u32 {
        match *self {
            Self::WalkForward { folds, .. } | Self::Blocks { folds } => folds,
            Self::Combinatorial { groups, tested } => choices(groups, tested),
        }
    }

    /// Blocks that rows are cut into.
    #[must_use]
    pub const fn blocks(&self) -> u32 {
        match *self {
            Self::WalkForward { folds, .. } => folds.saturating_add(1),
            Self::Blocks { folds } => folds,
            Self::Combinatorial { groups, .. } => groups,
        }
    }
}

/// Ways to choose `tested` of `groups`.
fn choices(groups: u32, tested: u32) -> u32 {
    let fewer = tested.min(groups.saturating_sub(tested));
    let mut ways = u64::from(tested <= groups);
    for chosen in 0..fewer {
        // Each product divides evenly, and none of them is smaller than the one before.
        ways = ways * u64::from(groups - chosen) / u64::from(chosen + 1);
        if ways > u64::from(FOLDS_MAX) {
            return u32::MAX;
        }
    }
    ways as u32
}

/// What a fold of a cross-validation came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldScore {
    /// First and last bar decided on of each stretch that was tested.
    pub tested: Vec<DateRange>,
    /// Rows it was fitted on.
    pub fit_rows: u64,
    /// Later rows that said when to stop.
    pub stop_rows: u64,
    /// Rows it was tested on.
    pub test_rows: u64,
    /// Mean loss of the tested rows, in the units of the rows fitted on.
    pub loss: f64,
    /// Annualised Sharpe ratio of trading the tested stretches, after costs; `None` when nobody traded them or it is
    /// undefined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpe: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combinatorial_deal_has_a_fold_for_each_choice_and_says_so_when_they_are_too_many() {
        let folds = |groups, tested| CrossValidationSpec::Combinatorial { groups, tested }.folds();
        assert_eq!((folds(6, 2), folds(6, 4), folds(3, 1), folds(64, 63)), (15, 15, 3, 64));
        assert_eq!((folds(8, 4), folds(u32::MAX, 7), folds(u32::MAX, u32::MAX - 1)), (u32::MAX, u32::MAX, u32::MAX));
        assert_eq!(folds(3, 4), 0);
    }

    #[test]
    fn the_first_block_of_a_walk_is_never_tested() {
        let walk = CrossValidationSpec::WalkForward { folds: 5, window: FoldWindow::Expanding };
        assert_eq!((walk.folds(), walk.blocks()), (5, 6));
        assert_eq!(serde_json::to_string(&walk).unwrap(), r#"{"walk_forward":{"folds":5}}"#);
    }
}
