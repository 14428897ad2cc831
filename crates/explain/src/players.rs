//! Which values of a row stand or fall together: the players among whom a forecast is shared out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How finely a row is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grain {
    /// Each feature of each bar.
    Cell,
    /// Each feature, over all bars of the window.
    Feature,
    /// Each bar, with all its features.
    Bar,
}

impl Grain {
    /// All, finest first.
    pub const ALL: [Self; 3] = [Self::Cell, Self::Feature, Self::Bar];

    /// As commands and files name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::Feature => "feature",
            Self::Bar => "bar",
        }
    }
}

impl fmt::Display for Grain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Grain {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|grain| grain.name() == text).ok_or_else(|| format!("use one of {names}"))
    }
}

/// Groups of the values of a row. Values that belong to nobody stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Players(Vec<Vec<usize>>);

impl Players {
    /// The players of a window of `window` bars with `width` features each, of which those at `explained` take part. Cells
    /// come bar by bar, oldest first.
    ///
    /// # Panics
    /// For a feature beyond `width`: a caller's bug.
    #[must_use]
    pub fn of(grain: Grain, (window, width): (usize, usize), explained: &[usize]) -> Self {
        assert!(explained.iter().all(|feature| *feature < width), "features of the window");
        let cell = |bar: usize, feature: usize| bar * width + feature;
        Self(match grain {
            Grain::Cell => (0..window).flat_map(|bar| explained.iter().map(move |at| vec![cell(bar, *at)])).collect(),
            Grain::Feature => explained.iter().map(|at| (0..window).map(|bar| cell(bar, *at)).collect()).collect(),
            Grain::Bar => (0..window).map(|bar| explained.iter().map(|at| cell(bar, *at)).collect()).collect(),
        })
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The values of a row that are a player's.
    #[must_use]
    pub fn cells(&self, player: usize) -> &[usize] {
        &self.0[player]
    }

    /// Lets a player's values of `row` be those of `from`.
    pub fn join(&self, player: usize, from: &[f32], row: &mut [f32]) {
        self.0[player].iter().for_each(|cell| row[*cell] = from[*cell]);
    }

    /// What each player's values sum up to.
    #[must_use]
    pub fn sums(&self, cells: &[f64]) -> Vec<f64> {
        self.0.iter().map(|own| own.iter().map(|cell| cells[*cell]).sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_are_cells_features_or_bars_of_those_that_are_explained() {
        let of = |grain| Players::of(grain, (2, 3), &[0, 2]).0;
        assert_eq!(of(Grain::Cell), [[0], [2], [3], [5]]);
        assert_eq!(of(Grain::Feature), [[0, 3], [2, 5]]);
        assert_eq!(of(Grain::Bar), [[0, 2], [3, 5]]);
        let features = Players::of(Grain::Feature, (2, 3), &[0, 2]);
        assert_eq!(features.sums(&[1.0, 10.0, 2.0, 4.0, 10.0, 8.0]), [5.0, 10.0]);
        let mut row = [0.0; 6];
        features.join(1, &[1.0; 6], &mut row);
        assert_eq!(row, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
