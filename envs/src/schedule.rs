//! Where the copies of a market environment stand in their episodes: starts, ends, and when the next begins.

use std::ops::Range;

use market::Money;
use serde::{Deserialize, Serialize};

use crate::draws::Draws;
use crate::{Autoreset, EnvError, StepOutcome};

/// Where episodes start and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Episodes {
    /// For training: `episode_bars` of the spec, or all there are if fewer, from a start drawn for each episode.
    Random {
        /// Copies side by side.
        envs: usize,
    },
    /// For evaluation: one copy, once over the whole range, again and again.
    OnePass,
}

/// The episodes of all copies over one range of bars.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    range: Range<usize>,
    episodes: Episodes,
    episode_bars: usize,
    autoreset: Autoreset,
    draws: Draws,
    places: Vec<Place>,
}

/// Where one copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// Bar whose close was seen last, and the last of the episode.
    bar: usize,
    end: usize,
    /// Episodes begun before the present one.
    episode: u64,
    /// Over, and to begin anew in the next step; only in [`Autoreset::NextStep`].
    ended: bool,
}

/// A schedule as saved; its range belongs to the environment's identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedSchedule {
    autoreset: Autoreset,
    seed: u64,
    places: Vec<Place>,
}

impl Schedule {
    /// Episodes of `episode_bars` over `range`, of `bars` in all, the first of which with a full window is `ready`.
    pub(crate) fn new(
        range: Range<usize>,
        [ready, bars]: [usize; 2],
        episodes: Episodes,
        episode_bars: u32,
    ) -> Result<Self, EnvError> {
        if range.start < ready || range.end > bars || range.len() < 2 {
            return Err(EnvError::Range { range, ready, bars });
        }
        let whole = range.len() - 1;
        let (envs, episode_bars) = match episodes {
            Episodes::Random { envs: 0 } => return Err(EnvError::NoEnvs),
            Episodes::Random { envs } => (envs, whole.min((episode_bars as usize).max(1))),
            Episodes::OnePass => (1, whole),
        };
        let places = vec![Place { bar: 0, end: 0, episode: 0, ended: false }; envs];
        let (draws, autoreset) = (Draws::new(0), Autoreset::SameStep);
        let mut schedule = Self { range, episodes, episode_bars, autoreset, draws, places };
        schedule.restart(0);
        Ok(schedule)
    }

    pub(crate) const fn set_autoreset(&mut self, autoreset: Autoreset) {
        self.autoreset = autoreset;
    }

    pub(crate) const fn autoreset(&self) -> Autoreset {
        self.autoreset
    }

    pub(crate) const fn envs(&self) -> usize {
        self.places.len()
    }

    pub(crate) const fn range(&self) -> &Range<usize> {
        &self.range
    }

    pub(crate) const fn episode_bars(&self) -> usize {
        self.episode_bars
    }

    /// Bar whose close a copy saw last.
    pub(crate) fn bar(&self, env: usize) -> usize {
        self.places[env].bar
    }

    /// Puts every copy at the start of its first episode.
    pub(crate) fn restart(&mut self, seed: u64) {
        self.draws = Draws::new(seed);
        for env in 0..self.envs() {
            self.begin(env, 0);
        }
    }

    /// Puts a copy at the start of its next episode.
    pub(crate) fn renew(&mut self, env: usize) {
        self.begin(env, self.places[env].episode + 1);
    }

    fn begin(&mut self, env: usize, episode: u64) {
        let starts = self.range.len() - self.episode_bars;
        let bar = match self.episodes {
            Episodes::Random { .. } => self.range.start + self.draws.below(env, episode, starts),
            Episodes::OnePass => self.range.start,
        };
        self.places[env] = Place { bar, end: bar + self.episode_bars, episode, ended: false };
    }

    /// Whether this step only begins the next episode.
    pub(crate) fn begins(&self, env: usize) -> bool {
        self.places[env].ended
    }

    /// Takes a copy to its next bar, with what its account is worth there.
    pub(crate) fn advance(&mut self, env: usize, equity: Money) -> StepOutcome {
        let place = &mut self.places[env];
        place.bar += 1;
        let outcome = if equity <= Money(0) {
            StepOutcome::Terminated
        } else if place.bar == place.end {
            StepOutcome::Truncated
        } else {
            StepOutcome::Continues
        };
        place.ended = outcome.is_end() && self.autoreset == Autoreset::NextStep;
        outcome
    }

    pub(crate) fn saved(&self) -> SavedSchedule {
        SavedSchedule { autoreset: self.autoreset, seed: self.draws.seed(), places: self.places.clone() }
    }

    /// Whether a saved schedule is one of this, for copies worth `equity`.
    pub(crate) fn fits(&self, saved: &SavedSchedule, equity: &[Money]) -> bool {
        let inside = |(place, equity): (&Place, &Money)| {
            let Place { bar, end, ended, .. } = *place;
            let goes_on = bar < end && *equity > Money(0);
            self.range.start <= bar && bar <= end && end < self.range.end && (goes_on || ended)
        };
        let sizes = [saved.places.len(), equity.len()] == [self.envs(); 2];
        sizes && saved.autoreset == self.autoreset && saved.places.iter().zip(equity).all(inside)
    }

    /// Takes up a saved schedule that fits.
    pub(crate) fn restore(&mut self, saved: SavedSchedule) {
        self.draws = Draws::new(saved.seed);
        self.places = saved.places;
    }
}
