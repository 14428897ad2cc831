//! The rules on small tables.

use proptest::prelude::*;

use super::*;

fn table(rows: &[(u32, &[f64])]) -> Rungs {
    let mut rungs = Rungs::new();
    for (trial, values) in rows {
        for (rung, value) in (0..).zip(*values) {
            rungs.report(*trial, rung, *value);
        }
    }
    rungs
}

#[test]
fn the_median_rule_compares_the_best_so_far_with_the_means_of_others() {
    let rungs = table(&[(0, &[9.0, 1.0]), (1, &[4.0, 4.0]), (2, &[6.0, 6.0]), (3, &[5.9, 8.0]), (4, &[2.0, 6.1])]);
    let rule = Median::default();
    // Means: 5, 4, 6, 6.95, 4.05. For trial 3 the median of the others is (4.05 + 5) / 2, for trial 4 it is 5.5.
    assert_eq!(rule.verdict(&rungs, 3, 1), Verdict::Stop);
    assert_eq!(rule.verdict(&rungs, 4, 1), Verdict::Continue);
    assert_eq!(rule.verdict(&rungs, 0, 1), Verdict::Continue);
    assert_eq!(rule.verdict(&rungs, 3, 0), Verdict::Continue, "rung 0 is too early");
    assert_eq!(Median { trials_min: 6, ..rule }.verdict(&rungs, 3, 1), Verdict::Continue, "too few trials");
    let rungs = table(&[(0, &[5.0, 5.0]), (1, &[4.0, 4.0]), (2, &[5.5, 5.5])]);
    let rule = Median { trials_min: 3, ..rule };
    assert_eq!(rule.verdict(&rungs, 0, 1), Verdict::Stop, "a trial is no part of what it is compared with");
}

#[test]
fn a_value_that_is_no_number_is_stopped_and_poisons_nobody() {
    let nan = f64::NAN;
    let rungs = table(&[(0, &[1.0, 1.0]), (1, &[nan, nan]), (2, &[3.0, 3.0]), (3, &[nan, 2.0]), (4, &[2.0, 2.0])]);
    let rule = Median::default();
    let verdicts: Vec<Verdict> = (0..5).map(|trial| rule.verdict(&rungs, trial, 1)).collect();
    assert_eq!(verdicts[0], Verdict::Continue);
    assert_eq!(verdicts[1], Verdict::Stop);
    assert_eq!(rungs.ranking(1), [0, 3, 4, 2, 1]);
}

#[test]
fn a_complete_rung_promotes_one_in_eta_and_ties_go_to_the_lower_index() {
    let rungs =
        table(&[(7, &[2.0]), (1, &[1.0]), (2, &[2.0]), (3, &[3.0]), (4, &[f64::NAN]), (5, &[9.0]), (6, &[8.0])]);
    assert_eq!(Halving { eta: 3 }.promoted(&rungs, 0), [1, 2]);
    assert_eq!(Halving { eta: 4 }.promoted(&rungs, 0), [1]);
    assert_eq!(Halving { eta: 9 }.promoted(&rungs, 0), [1], "one at least");
    assert_eq!(Halving { eta: 3 }.promoted(&rungs, 1), Vec::<u32>::new());
    assert_eq!(Halving { eta: 3 }.promoted(&table(&[(0, &[f64::NAN])]), 0), Vec::<u32>::new());
}

#[test]
fn the_asynchronous_rule_promotes_from_the_highest_rung_that_can() {
    let next =
        |rungs: &Rungs, promoted: &[(u32, u32)]| Halving { eta: 2 }.next(rungs, 2, &promoted.iter().copied().collect());
    assert_eq!(next(&Rungs::new(), &[]), None);
    let mut rungs = table(&[(0, &[5.0]), (1, &[3.0])]);
    assert_eq!(next(&rungs, &[]), Some((1, 0)));
    assert_eq!(next(&rungs, &[(1, 0)]), None, "the best half is above already: begin a new trial");
    rungs.report(2, 0, 4.0);
    rungs.report(3, 0, 6.0);
    assert_eq!(next(&rungs, &[(1, 0)]), Some((2, 0)));
    rungs.report(1, 1, 3.0);
    rungs.report(2, 1, 2.0);
    assert_eq!(next(&rungs, &[(1, 0), (2, 0)]), Some((2, 1)), "the upper rung goes first");
    rungs.report(2, 2, 2.0);
    assert_eq!(next(&rungs, &[(1, 0), (2, 0), (2, 1)]), None, "the last rung is the end");
}

#[test]
fn brackets_follow_the_algorithm_of_hyperband() {
    let sizes = |budget, eta| -> Vec<Vec<(u32, u32)>> {
        let brackets = Halving { eta }.hyperband(budget);
        brackets.iter().map(|b| b.stages.iter().map(|stage| (stage.trials, stage.budget)).collect()).collect()
    };
    let wanted: [&[(u32, u32)]; 5] = [
        &[(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        &[(34, 3), (11, 9), (3, 27), (1, 81)],
        &[(15, 9), (5, 27), (1, 81)],
        &[(8, 27), (2, 81)],
        &[(5, 81)],
    ];
    assert_eq!(sizes(81, 3), wanted);
    assert_eq!(sizes(1, 3), [[(1, 1)]]);
    assert_eq!(sizes(0, 0), [[(1, 1)]]);
    // Each bracket costs about as much as all of its trials at the longest rung of the last.
    for bracket in &sizes(243, 3) {
        let cost: u32 = bracket.iter().map(|(trials, budget)| trials * budget).sum();
        assert!((900..=2000).contains(&cost), "{cost}");
    }
    assert_eq!(sizes(u32::MAX, 2).len(), 32);
}

/// The rule as the paper puts it, anew for each trial.
fn plainly(rule: Median, rungs: &Rungs, trial: u32, rung: u32) -> Verdict {
    let reached = rungs.ranking(rung);
    if rung < rule.rung_min || reached.len() < rule.trials_min.max(2) as usize {
        return Verdict::Continue;
    }
    let shown = |trial: u32| -> Vec<f64> {
        let values = (0..=rung).filter_map(|rung| rungs.value(trial, rung));
        values.map(|value| if value.is_nan() { f64::INFINITY } else { value }).collect()
    };
    let mean = |trial: u32| shown(trial).iter().sum::<f64>() / shown(trial).len().max(1) as f64;
    let mut others: Vec<f64> = reached.into_iter().filter(|other| *other != trial).map(mean).collect();
    others.sort_by(f64::total_cmp);
    let (low, high) = (others[(others.len() - 1) / 2], others[others.len() / 2]);
    let median = if low == high { low } else { 0.5 * (low + high) };
    if shown(trial).into_iter().fold(f64::INFINITY, f64::min) > median { Verdict::Stop } else { Verdict::Continue }
}

proptest! {
    #[test]
    fn many_verdicts_at_one_rung_are_those_of_each_trial_by_itself(
        // Few values, so that there are ties; nine stands for what is no number.
        rows in proptest::collection::vec(proptest::collection::vec(0_u8..10, 0..4), 0..12),
        (trials_min, rung_min, rung) in (0_u32..6, 0_u32..3, 0_u32..4),
    ) {
        let rule = Median { trials_min, rung_min };
        let mut rungs = Rungs::new();
        for (trial, values) in (0..).zip(&rows) {
            for (rung, value) in (0..).zip(values) {
                rungs.report(trial, rung, if *value == 9 { f64::NAN } else { f64::from(*value) });
            }
        }
        let at = rule.at(&rungs, rung);
        // One more than there are: who is not at the rung is compared with all.
        for trial in 0..=rows.len() as u32 {
            prop_assert_eq!(at.verdict(trial), plainly(rule, &rungs, trial, rung));
        }
    }
}
