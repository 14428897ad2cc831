//! Agents on problems whose solution is known: returns, speed, and how far that is from the machine's limit.
//!
//! [`agent::run`] follows a recipe (`experiments/benchmarks/`) for some seeds, [`market::run`] does so on a made-up
//! market beside its oracle, [`forecast`] trains forecasters on series whose best forecast is known and measures their speed,
//! [`shelved`] trains one on more bars than memory is to hold, [`explanations`] holds what is said of their forecasts against what is known, [`gemm::peak`] is what one core can
//! multiply. CPU time is the process's own: other work on the machine disturbs it least.

pub mod agent;
pub mod clock;
pub mod evaluation;
pub mod explanations;
pub mod figures;
pub mod flops;
pub mod forecast;
pub mod gemm;
pub mod market;
pub mod recipes;
pub mod shelved;
mod watch;
