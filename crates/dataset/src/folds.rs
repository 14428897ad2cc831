//! Folds for cross-validation of series whose labels reach forward (Lopez de Prado 2018, ch. 7 and 12).
//!
//! The label of row *t* reads bars *t* to `reach(t)`. A row trains only where no bar of its label is a bar of a tested label:
//! what would be is purged. Rows that begin within `embargo` bars after a tested label are left out as well, because what is
//! serially correlated carries over.

use std::ops::Range;

/// How rows are dealt into folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deal {
    /// Each of `folds` blocks is tested once, all others train.
    Blocks {
        /// Blocks, at least two.
        folds: usize,
    },
    /// Each of `folds` blocks is tested once, only rows before it train.
    WalkForward {
        /// Blocks after the first, which only trains; at least one.
        folds: usize,
        /// Which rows before a block train.
        window: TrainWindow,
    },
    /// Every choice of `tested` of `groups` blocks is tested once, all others train.
    Combinatorial {
        /// Blocks.
        groups: usize,
        /// Blocks tested at a time.
        tested: usize,
    },
}

/// Which rows before a tested block train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainWindow {
    /// All of them.
    Expanding,
    /// The last so many.
    Rolling(usize),
}

/// A fold: ranges of rows, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// To fit on.
    pub train: Vec<Range<usize>>,
    /// To measure on.
    pub test: Vec<Range<usize>>,
}

/// Why rows cannot be dealt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The numbers do not fit together.
    #[error("{what} is {value}: use {least} to {most}")]
    Count {
        /// Which number.
        what: &'static str,
        /// What was asked.
        value: usize,
        /// Smallest.
        least: usize,
        /// Largest.
        most: usize,
    },
    /// The choices are too many to train one by one.
    #[error("{tested} of {groups} groups make more than {most} folds: use fewer groups")]
    TooMany {
        /// Blocks tested at a time.
        tested: usize,
        /// Blocks.
        groups: usize,
        /// Largest number.
        most: usize,
    },
    /// Nothing is left to fit on.
    #[error("fold {fold} keeps no row to train on after purge and embargo: use fewer folds or a shorter horizon")]
    NoTraining {
        /// Which, from 0.
        fold: usize,
    },
    /// A label ends before it begins, or before that of the row before.
    #[error("the label of row {row} reaches to {reach}: labels must reach to their row or beyond, and in order")]
    Reach {
        /// Which row.
        row: usize,
        /// Where its label is said to end.
        reach: usize,
    },
}

/// Most folds of one deal.
const FOLDS_MAX: usize = 10_000;

/// Deals `rows` into folds.
///
/// # Errors
/// [`FoldError`].
pub fn folds(
    rows: Range<usize>,
    deal: Deal,
    reach: impl Fn(usize) -> usize,
    embargo: usize,
) -> Result<Vec<Fold>, FoldError> {
    let mut before = 0;
    for row in rows.clone() {
        let end = reach(row);
        if end < row.max(before) {
            return Err(FoldError::Reach { row, reach: end });
        }
        before = end;
    }
    let tests: Vec<(Vec<Range<usize>>, usize)> = match deal {
        Deal::Blocks { folds } => {
            let blocks = blocks(&rows, "folds", folds, 2)?;
            blocks.into_iter().map(|block| (vec![block], rows.start)).collect()
        }
        Deal::WalkForward { folds, window } => {
            let blocks = blocks(&rows, "folds", folds + 1, 2)?;
            let first = |block: &Range<usize>| match window {
                TrainWindow::Expanding => rows.start,
                TrainWindow::Rolling(count) => block.start.saturating_sub(count).max(rows.start),
            };
            blocks.into_iter().skip(1).map(|block| (vec![block.clone()], first(&block))).collect()
        }
        Deal::Combinatorial { groups, tested } => {
            let blocks = blocks(&rows, "groups", groups, 2)?;
            let chosen = choices(groups, tested)?;
            chosen.iter().map(|chosen| (join(chosen.iter().map(|group| blocks[*group].clone())), rows.start)).collect()
        }
    };
    let walks = matches!(deal, Deal::WalkForward { .. });
    let mut dealt = Vec::with_capacity(tests.len());
    for (fold, (test, first)) in tests.into_iter().enumerate() {
        let last = if walks { test[0].start } else { rows.end };
        let train = training(first..last, &test, &reach, embargo);
        if train.is_empty() {
            return Err(FoldError::NoTraining { fold });
        }
        dealt.push(Fold { train, test });
    }
    Ok(dealt)
}

/// Rows of `rows` whose labels share no bar with a tested label and that do not begin within the embargo after one.
fn training(
    rows: Range<usize>,
    test: &[Range<usize>],
    reach: &impl Fn(usize) -> usize,
    embargo: usize,
) -> Vec<Range<usize>> {
    let barred: Vec<Range<usize>> =
        test.iter().map(|block| block.start..reach(block.end - 1).saturating_add(embargo).saturating_add(1)).collect();
    let trains = |row: &usize| barred.iter().all(|bars| *row >= bars.end || reach(*row) < bars.start);
    join(rows.filter(trains).map(|row| row..row + 1))
}

/// Equal blocks, the first ones a row longer where they do not come out even.
fn blocks(rows: &Range<usize>, what: &'static str, count: usize, least: usize) -> Result<Vec<Range<usize>>, FoldError> {
    if !(least..=rows.len()).contains(&count) {
        return Err(FoldError::Count { what, value: count, least, most: rows.len() });
    }
    let edge = |block: usize| rows.start + block * (rows.len() / count) + block.min(rows.len() % count);
    Ok((0..count).map(|block| edge(block)..edge(block + 1)).collect())
}

/// Joins ranges that touch.
fn join(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            Some(_) | None => joined.push(range),
        }
    }
    joined
}

/// Every choice of `tested` of `groups`, in lexicographic order.
fn choices(groups: usize, tested: usize) -> Result<Vec<Vec<usize>>, FoldError> {
    if !(1..groups).contains(&tested) {
        return Err(FoldError::Count { what: "tested", value: tested, least: 1, most: groups - 1 });
    }
    let mut all = Vec::new();
    let mut choice: Vec<usize> = (0..tested).collect();
    loop {
        all.push(choice.clone());
        if all.len() > FOLDS_MAX {
            return Err(FoldError::TooMany { tested, groups, most: FOLDS_MAX });
        }
        let Some(place) = (0..tested).rev().find(|place| choice[*place] < groups - tested + place) else {
            return Ok(all);
        };
        choice[place] += 1;
        for later in place + 1..tested {
            choice[later] = choice[later - 1] + 1;
        }
    }
}

/// The paths through a combinatorial deal: each is a test of every row once, given as the fold that tests each group.
///
/// # Shapes
/// `[C(groups − 1, tested − 1), groups]`.
///
/// # Errors
/// As [`folds`].
pub fn paths(groups: usize, tested: usize) -> Result<Vec<Vec<usize>>, FoldError> {
    let choices = choices(groups, tested)?;
    let testing = |group: usize| choices.iter().enumerate().filter(move |(_, choice)| choice.contains(&group));
    let by_group: Vec<Vec<usize>> = (0..groups).map(|group| testing(group).map(|(fold, _)| fold).collect()).collect();
    Ok((0..by_group[0].len()).map(|path| by_group.iter().map(|folds| folds[path]).collect()).collect())
}
