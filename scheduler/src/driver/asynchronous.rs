//! Sweeps that are told of each end as it comes. The order in which ends came is the journal's to keep: beside each trial
//! stands what the sweep was told before it asked for it, and a restart tells the same in the same order.

use super::{Driven, Driver, Experiment, Phase, SweepError, ended, holds, outcome};

impl Driver {
    pub(super) fn drive_each(&mut self, experiment: &Experiment) -> Result<Driven, SweepError> {
        let mut driven = Driven::default();
        loop {
            if let Some(known) = experiment.trials.get(self.asked as usize) {
                for index in &known.told {
                    if !ended(experiment, *index) || !self.open.contains_key(index) {
                        return Err(self.diverged(experiment));
                    }
                    self.tell(experiment, *index, &mut driven)?;
                }
                let before = self.asked;
                self.told.clear();
                self.ask_each(experiment, &mut driven)?;
                if self.asked == before {
                    return Err(self.diverged(experiment));
                }
                continue;
            }
            self.judge_each(experiment, &mut driven)?;
            if matches!(self.phase, Phase::Asking) {
                self.ask_each(experiment, &mut driven)?;
                continue;
            }
            let next = self.open.keys().copied().find(|index| ended(experiment, *index));
            if let Some(index) = next {
                self.tell(experiment, index, &mut driven)?;
                self.told.push(index);
                continue;
            }
            return match self.phase {
                Phase::Waiting if self.open.is_empty() => Err(SweepError::Stuck),
                Phase::Done if self.open.is_empty() => Ok(Driven { ended: true, ..driven }),
                Phase::Asking | Phase::Waiting | Phase::Done => Ok(driven),
            };
        }
    }

    fn ask_each(&mut self, experiment: &Experiment, driven: &mut Driven) -> Result<(), SweepError> {
        let first = self.asked;
        self.ask(experiment, &mut driven.new)?;
        self.open.extend((first..self.asked).map(|index| (index, 0)));
        Ok(())
    }

    fn tell(&mut self, experiment: &Experiment, index: u32, driven: &mut Driven) -> Result<(), SweepError> {
        self.judge_one(experiment, index, driven)?;
        if let Some(outcome) = outcome(experiment, index) {
            self.sweep.tell(index, outcome);
        }
        self.open.remove(&index);
        if matches!(self.phase, Phase::Waiting) {
            self.phase = Phase::Asking;
        }
        Ok(())
    }

    /// Judges each open trial at the rungs it has come to. What was decided before the last restart comes first, so that
    /// what waits is measured against all of it.
    fn judge_each(&mut self, experiment: &Experiment, driven: &mut Driven) -> Result<(), SweepError> {
        let reached = |index: u32| experiment.trials.get(index as usize).map_or(0, |trial| trial.rungs.len() as u32);
        let waits = |index: &u32| holds(experiment, *index, reached(*index) - 1).is_some();
        let news = self.open.iter().filter(|(index, judged)| reached(**index) > **judged);
        let mut order: Vec<u32> = news.map(|(index, _)| *index).collect();
        order.sort_by_key(waits);
        order.into_iter().try_for_each(|index| self.judge_one(experiment, index, driven))
    }

    fn judge_one(&mut self, experiment: &Experiment, index: u32, driven: &mut Driven) -> Result<(), SweepError> {
        let Some(trial) = experiment.trials.get(index as usize) else { return Ok(()) };
        let judged = self.open.insert(index, trial.rungs.len() as u32).unwrap_or_default();
        for (rung, value) in (0..).zip(&trial.rungs).skip(judged as usize) {
            self.decide(experiment, (rung, &[(index, *value)]), driven)?;
        }
        Ok(())
    }
}
