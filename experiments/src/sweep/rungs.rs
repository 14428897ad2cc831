//! Where the trials of a batch hold, and which of them go on: the pruner of the spec, by the rules of `search`.

use search::{Halving, Median, Rungs, Verdict};
use spec::{Mode, Pruner, Share};

/// Trials of a batch: how many points, and where they hold.
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
        Pruner::Median { rungs, .. } | Pruner::Population { rungs, .. } => {
            let even = |rung: u32| Share::of(f64::from(rung) / f64::from(rungs + 1));
            Bracket { points: None, rungs: (1..=rungs).map(even).collect() }
        }
        Pruner::SuccessiveHalving { rungs, factor } => Bracket { points: None, ..halvings(rungs, factor, 0) },
        Pruner::Hyperband { rungs, factor } => halvings(rungs, factor, batch % (rungs + 1)),
    }
}

/// Bracket `place` of Hyperband, from the one with most rungs on.
fn halvings(rungs: u32, factor: u32, place: u32) -> Bracket {
    let whole = factor.pow(rungs);
    let brackets = Halving { eta: factor }.hyperband(whole);
    let stages = &brackets[place as usize].stages;
    let below = &stages[..stages.len() - 1];
    let share = |stage: &search::Stage| Share::of(f64::from(stage.budget) / f64::from(whole));
    Bracket { points: Some(stages[0].trials), rungs: below.iter().map(share).collect() }
}

/// Whether each point of `batch` goes on from `rung`. `all` holds what every point of the sweep showed, those of the batch
/// among them; points that measured nothing are not there.
///
/// An asynchronous point is measured against all that were at the rung before it, the stopping form of ASHA (Li et al. 2020).
pub(super) fn go_on((pruner, mode): (&Pruner, Mode), all: &Rungs, batch: &[u32], rung: u32) -> Vec<u32> {
    match *pruner {
        // A population is bred, not pruned.
        Pruner::None | Pruner::Population { .. } => batch.to_vec(),
        Pruner::Median { startup, .. } => {
            let rule = Median { trials_min: startup, rung_min: 0 }.at(all, rung);
            let stays = |point: &u32| rule.verdict(*point) == Verdict::Continue;
            batch.iter().copied().filter(stays).collect()
        }
        Pruner::SuccessiveHalving { factor, .. } if mode == Mode::Asynchronous => {
            let promoted = Halving { eta: factor }.promoted(all, rung);
            batch.iter().copied().filter(|point| promoted.contains(point)).collect()
        }
        Pruner::SuccessiveHalving { factor, .. } | Pruner::Hyperband { factor, .. } => {
            let mut own = Rungs::new();
            for point in batch {
                // What has nothing to show stands last.
                own.report(*point, rung, all.value(*point, rung).unwrap_or(f64::NAN));
            }
            Halving { eta: factor }.promoted(&own, rung)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALVING: Pruner = Pruner::SuccessiveHalving { rungs: 2, factor: 3 };

    fn shown(values: &[f64]) -> Rungs {
        let mut rungs = Rungs::new();
        (0..)
            .zip(values)
            .filter(|(_, value)| value.is_finite())
            .for_each(|(point, value)| rungs.report(point, 0, *value));
        rungs
    }

    #[test]
    fn a_third_of_the_batch_goes_on_whatever_others_showed() {
        let all = shown(&[0.6, 0.1, 0.5, 0.2, 0.4, 0.3, 0.0, 0.0]);
        assert_eq!(go_on((&HALVING, Mode::Batch), &all, &[0, 1, 2, 3, 4, 5], 0), [1, 3]);
        let shown = shown(&[0.6, f64::NAN]);
        assert_eq!(go_on((&HALVING, Mode::Batch), &shown, &[0, 1], 0), [0], "what measured nothing stands last");
    }

    #[test]
    fn an_asynchronous_point_goes_on_if_it_is_among_the_best_third_so_far() {
        let goes_on = |values: &[f64]| {
            let last = values.len() as u32 - 1;
            !go_on((&HALVING, Mode::Asynchronous), &shown(values), &[last], 0).is_empty()
        };
        assert!(goes_on(&[0.9]), "there is none before the first");
        assert!(goes_on(&[0.9, 0.8]) && !goes_on(&[0.8, 0.9]));
        assert!(!goes_on(&[0.5, 0.6, 0.7, 0.8, 0.55]) && goes_on(&[0.5, 0.6, 0.7, 0.8, 0.9, 0.55]));
        assert!(!goes_on(&[0.5, f64::NAN]), "what measured nothing stops");
    }

    #[test]
    fn the_median_of_all_decides_once_enough_were_there() {
        let pruner = Pruner::Median { rungs: 1, startup: 4 };
        let median = |values: &[f64]| go_on((&pruner, Mode::Batch), &shown(values), &[0, 1], 0);
        assert_eq!(median(&[0.9, 0.1, 0.3]), [0, 1], "three are too few");
        assert_eq!(median(&[0.9, 0.1, 0.3, 0.5]), [1]);
    }

    #[test]
    fn hyperband_takes_its_brackets_by_turns() {
        let pruner = Pruner::Hyperband { rungs: 4, factor: 3 };
        let brackets: Vec<_> = (0..6).map(|batch| bracket(&pruner, batch)).collect();
        let points: Vec<_> = brackets.iter().map(|bracket| bracket.points.unwrap()).collect();
        assert_eq!(points, [81, 34, 15, 8, 5, 81]);
        let rungs: Vec<_> = brackets.iter().map(|bracket| bracket.rungs.len()).collect();
        assert_eq!(rungs, [4, 3, 2, 1, 0, 4]);
        assert_eq!(brackets[2].rungs, [Share::of(1.0 / 9.0), Share::of(1.0 / 3.0)]);
        assert_eq!(bracket(&HALVING, 5).rungs, brackets[2].rungs, "the same rungs, with points of the batch");
    }

    #[test]
    fn rungs_of_the_median_are_even() {
        let even = bracket(&Pruner::Median { rungs: 3, startup: 1 }, 7).rungs;
        assert_eq!(even, [Share(250_000), Share(500_000), Share(750_000)]);
    }
}
