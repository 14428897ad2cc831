//! Which trial is best: the objective decides, NaN never wins, and the earlier trial wins a tie.

use spec::{Direction, Metric, Objective, TrialOutcome};

/// The metric that carries an objective.
#[must_use]
pub const fn metric(objective: Objective) -> Metric {
    match objective {
        Objective::ValidationSharpe => Metric::ValidationSharpe,
        Objective::ValidationReturn => Metric::ValidationReturn,
        Objective::ValidationLoss => Metric::ValidationLoss,
        Objective::ValidationDrawdown => Metric::ValidationDrawdown,
        Objective::CrossValidationLoss => Metric::CrossValidationLoss,
        Objective::CrossValidationSharpe => Metric::CrossValidationSharpe,
    }
}

/// The metric that says how far an objective varies from fold to fold; `None` for one that is no mean over folds.
#[must_use]
pub const fn deviation(objective: Objective) -> Option<Metric> {
    match objective {
        Objective::CrossValidationLoss => Some(Metric::CrossValidationLossDeviation),
        Objective::CrossValidationSharpe => Some(Metric::CrossValidationSharpeDeviation),
        Objective::ValidationSharpe
        | Objective::ValidationReturn
        | Objective::ValidationLoss
        | Objective::ValidationDrawdown => None,
    }
}

/// A trial's objective; `None` when it was not measured or is not finite.
#[must_use]
pub fn value(objective: Objective, outcome: &TrialOutcome) -> Option<f64> {
    outcome.metrics.get(&metric(objective)).copied().filter(|value| value.is_finite())
}

/// Index of the best of the given (trial index, objective) pairs, whatever order they come in.
#[must_use]
pub fn best(direction: Direction, objectives: impl IntoIterator<Item = (u32, f64)>) -> Option<u32> {
    let better = |one: f64, other: f64| match direction {
        Direction::Maximise => one > other,
        Direction::Minimise => one < other,
    };
    let mut winner: Option<(u32, f64)> = None;
    for (index, objective) in objectives.into_iter().filter(|(_, objective)| !objective.is_nan()) {
        let wins = winner.is_none_or(|(holder, held)| better(objective, held) || (objective == held && index < holder));
        if wins {
            winner = Some((index, objective));
        }
    }
    winner.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nan_never_wins_and_the_earlier_trial_wins_a_tie() {
        let trials = [(0, f64::NAN), (3, 0.5), (1, 0.5), (2, -1.0)];
        assert_eq!(best(Direction::Maximise, trials), Some(1));
        assert_eq!(best(Direction::Minimise, trials), Some(2));
        assert_eq!(best(Direction::Maximise, [(0, f64::NAN)]), None);
        assert_eq!(best(Direction::Minimise, []), None);
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_choose_the_best(
            values in prop::collection::vec(prop_oneof![Just(f64::NAN), (-3i32..3).prop_map(f64::from)], 1..12),
            turn in 0usize..12,
        ) {
            let mut trials: Vec<(u32, f64)> = (0..).zip(values).collect();
            let expected = best(Direction::Maximise, trials.clone());
            trials.reverse();
            let middle = turn % trials.len();
            trials.rotate_left(middle);
            prop_assert_eq!(best(Direction::Maximise, trials), expected);
        }
    }
}
