//! A sum tree: draws indices in proportion to their priorities (Schaul et al. 2016), each in log n steps.

/// Priorities of `capacity` places; those never set are 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Priorities {
    leaves: usize,
    /// Node i has the children 2i and 2i + 1; the root is 1.
    sums: Vec<f64>,
    /// Smallest priority below each node; infinite where none is set.
    least: Vec<f64>,
    largest: f64,
}

impl Priorities {
    pub(crate) fn new(capacity: usize) -> Self {
        let leaves = capacity.next_power_of_two();
        Self { leaves, sums: vec![0.0; 2 * leaves], least: vec![f64::INFINITY; 2 * leaves], largest: 1.0 }
    }

    pub(crate) fn total(&self) -> f64 {
        self.sums[1]
    }

    /// Smallest priority set.
    pub(crate) fn least(&self) -> f64 {
        self.least[1]
    }

    /// Largest priority ever set, and what a new transition gets; 1 at first.
    pub(crate) const fn largest(&self) -> f64 {
        self.largest
    }

    pub(crate) fn get(&self, index: usize) -> f64 {
        self.sums[self.leaves + index]
    }

    pub(crate) fn set(&mut self, index: usize, priority: f64) {
        self.largest = self.largest.max(priority);
        let mut node = self.leaves + index;
        (self.sums[node], self.least[node]) = (priority, priority);
        while node > 1 {
            node /= 2;
            self.sums[node] = self.sums[2 * node] + self.sums[2 * node + 1];
            self.least[node] = self.least[2 * node].min(self.least[2 * node + 1]);
        }
    }

    /// The place that `mass`, from 0 to the total, falls on.
    pub(crate) fn find(&self, mut mass: f64) -> usize {
        let mut node = 1;
        while node < self.leaves {
            node *= 2;
            if mass >= self.sums[node] && self.sums[node + 1] > 0.0 {
                mass -= self.sums[node];
                node += 1;
            }
        }
        node - self.leaves
    }

    /// The priorities of the first `count` places, and the largest ever: all there is to save.
    pub(crate) fn saved(&self, count: usize) -> Vec<f64> {
        self.sums[self.leaves..self.leaves + count].iter().copied().chain([self.largest]).collect()
    }

    pub(crate) fn restore(&mut self, saved: &[f64]) {
        let Some((largest, priorities)) = saved.split_last() else { return };
        priorities.iter().enumerate().for_each(|(index, priority)| self.set(index, *priority));
        self.largest = *largest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_proportion_to_their_priorities() {
        let mut priorities = Priorities::new(5);
        [1.0, 0.0, 3.0, 0.5, 0.5].into_iter().enumerate().for_each(|(index, value)| priorities.set(index, value));
        assert_eq!((priorities.total(), priorities.largest()), (5.0, 3.0));
        let mut found = [0; 5];
        (0..5000).for_each(|i| found[priorities.find(f64::from(i) / 1000.0)] += 1);
        assert_eq!(found, [1000, 0, 3000, 500, 500]);
        priorities.set(2, 0.0);
        assert_eq!((priorities.total(), priorities.largest()), (2.0, 3.0));
        assert!((0..2000).all(|i| priorities.find(f64::from(i) / 1000.0) != 2));
    }

    #[test]
    fn saved_priorities_come_back() {
        let mut priorities = Priorities::new(4);
        [4.0, 2.0, 1.0].into_iter().enumerate().for_each(|(index, value)| priorities.set(index, value));
        priorities.set(0, 0.25);
        let mut other = Priorities::new(4);
        other.restore(&priorities.saved(3));
        assert_eq!(other, priorities);
        assert_eq!(other.least(), 0.25);
    }
}
