//! A sink that keeps time: when training and when learning began.

use spec::Progress;
use trainer::{Kept, Sink, SinkError};

use crate::clock::{Elapsed, Moment};

/// Notes when learning begins.
pub(crate) struct Watch {
    starts: u64,
    started: Moment,
    began: Option<(Moment, u64)>,
}

impl Watch {
    /// Begins to keep time; learning begins after `starts` environment steps.
    pub(crate) fn new(starts: u64) -> Self {
        let started = Moment::now();
        Self { starts, started, began: (starts == 0).then_some((started, 0)) }
    }

    /// Time since it was made.
    pub(crate) fn elapsed(&self) -> Elapsed {
        self.started.elapsed()
    }

    /// Time since learning began, and the environment steps before that.
    pub(crate) fn learning(&self) -> (Elapsed, u64) {
        self.began.map_or_else(|| (self.elapsed(), 0), |(moment, step)| (moment.elapsed(), step))
    }
}

impl Sink for Watch {
    fn progress(&mut self, progress: Progress) {
        if self.began.is_none() && progress.step >= self.starts {
            self.began = Some((Moment::now(), progress.step));
        }
    }

    fn checkpoint(&mut self, _step: u64, _bytes: Vec<u8>) -> Result<Kept, SinkError> {
        Ok(Kept::Not)
    }

    fn should_stop(&self) -> bool {
        false
    }

    fn keeps_checkpoints(&self) -> bool {
        false
    }
}
