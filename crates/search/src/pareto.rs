//! Dominance between vectors of objectives, all to be minimised (Deb et al. 2002, sections III A and B).

/// Whether `left` is nowhere worse than `right` and somewhere better.
#[must_use]
pub fn dominates(left: &[f64], right: &[f64]) -> bool {
    let mut better = false;
    for (mine, theirs) in left.iter().zip(right) {
        if mine > theirs {
            return false;
        }
        better |= mine < theirs;
    }
    better
}

/// Places of the vectors that no other dominates, in order. Vectors with a number that is not finite never belong.
#[must_use]
pub fn pareto_front(values: &[Vec<f64>]) -> Vec<usize> {
    let finite = |place: &usize| values[*place].iter().all(|value| value.is_finite());
    let candidates: Vec<usize> = (0..values.len()).filter(finite).collect();
    let free = |place: &usize| !candidates.iter().any(|other| dominates(&values[*other], &values[*place]));
    candidates.iter().copied().filter(free).collect()
}

/// Fast non-dominated sort: places by front, the best front first.
pub(crate) fn fronts(values: &[&[f64]]) -> Vec<Vec<usize>> {
    let count = values.len();
    let mut dominated: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut above = vec![0_usize; count];
    for left in 0..count {
        for right in left + 1..count {
            let (winner, loser) = if dominates(values[left], values[right]) {
                (left, right)
            } else if dominates(values[right], values[left]) {
                (right, left)
            } else {
                continue;
            };
            dominated[winner].push(loser);
            above[loser] += 1;
        }
    }
    let mut fronts = Vec::new();
    let mut front: Vec<usize> = (0..count).filter(|&place| above[place] == 0).collect();
    while !front.is_empty() {
        let mut next = Vec::new();
        for &winner in &front {
            for &loser in &dominated[winner] {
                above[loser] -= 1;
                if above[loser] == 0 {
                    next.push(loser);
                }
            }
        }
        next.sort_unstable();
        fronts.push(std::mem::replace(&mut front, next));
    }
    fronts
}

/// Crowding distance of each member of one front: the sum over objectives of the gap between its neighbours as a share
/// of the front's range; infinite at the ends.
pub(crate) fn crowding(values: &[&[f64]], front: &[usize]) -> Vec<f64> {
    let mut distances = vec![0.0; front.len()];
    let objectives = 0..values.first().map_or(0, |first| first.len());
    objectives.for_each(|objective| {
        let at = |member: usize| values[front[member]][objective];
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&left, &right| at(left).total_cmp(&at(right)));
        let (first, last) = (order[0], order[order.len() - 1]);
        let range = at(last) - at(first);
        distances[first] = f64::INFINITY;
        distances[last] = f64::INFINITY;
        // An infinite range leaves no share to anybody.
        if range > 0.0 && range.is_finite() {
            for window in order.windows(3) {
                distances[window[1]] += (at(window[2]) - at(window[0])) / range;
            }
        }
    });
    distances
}

/// The front of each vector, and its crowding distance with the sign turned, so that less is better in both.
pub(crate) fn rank_and_crowding(values: &[&[f64]]) -> Vec<(usize, f64)> {
    let mut keys = vec![(0, 0.0); values.len()];
    for (rank, front) in fronts(values).iter().enumerate() {
        for (member, distance) in front.iter().zip(crowding(values, front)) {
            keys[*member] = (rank, -distance);
        }
    }
    keys
}
