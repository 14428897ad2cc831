//! Which trials to stop early: rules over what trials showed at their rungs. Values are to be minimised; one that is
//! not a number is the worst.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What trials showed: for each rung, counted from 0, the value of each trial that reached it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rungs(BTreeMap<u32, BTreeMap<u32, f64>>);

/// What becomes of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It goes on to the next rung.
    Continue,
    /// It is stopped.
    Stop,
}

impl Rungs {
    /// No trial at any rung.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Writes down the value of `trial` at `rung`, over what stood there.
    pub fn report(&mut self, trial: u32, rung: u32, value: f64) {
        self.0.entry(rung).or_default().insert(trial, value);
    }

    /// The value of `trial` at `rung`.
    #[must_use]
    pub fn value(&self, trial: u32, rung: u32) -> Option<f64> {
        self.0.get(&rung)?.get(&trial).copied()
    }

    /// The highest rung that any trial reached.
    #[must_use]
    pub fn top(&self) -> Option<u32> {
        self.0.keys().next_back().copied()
    }

    /// The trials at `rung`, best first; ties go to the lower index.
    #[must_use]
    pub fn ranking(&self, rung: u32) -> Vec<u32> {
        let mut trials: Vec<(f64, u32)> = self.0.get(&rung).map_or_else(Vec::new, |values| {
            values.iter().map(|(trial, value)| (if value.is_nan() { f64::INFINITY } else { *value }, *trial)).collect()
        });
        trials.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        trials.into_iter().map(|(_, trial)| trial).collect()
    }
}

/// Settings of the median rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Median {
    /// Trials that must have reached a rung before one is stopped there, itself included. Default: 5.
    pub trials_min: u32,
    /// The first rung at which trials are stopped. Default: 1.
    pub rung_min: u32,
}

impl Default for Median {
    fn default() -> Self {
        Self { trials_min: 5, rung_min: 1 }
    }
}

impl Median {
    /// Stops a trial whose best value so far is worse than the median of what the others showed at this rung, each the
    /// mean of its values up to it (Golovin et al. 2017, section 3.2.2). In synchronous mode, ask once the rung is
    /// complete: then the answer does not depend on who came first.
    #[must_use]
    pub fn verdict(&self, rungs: &Rungs, trial: u32, rung: u32) -> Verdict {
        self.at(rungs, rung).verdict(trial)
    }

    /// The rule at one rung, for as many verdicts as there are trials: what they showed is put in order once.
    #[must_use]
    pub fn at<'r>(&self, rungs: &'r Rungs, rung: u32) -> MedianAt<'r> {
        let mut at = MedianAt { rungs, rung, means: Vec::new() };
        let reached: Vec<u32> = rungs.0.get(&rung).map_or_else(Vec::new, |values| values.keys().copied().collect());
        if rung >= self.rung_min && reached.len() >= self.trials_min.max(2) as usize {
            at.means = reached.into_iter().map(|trial| at.mean(trial)).collect();
            at.means.sort_by(f64::total_cmp);
        }
        at
    }
}

/// The median rule at one rung.
#[derive(Clone, Debug)]
pub struct MedianAt<'r> {
    rungs: &'r Rungs,
    rung: u32,
    /// Of each trial that reached the rung, ascending; none where nobody is stopped.
    means: Vec<f64>,
}

impl MedianAt<'_> {
    /// What becomes of `trial`, as [`Median::verdict`] says.
    #[must_use]
    pub fn verdict(&self, trial: u32) -> Verdict {
        let own = self.rungs.value(trial, self.rung).map(|_| {
            let own = self.mean(trial);
            self.means.partition_point(|mean| mean.total_cmp(&own).is_lt())
        });
        let others = self.means.len() - usize::from(own.is_some() && !self.means.is_empty());
        if others == 0 {
            return Verdict::Continue;
        }
        let other = |place: usize| self.means[place + usize::from(own.is_some_and(|own| own <= place))];
        let (low, high) = (other((others - 1) / 2), other(others / 2));
        let median = if low == high { low } else { 0.5 * (low + high) };
        let best = self.so_far(trial).fold(f64::INFINITY, f64::min);
        if best > median { Verdict::Stop } else { Verdict::Continue }
    }

    fn so_far(&self, trial: u32) -> impl Iterator<Item = f64> {
        let shown = (0..=self.rung).filter_map(move |rung| self.rungs.value(trial, rung));
        shown.map(|value| if value.is_nan() { f64::INFINITY } else { value })
    }

    fn mean(&self, trial: u32) -> f64 {
        self.so_far(trial).sum::<f64>() / self.so_far(trial).count().max(1) as f64
    }
}

/// Successive halving (Jamieson and Talwalkar 2016) and its asynchronous form, ASHA (Li et al. 2020).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Halving {
    /// One of so many trials goes on to the next rung. Default: 3. Range: 2 to 100.
    pub eta: u32,
}

impl Default for Halving {
    fn default() -> Self {
        Self { eta: 3 }
    }
}

impl Halving {
    fn eta(self) -> usize {
        self.eta.clamp(2, 100) as usize
    }

    /// The trials of a complete rung that go on, best first: one in `eta`, at least one where there is any with a value.
    #[must_use]
    pub fn promoted(self, rungs: &Rungs, rung: u32) -> Vec<u32> {
        let mut ranking = rungs.ranking(rung);
        ranking.truncate((ranking.len() / self.eta()).max(1));
        ranking.retain(|trial| rungs.value(*trial, rung).is_some_and(|value| !value.is_nan()));
        ranking
    }

    /// The trial to promote next and the rung that it leaves, if any may be: from the highest rung on down, one of the
    /// best ⌊n / eta⌋ that is not yet above (Li et al. 2020, algorithm 2). None: begin a new trial at rung 0. A trial
    /// at `rung_max` is at the end. `promoted` holds the pairs that were promoted before, as this function gave them.
    #[must_use]
    pub fn next(self, rungs: &Rungs, rung_max: u32, promoted: &BTreeSet<(u32, u32)>) -> Option<(u32, u32)> {
        (0..rung_max.min(rungs.top()?.saturating_add(1))).rev().find_map(|rung| {
            let ranking = rungs.ranking(rung);
            let free = |trial: &&u32| {
                let has_value = rungs.value(**trial, rung).is_some_and(|value| !value.is_nan());
                has_value && !promoted.contains(&(**trial, rung))
            };
            ranking[..ranking.len() / self.eta()].iter().find(free).map(|trial| (*trial, rung))
        })
    }
}

/// One rung of a bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// How many trials run to it.
    pub trials: u32,
    /// How far they run in all, in units of the budget.
    pub budget: u32,
}

/// A run of successive halving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bracket {
    /// Its rungs, from the widest to the longest.
    pub stages: Vec<Stage>,
}

impl Halving {
    /// The brackets of Hyperband (Li et al. 2018, algorithm 1) for trials that run to `budget_max` at most: from many
    /// short trials to a few that all run to the end. Sizes follow the algorithm; table 1 of the paper rounds others.
    #[must_use]
    pub fn hyperband(self, budget_max: u32) -> Vec<Bracket> {
        let (eta, budget_max) = (self.eta() as u64, u64::from(budget_max.max(1)));
        let s_max =
            (0..).take_while(|s| eta.checked_pow(s + 1).is_some_and(|power| power <= budget_max)).count() as u32;
        let bracket = |s: u32| {
            // n = ⌈(s_max + 1) ηˢ / (s + 1)⌉ trials begin with a budget of R η⁻ˢ.
            let trials = (u64::from(s_max + 1) * eta.pow(s)).div_ceil(u64::from(s + 1));
            let stage = |i: u32| Stage {
                trials: u32::try_from(trials / eta.pow(i)).unwrap_or(u32::MAX),
                budget: (budget_max / eta.pow(s - i)) as u32,
            };
            Bracket { stages: (0..=s).map(stage).collect() }
        };
        (0..=s_max).rev().map(bracket).collect()
    }
}

#[cfg(test)]
mod tests;
