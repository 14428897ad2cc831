//! Why a forecaster says what it says: attributions over features and bars, with what they miss.
//!
//! [`integrated_gradients`], [`shapley::sampled`] and [`shapley::exact`] share out the difference between what a model says
//! of a row and of a baseline; [`importance`] says what a model relies on over many rows. All four know a model as [`Scored`]
//! alone. [`explain()`] asks them of a [`Forecast`] over a [`History`] and gives an [`Explanation`], or refuses one whose
//! attributions do not add up. [`heat_map`], [`sentences`] and [`page()`] show it. Knows no training, no store and no clock.

mod attribution;
mod error;
mod explanation;
#[cfg(test)]
mod fixtures;
pub mod heat_map;
mod history;
mod integrated;
mod page;
mod permutation;
mod players;
mod scored;
pub mod shapley;
mod words;

pub use attribution::Attribution;
pub use error::ExplainError;
pub use explanation::{Explanation, Method, Question, Reliance, STEPS, TOLERANCE, explain};
pub use history::History;
pub use integrated::integrated_gradients;
pub use models::Target;
pub use page::page;
pub use permutation::{Importance, importance};
pub use players::{Grain, Players};
pub use scored::{Forecast, Scored};
pub use words::{Driver, drivers, sentences};
