//! Environments an agent acts in.
//!
//! [`VectorEnv`] steps many copies side by side and writes into the caller's [`Buffers`]; its actions are indices or numbers,
//! and [`Autoreset`] says when the next episode begins. [`TradingEnv`] replays a [`History`] through the fill core of `venue`
//! and `portfolio`, so an episode and a backtest of the same decisions are the same to the millionth; [`AllocationEnv`] does
//! so with several assets. [`Classic`] holds Gymnasium's classic control problems, [`Windowed`] hides parts of another
//! environment, [`probe`] holds tiny problems with known answers, [`conformance`] what every environment passes and
//! [`bench`] how fast they are. No environment shows or pays a NaN, whatever action it is given. Knows no tensors, no
//! trainer, no clock; randomness is a seed.

mod allocation;
mod batch;
pub mod bench;
mod classic;
pub mod conformance;
mod draws;
mod env;
mod history;
pub mod probe;
mod reward;
mod schedule;
mod trading;
mod windowed;

pub use allocation::AllocationEnv;
pub use classic::{Classic, ClassicKind, UnknownClassic};
pub use env::{ActionSpace, Actions, Autoreset, Bounds, Buffers, StateError, StepBuffers, StepOutcome, VectorEnv};
pub use history::{EnvError, History, Rows};
pub use schedule::Episodes;
pub use trading::{Reference, Taken, TradingEnv};
pub use windowed::Windowed;
