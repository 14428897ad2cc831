//! Folds leak nothing, and test every row as often as they say.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]
#![allow(clippy::single_range_in_vec_init, reason = "a fold of one range")]

use std::collections::BTreeSet;
use std::ops::Range;

use dataset::{Deal, Fold, FoldError, TrainWindow, folds, paths};
use proptest::prelude::*;

fn rows(ranges: &[Range<usize>]) -> Vec<usize> {
    ranges.iter().cloned().flatten().collect()
}

fn deal() -> impl Strategy<Value = Deal> {
    prop_oneof![
        (2usize..7).prop_map(|folds| Deal::Blocks { folds }),
        (1usize..6).prop_map(|folds| Deal::WalkForward { folds, window: TrainWindow::Expanding }),
        (1usize..6, 1usize..60)
            .prop_map(|(folds, last)| Deal::WalkForward { folds, window: TrainWindow::Rolling(last) }),
        (3usize..8)
            .prop_flat_map(|groups| (Just(groups), 1..groups))
            .prop_map(|(groups, tested)| Deal::Combinatorial { groups, tested }),
    ]
}

/// Labels of varying length whose ends never go back, as those of triple barriers with a limit.
fn reaches(lengths: &[usize]) -> Vec<usize> {
    let mut last = 0;
    let reach = |(row, length): (usize, &usize)| {
        last = (row + length).max(last);
        last
    };
    lengths.iter().enumerate().map(reach).collect()
}

fn times_tested(folds: &[Fold], count: usize) -> Vec<usize> {
    let mut times = vec![0; count];
    folds.iter().flat_map(|fold| rows(&fold.test)).for_each(|row| times[row] += 1);
    times
}

proptest! {
    #[test]
    fn no_label_that_trains_shares_a_bar_with_one_that_is_tested(
        lengths in prop::collection::vec(0usize..6, 80..200), deal in deal(), embargo in 0usize..6,
    ) {
        let reach = reaches(&lengths);
        let Ok(folds) = folds(0..lengths.len(), deal, |row| reach[row], embargo) else {
            // Short windows and many folds may leave nothing: that is said, not dealt.
            return Ok(());
        };
        for fold in &folds {
            let tested: BTreeSet<usize> = rows(&fold.test).iter().flat_map(|row| *row..=reach[*row]).collect();
            for row in rows(&fold.train) {
                prop_assert!((row..=reach[row]).all(|bar| !tested.contains(&bar)), "row {} leaks", row);
                let after = (0..=embargo).all(|back| row < back || !tested.contains(&(row - back)));
                prop_assert!(after, "row {} begins within the embargo", row);
            }
        }
    }

    #[test]
    fn purge_and_embargo_take_no_more_than_they_must(
        lengths in prop::collection::vec(0usize..6, 80..200), folds_ in 2usize..6, embargo in 0usize..6,
    ) {
        let reach = reaches(&lengths);
        for fold in folds(0..lengths.len(), Deal::Blocks { folds: folds_ }, |row| reach[row], embargo).unwrap() {
            let (train, test) = (rows(&fold.train), rows(&fold.test));
            let tested: BTreeSet<usize> = test.iter().flat_map(|row| *row..=reach[*row]).collect();
            for row in (0..lengths.len()).filter(|row| !train.contains(row) && !test.contains(row)) {
                let shares = (row..=reach[row]).any(|bar| tested.contains(&bar));
                let is_near = (1..=embargo).any(|back| row >= back && tested.contains(&(row - back)));
                prop_assert!(shares || is_near, "row {} was left out for nothing", row);
            }
        }
    }

    #[test]
    fn each_row_is_tested_as_often_as_the_deal_says(count in 60usize..200, groups in 3usize..8, tested in 1usize..3) {
        let label = |row: usize| row;
        let all = 0..count;
        let blocks = folds(all.clone(), Deal::Blocks { folds: groups }, label, 0).unwrap();
        prop_assert!(times_tested(&blocks, count).iter().all(|times| *times == 1));
        let walk = Deal::WalkForward { folds: groups, window: TrainWindow::Expanding };
        let walk = folds(all.clone(), walk, label, 0).unwrap();
        let first = walk[0].test[0].start;
        let times = times_tested(&walk, count);
        prop_assert!(times[..first].iter().all(|times| *times == 0) && times[first..].iter().all(|times| *times == 1));
        for fold in &walk {
            prop_assert!(fold.train.iter().all(|range| range.end <= fold.test[0].start), "the future trains");
        }
        let choices = folds(all, Deal::Combinatorial { groups, tested }, label, 0).unwrap();
        let expected = (1..tested).fold(1, |product, k| product * (groups - k) / k);
        prop_assert!(times_tested(&choices, count).iter().all(|times| *times == expected), "{} times", expected);
        let paths = paths(groups, tested).unwrap();
        prop_assert_eq!(paths.len(), expected);
        for path in &paths {
            for (group, fold) in path.iter().enumerate() {
                let middle = group * count / groups + count / groups / 2;
                prop_assert!(rows(&choices[*fold].test).contains(&middle), "fold {} does not test group {}", fold, group);
            }
        }
        let used: BTreeSet<_> = (0..groups).flat_map(|group| paths.iter().map(move |path| (group, path[group]))).collect();
        prop_assert_eq!(used.len(), expected * groups, "each fold's group is on one path");
    }
}

#[test]
fn a_block_in_the_middle_is_purged_before_and_embargoed_after() {
    let dealt = folds(0..30, Deal::Blocks { folds: 3 }, |row| row + 2, 4).unwrap();
    assert_eq!(dealt[1], Fold { train: vec![0..8, 26..30], test: vec![10..20] });
    let rolling = Deal::WalkForward { folds: 2, window: TrainWindow::Rolling(6) };
    let dealt = folds(0..30, rolling, |row| row + 2, 4).unwrap();
    assert_eq!(dealt[0], Fold { train: vec![4..8], test: vec![10..20] });
    assert_eq!(dealt[1], Fold { train: vec![14..18], test: vec![20..30] });
    let dealt = folds(0..30, Deal::Combinatorial { groups: 3, tested: 2 }, |row| row, 0).unwrap();
    let tests: Vec<_> = dealt.iter().map(|fold| fold.test.clone()).collect();
    assert_eq!(tests, [vec![0..20], vec![0..10, 20..30], vec![10..30]]);
}

#[test]
fn what_cannot_be_dealt_is_said() {
    let deal = |deal, horizon: usize| folds(0..20, deal, |row| row + horizon, 0).unwrap_err();
    let count = deal(Deal::Blocks { folds: 1 }, 0);
    assert_eq!(count.to_string(), "folds is 1: use 2 to 20");
    assert!(matches!(deal(Deal::Blocks { folds: 21 }, 0), FoldError::Count { most: 20, .. }));
    assert!(matches!(deal(Deal::Combinatorial { groups: 4, tested: 4 }, 0), FoldError::Count { what: "tested", .. }));
    assert!(matches!(deal(Deal::Combinatorial { groups: 20, tested: 10 }, 0), FoldError::TooMany { .. }));
    assert_eq!(deal(Deal::Blocks { folds: 2 }, 30), FoldError::NoTraining { fold: 0 });
    let backwards = folds(0..20, Deal::Blocks { folds: 2 }, |row| 20 - row, 0).unwrap_err();
    assert!(matches!(backwards, FoldError::Reach { .. }));
}
