//! Running out of memory: foreseen or recognised, so that a trial can be tried again with less of it; and the less.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use spec::DegradeSpec;

use crate::TrainError;

/// How many rows of a mini-batch are computed at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MicroBatch {
    /// All of them.
    #[default]
    Whole,
    /// At most so many; their gradients are summed.
    Rows(NonZeroUsize),
}

impl MicroBatch {
    /// What is left after a step down.
    #[must_use]
    pub fn of(step: Option<DegradeSpec>) -> Self {
        step.and_then(|step| NonZeroUsize::new(step.micro_batch as usize)).map_or(Self::Whole, Self::Rows)
    }

    /// Rows at once, of a mini-batch of `batch`.
    pub(crate) fn rows(self, batch: usize) -> usize {
        match self {
            Self::Whole => batch,
            Self::Rows(most) => most.get().min(batch),
        }
    }
}

/// Asks the system for so much memory and gives it back. What is asked for here and refused is an error; what is asked for
/// later and refused ends the process, for no Rust program outlives an allocation that fails.
pub(crate) fn foresee(wanted_bytes: usize) -> Result<(), TrainError> {
    let mut room: Vec<u8> = Vec::new();
    let refused = room.try_reserve_exact(wanted_bytes).is_err();
    // Or the compiler sees that nobody uses it, and asks nobody.
    std::hint::black_box(&room);
    if refused { Err(TrainError::TooLittleMemory { wanted_bytes }) } else { Ok(()) }
}

/// Whether libtorch says that its allocator got nothing. It has no error code for it, only sentences.
pub(crate) fn is_out_of_memory(said: &str) -> bool {
    ["not enough memory", "out of memory", "can't allocate memory"].iter().any(|words| said.contains(words))
}

/// Runs `training`. Tensor operations panic when libtorch refuses them; where it refused for want of memory that is an
/// error like any other, and everything else goes on as it was.
pub(crate) fn guarded<T>(training: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    // Nothing that the closure holds is used after a panic: the run is dropped with it.
    catch_unwind(AssertUnwindSafe(training)).unwrap_or_else(|panic| match words(panic.as_ref()) {
        Some(said) if is_out_of_memory(said) => {
            // The first line says how much; what follows are addresses.
            Err(TrainError::OutOfMemory { why: said.split("\\n").next().unwrap_or(said).to_owned() })
        }
        Some(_) | None => resume_unwind(panic),
    })
}

fn words(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_allocation_is_an_error_of_memory_and_other_panics_go_on() {
        // More than any machine has: libtorch's own allocator refuses it.
        let asked = || -> Result<(), TrainError> {
            let _ = tch::Tensor::zeros([1 << 50], (tch::Kind::Float, tch::Device::Cpu));
            Ok(())
        };
        let error = guarded(asked).unwrap_err();
        assert!(matches!(error, TrainError::OutOfMemory { .. }), "{error}");
        assert_eq!(error.class(), spec::FailureClass::Oom);
        let shapes = || -> Result<(), TrainError> {
            let of = |length| tch::Tensor::zeros([length], (tch::Kind::Float, tch::Device::Cpu));
            let _ = of(2) + of(3);
            Ok(())
        };
        assert!(catch_unwind(|| guarded(shapes)).is_err());
    }

    #[test]
    fn what_no_machine_has_is_refused_before_it_is_used_and_what_it_has_is_not_kept() {
        let error = foresee(1 << 50).unwrap_err();
        assert!(matches!(error, TrainError::TooLittleMemory { wanted_bytes } if wanted_bytes == 1 << 50), "{error}");
        assert_eq!(error.class(), spec::FailureClass::Oom);
        assert!(error.to_string().contains("1024TiB"), "{error}");
        // Given back each time: together these are more than the machine has.
        (0..1_000).for_each(|_| foresee(1 << 30).unwrap());
    }

    #[test]
    fn a_micro_batch_is_never_larger_than_the_batch() {
        let rows = |micro_batch| MicroBatch::of(Some(DegradeSpec { micro_batch })).rows(32);
        assert_eq!((rows(8), rows(99), MicroBatch::of(None).rows(32)), (8, 32, 32));
    }
}
