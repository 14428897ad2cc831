//! Learning algorithms: dataset in, checkpoints and weights out.
//!
//! [`prepare()`] turns bars into rows and labels, [`train`] learns from them, resuming bit for bit from any checkpoint it
//! handed to its [`Sink`]. [`learn()`] does the same for an agent in any environment. Each algorithm is one file that reads
//! like its paper. Knows no scheduler, wire or store, and
//! reads no clock.

mod agent;
mod algorithms;
mod checkpoint;
mod critics;
mod distribution;
mod error;
mod exploration;
#[cfg(test)]
mod fixtures;
mod gae;
mod labels;
mod learn;
mod moments;
mod off_policy;
mod prepare;
mod priorities;
#[cfg(test)]
mod probing;
#[cfg(test)]
mod reference;
mod replay;
mod rollout;
mod seeds;
mod sink;
mod trading;
mod world;

use spec::{Device, TaskSpec, TrialSpec};

pub use agent::Window;
pub use checkpoint::CheckpointError;
pub use error::{LastGood, SinkError, TrainError};
pub use gae::{Trace, advantages};
pub use labels::{Label, Labels};
pub use learn::{Learned, Problem, learn};
pub use moments::Moments;
pub use prepare::{TrainingData, prepare};
pub use replay::{Batch, Replay, Transition, Widths};
pub use sink::{Ended, Kept, Sink, Trained};

/// Runs a trial from the start or from a checkpoint. Killed anywhere and resumed from its last checkpoint, it ends in the
/// same bytes.
///
/// # Errors
/// [`TrainError`]; its [`TrainError::class`] says whether a retry can help. A checkpoint that cannot be used is
/// [`TrainError::Checkpoint`]: try the one before.
pub fn train(
    spec: &TrialSpec,
    data: &TrainingData,
    resume: Option<&[u8]>,
    sink: &mut dyn Sink,
) -> Result<Ended, TrainError> {
    match spec.device {
        Device::Cpu => {}
        Device::Cuda | Device::Auto => return Err(TrainError::Device(spec.device)),
    }
    match &spec.task {
        TaskSpec::Supervised(task) => algorithms::supervised::train((spec, task), data, resume, sink),
        TaskSpec::Rl(task) => trading::train((spec, task), data, resume, sink),
    }
}

/// An error with its sources, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
