//! Actions that own their numbers.

use crate::{ActionSpace, Actions};

/// One action for each copy, held.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Batch {
    Discrete(Vec<u32>),
    Continuous(Vec<f32>),
}

impl Batch {
    /// Varied but fixed actions inside `space`, by a multiplicative hash of `step` and place.
    pub(crate) fn varied(space: &ActionSpace, envs: usize, step: usize) -> Self {
        let hash = |at: usize| ((step * 7_919 + at) as u32).wrapping_mul(2_654_435_769).rotate_left(13) >> 8;
        let numbers = 0..envs * space.width();
        match space {
            ActionSpace::Discrete(actions) => Self::Discrete(numbers.map(|at| hash(at) % *actions as u32).collect()),
            ActionSpace::Continuous(bounds) => {
                let within = |at: usize| {
                    let (low, high) = (bounds.low()[at % bounds.width()], bounds.high()[at % bounds.width()]);
                    low + (high - low) * (hash(at) as f32 / (1 << 24) as f32)
                };
                Self::Continuous(numbers.map(within).collect())
            }
        }
    }

    /// Pairs of an action outside `space` for every copy, and the one inside that it is taken as.
    pub(crate) fn outside(space: &ActionSpace, envs: usize) -> Vec<(Self, Self)> {
        match space {
            ActionSpace::Discrete(actions) => {
                let last = *actions as u32 - 1;
                let pair = |beyond: u32| (Self::Discrete(vec![beyond; envs]), Self::Discrete(vec![last; envs]));
                [last + 1, u32::MAX].map(pair).into()
            }
            ActionSpace::Continuous(bounds) => {
                let inside = |beyond: f32| (0..bounds.width()).map(move |index| bounds.clamp(index, beyond).0);
                let pair = |beyond: f32| {
                    let inside = (0..envs).flat_map(|_| inside(beyond)).collect();
                    (Self::Continuous(vec![beyond; envs * bounds.width()]), Self::Continuous(inside))
                };
                [f32::INFINITY, f32::NEG_INFINITY, f32::NAN].map(pair).into()
            }
        }
    }

    pub(crate) fn lend(&self) -> Actions<'_> {
        match self {
            Self::Discrete(actions) => Actions::Discrete(actions),
            Self::Continuous(actions) => Actions::Continuous(actions),
        }
    }

    /// Replaces copy `env`'s action by `from`'s.
    pub(crate) fn exchange(&mut self, from: &Self, env: usize, width: usize) {
        let at = env * width..(env + 1) * width;
        match (self, from) {
            (Self::Discrete(actions), Self::Discrete(from)) => actions[at.clone()].copy_from_slice(&from[at]),
            (Self::Continuous(actions), Self::Continuous(from)) => actions[at.clone()].copy_from_slice(&from[at]),
            (Self::Discrete(_), Self::Continuous(_)) | (Self::Continuous(_), Self::Discrete(_)) => {
                panic!("both are of one space")
            }
        }
    }
}
