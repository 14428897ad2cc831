//! Who starts worker processes: the port, and the fleet that keeps as many as wanted alive.

use std::path::PathBuf;
use std::time::Duration;

use protocol::Offer;
use spec::WorkerId;

/// A fleet that loses this many workers in a row right after their start gives up: something is wrong with all.
const QUICK_DEATHS_MAX: u32 = 20;

/// A worker that lived this long did start.
const SETTLED: Duration = Duration::from_secs(5);

/// Wait before a worker is replaced after a quick death; doubles each time.
const RESPAWN_FIRST: Duration = Duration::from_millis(250);

/// Longest such wait.
const RESPAWN_MAX: Duration = Duration::from_secs(30);

/// The engine cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A worker cannot be started at all.
    #[error("worker {worker} cannot be started by {program}: {why}")]
    Launch {
        /// Which worker.
        worker: WorkerId,
        /// The program.
        program: PathBuf,
        /// As the system said.
        why: std::io::Error,
    },
    /// Workers die as soon as they start.
    #[error("{deaths} workers in a row ended right after their start ({last}): see {log}")]
    Dying {
        /// How many.
        deaths: u32,
        /// How the last one ended.
        last: String,
        /// Its log.
        log: PathBuf,
    },
    /// One trial needs more than there is.
    #[error("a trial needs {needed} CPU cores and the budget is {budget}: raise the budget or lower resources.cpus")]
    TooLarge {
        /// Cores per trial.
        needed: u32,
        /// Cores in all.
        budget: u32,
    },
}

/// A worker process that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Which worker.
    pub worker: WorkerId,
    /// How, for people.
    pub how: String,
}

/// Starts and ends worker processes. Queue, priority and retry are not its business.
pub trait Engine: Send + std::fmt::Display {
    /// Workers that fit at once.
    fn capacity(&self) -> u32;

    /// What the largest worker that it starts has; `None`: unknown.
    fn largest(&self) -> Option<Offer> {
        None
    }

    /// Starts a worker that connects to the scheduler at `url`.
    ///
    /// # Errors
    /// [`EngineError::Launch`].
    fn launch(&mut self, worker: &WorkerId, url: &str) -> Result<(), EngineError>;

    /// Workers that ended since the last call.
    fn poll(&mut self) -> Vec<Exit>;

    /// Ends a worker at once. Its exit shows in [`Engine::poll`].
    fn kill(&mut self, worker: &WorkerId);

    /// Where a worker's output goes.
    fn log(&self, worker: &WorkerId) -> PathBuf;
}

/// Keeps an engine full. Time is passed in.
pub(crate) struct Fleet {
    engine: Box<dyn Engine>,
    url: String,
    /// Part of every worker's name: unique for the life of the machine.
    prefix: String,
    launched: u32,
    alive: Vec<(WorkerId, Duration)>,
    quick_deaths: u32,
    not_before: Duration,
}

impl Fleet {
    pub(crate) fn new(engine: Box<dyn Engine>, url: &str, prefix: String) -> Self {
        Self {
            engine,
            url: url.to_owned(),
            prefix,
            launched: 0,
            alive: Vec::new(),
            quick_deaths: 0,
            not_before: Duration::ZERO,
        }
    }

    /// Replaces what died; returns the dead. `now` is the time since the fleet began.
    pub(crate) fn tend(&mut self, now: Duration) -> Result<Vec<Exit>, EngineError> {
        let exits = self.engine.poll();
        for exit in &exits {
            let born = self.alive.iter().find(|(worker, _)| *worker == exit.worker).map(|(_, born)| *born);
            self.alive.retain(|(worker, _)| *worker != exit.worker);
            if born.is_some_and(|born| now.saturating_sub(born) >= SETTLED) {
                self.quick_deaths = 0;
                continue;
            }
            self.quick_deaths += 1;
            if self.quick_deaths >= QUICK_DEATHS_MAX {
                let log = self.engine.log(&exit.worker);
                return Err(EngineError::Dying { deaths: self.quick_deaths, last: exit.how.clone(), log });
            }
            // The first deaths cost no wait: a killed worker is replaced at once.
            let doublings = self.quick_deaths.saturating_sub(3);
            let wait = if doublings == 0 { Duration::ZERO } else { RESPAWN_FIRST * 2_u32.pow(doublings.min(8)) };
            self.not_before = now + wait.min(RESPAWN_MAX);
        }
        while now >= self.not_before && self.alive.len() < self.engine.capacity() as usize {
            self.launched += 1;
            let name = format!("{}-{}", self.prefix, self.launched);
            let worker: WorkerId = name.parse().expect("a prefix of letters, digits and dashes makes an id");
            self.engine.launch(&worker, &self.url)?;
            self.alive.push((worker, now));
        }
        Ok(exits)
    }

    /// Ends every worker.
    pub(crate) fn end(&mut self) {
        for (worker, _) in std::mem::take(&mut self.alive) {
            self.engine.kill(&worker);
        }
        self.engine.poll();
    }
}

#[cfg(test)]
mod tests;
