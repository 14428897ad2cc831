//! Learning algorithms: dataset in, checkpoints and weights out.
//!
//! [`prepare()`] turns bars into rows and labels, or [`shelve`] where they are larger than memory; [`train`] learns from them,
//! resuming bit for bit from any checkpoint it handed to its [`Sink`]. [`learn()`] does the same for an agent in any
//! environment. Each algorithm is one file that reads like its paper. Knows no scheduler, wire or store, and reads no clock.

mod agent;
mod algorithms;
#[cfg(test)]
mod branching;
mod checkpoint;
mod companions;
mod critics;
mod distribution;
mod error;
mod exploration;
#[cfg(test)]
mod fixtures;
mod folds;
mod gae;
mod labels;
mod learn;
mod lessons;
mod material;
mod memory;
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
mod scratch;
mod seeds;
mod shelf;
mod shelves;
mod sink;
mod trading;
mod world;

use spec::{Device, TaskSpec, TrialSpec};

pub use agent::Window;
pub use checkpoint::{CheckpointError, Start};
pub use companions::Companion;
pub use error::{LastGood, SinkError, TrainError};
pub use gae::{Trace, advantages};
pub use labels::{Label, Labels};
pub use learn::{Learned, Problem, learn};
pub use material::Material;
pub use memory::MicroBatch;
pub use moments::Moments;
pub use prepare::{TrainingData, prepare, prepare_among, prepare_seeing};
pub use replay::{Batch, Replay, Transition, Widths};
pub use scratch::ScratchError;
pub use shelves::{Shelves, WHOLE_BYTES_MAX, can_be_shelved, shelve, whole_bytes};
pub use sink::{Ended, FoldModel, Kept, Sink, Trained};

/// Runs a trial from the start or from a checkpoint. Killed anywhere and resumed from its last checkpoint, it ends in the
/// same bytes. A trial with a parent goes on with all that the parent had learned: weights, optimiser, memory, best weights
/// so far and curve; only its own settings are new.
///
/// # Errors
/// [`TrainError`]; its [`TrainError::class`] says whether a retry can help. A checkpoint that cannot be used is
/// [`TrainError::Checkpoint`]: try the one before.
pub fn train<'d>(
    spec: &TrialSpec,
    data: impl Into<Material<'d>>,
    start: Start<'_>,
    sink: &mut dyn Sink,
) -> Result<Ended, TrainError> {
    train_in(MicroBatch::Whole, (spec, data), start, sink)
}

/// The same, computing no more than a micro-batch at once. Gradients are summed up to the mini-batch, so each update is the
/// one that the whole would give, up to the order in which numbers are added; a row's dropout is its own.
///
/// # Errors
/// As [`train`]; an agent's batches are never split.
pub fn train_in<'d>(
    micro_batch: MicroBatch,
    (spec, data): (&TrialSpec, impl Into<Material<'d>>),
    start: Start<'_>,
    sink: &mut dyn Sink,
) -> Result<Ended, TrainError> {
    if let (Start::Anew, Some(parent)) = (start, &spec.parent) {
        return Err(TrainError::Orphan { trial: spec.trial.clone(), parent: parent.trial.clone() });
    }
    let resume = start.saved(spec)?;
    match spec.device {
        Device::Cpu => {}
        Device::Cuda | Device::Auto => return Err(TrainError::Device(spec.device)),
    }
    let material: Material<'d> = data.into();
    match (&spec.task, material) {
        (TaskSpec::Supervised(task), material) => {
            memory::guarded(|| algorithms::supervised::train((spec, task, micro_batch), material, resume, sink))
        }
        (TaskSpec::Rl(task), Material::Whole(data)) => trading::train((spec, task), data, resume, sink),
        (TaskSpec::Rl(_), Material::Shelved(_)) => Err(TrainError::Unshelvable),
    }
}

/// An error with its sources, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
