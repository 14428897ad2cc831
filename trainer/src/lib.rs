//! Learning algorithms: dataset in, checkpoints and weights out.
//!
//! [`prepare()`] turns bars into rows and labels, [`train`] learns from them, resuming bit for bit from any checkpoint it
//! handed to its [`Sink`]. Each algorithm is one file that reads like its paper. Knows no scheduler, wire or store, and
//! reads no clock.

mod algorithms;
mod checkpoint;
mod error;
#[cfg(test)]
mod fixtures;
mod gae;
mod optimiser;
mod prepare;
mod rollout;
mod seeds;
mod sink;

use std::sync::{Mutex, PoisonError};

use spec::{Device, TaskSpec, TrialSpec};

pub use checkpoint::CheckpointError;
pub use error::{SinkError, TrainError};
pub use gae::{Trace, advantages};
pub use prepare::{Label, Labels, TrainingData, prepare};
pub use sink::{Ended, Sink, Trained};

/// libtorch has one random generator per process: trainings in one process take turns.
static GENERATOR: Mutex<()> = Mutex::new(());

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
    models::set_threads(spec.threads);
    let _turn = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    match &spec.task {
        TaskSpec::Supervised(task) => algorithms::supervised::train((spec, task), data, resume, sink),
        TaskSpec::Rl(task) => algorithms::ppo::train((spec, task), data, resume, sink),
    }
}
