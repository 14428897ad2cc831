//! Where the trials of a batch hold, and which of them go on: the pruner's rules over what was seen at each rung.

use spec::{Finite, Pruner, Share};

/// Points of a batch that reached a rung, with what they measured there; less is better.
pub(super) type Reached = [(u32, Option<Finite>)];

/// Trials of a bracket: how many points, and where they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bracket {
    /// Points; `None`: as many as a batch has.
    pub(super) points: Option<u32>,
    /// Ascending.
    pub(super) rungs: Vec<Share>,
}

/// The bracket of batch `batch`, counted from 0.
pub(super) fn bracket(pruner: &Pruner, batch: u32) -> Bracket {
    match *pruner {
        Pruner::None => Bracket { points: None, rungs: Vec::new() },
        Pruner::Median { rungs, .. } => {
            let even = |rung: u32| Share::of(f64::from(rung) / f64::from(rungs + 1));
            Bracket { points: None, rungs: (1..=rungs).map(even).collect() }
        }
        Pruner::SuccessiveHalving { rungs, factor } => Bracket { points: None, rungs: geometric(rungs, factor) },
        Pruner::Hyperband { rungs, factor } => {
            // Bracket s of Li et al.: ⌈(s_max + 1) η^s / (s + 1)⌉ points, s rungs below the top.
            let own = rungs - batch % (rungs + 1);
            let points = (u64::from(rungs + 1) * u64::from(factor).pow(own)).div_ceil(u64::from(own + 1));
            let points = u32::try_from(points).unwrap_or(u32::MAX);
            Bracket { points: Some(points), rungs: geometric(own, factor) }
        }
    }
}

/// 1 / factor^rungs, …, 1 / factor.
fn geometric(rungs: u32, factor: u32) -> Vec<Share> {
    (1..=rungs).rev().map(|rung| Share::of(f64::from(factor).powi(-(rung as i32)))).collect()
}

/// Which of `reached` go on, best first. `seen` holds what every trial that ever reached this rung measured there, those of
/// `reached` among them.
pub(super) fn go_on(pruner: &Pruner, reached: &Reached, seen: &[Finite]) -> Vec<u32> {
    let mut ranked = reached.to_vec();
    // Whoever has nothing to show stands last.
    ranked.sort_by_key(|(index, value)| (value.is_none(), *value, *index));
    let kept = match pruner {
        Pruner::None => ranked.len(),
        Pruner::Median { startup, .. } => {
            if seen.len() < *startup as usize {
                ranked.len()
            } else {
                let median = median(seen);
                ranked.iter().filter(|(_, value)| value.is_some_and(|value| value.get() <= median)).count()
            }
        }
        Pruner::SuccessiveHalving { factor, .. } | Pruner::Hyperband { factor, .. } => {
            (ranked.len() / *factor as usize).max(1)
        }
    };
    ranked[..kept.min(ranked.len())].iter().map(|(index, _)| *index).collect()
}

/// The middle value; of an even number, the mean of both.
fn median(values: &[Finite]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    low.get() / 2.0 + high.get() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALVING: Pruner = Pruner::SuccessiveHalving { rungs: 2, factor: 3 };

    fn reached(values: &[f64]) -> Vec<(u32, Option<Finite>)> {
        (0..).zip(values).map(|(index, value)| (index, Finite::new(*value))).collect()
    }

    #[test]
    fn a_third_goes_on_the_best_first_and_never_nobody() {
        assert_eq!(go_on(&HALVING, &reached(&[0.6, 0.1, 0.5, 0.2, 0.4, 0.3]), &[]), [1, 3]);
        assert_eq!(go_on(&HALVING, &reached(&[0.6, f64::NAN]), &[]), [0], "what measured nothing stands last");
        assert_eq!(go_on(&HALVING, &reached(&[0.5, 0.5, 0.5]), &[]), [0], "the earlier of two equals");
    }

    #[test]
    fn the_median_of_all_that_were_there_decides_once_enough_were() {
        let pruner = Pruner::Median { rungs: 1, startup: 4 };
        let seen = |values: &[f64]| values.iter().filter_map(|value| Finite::new(*value)).collect::<Vec<_>>();
        assert_eq!(go_on(&pruner, &reached(&[0.9, 0.1]), &seen(&[0.3, 0.9, 0.1])), [1, 0], "three are too few");
        assert_eq!(go_on(&pruner, &reached(&[0.9, 0.1]), &seen(&[0.3, 0.5, 0.9, 0.1])), [1]);
        assert_eq!(go_on(&pruner, &reached(&[0.4]), &seen(&[0.3, 0.5, 0.9, 0.1])), [0], "the median itself goes on");
        assert_eq!(go_on(&pruner, &reached(&[0.9]), &seen(&[0.3, 0.5, 0.9, 0.1])), [] as [u32; 0]);
    }

    #[test]
    fn hyperband_takes_its_brackets_by_turns_as_in_the_paper() {
        // The table of Li et al. for R = 81, η = 3, but that its last bracket and ours count alike: n = 81, 34, 15, 8, 5.
        let pruner = Pruner::Hyperband { rungs: 4, factor: 3 };
        let brackets: Vec<_> = (0..6).map(|batch| bracket(&pruner, batch)).collect();
        let points: Vec<_> = brackets.iter().map(|bracket| bracket.points.unwrap()).collect();
        assert_eq!(points, [81, 34, 15, 8, 5, 81]);
        let rungs: Vec<_> = brackets.iter().map(|bracket| bracket.rungs.len()).collect();
        assert_eq!(rungs, [4, 3, 2, 1, 0, 4]);
        assert_eq!(brackets[2].rungs, [Share::of(1.0 / 9.0), Share::of(1.0 / 3.0)]);
    }

    #[test]
    fn rungs_of_the_median_are_even() {
        let even = bracket(&Pruner::Median { rungs: 3, startup: 1 }, 7).rungs;
        assert_eq!(even, [Share(250_000), Share(500_000), Share(750_000)]);
    }
}
