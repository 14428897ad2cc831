//! Probabilities that follow how often each class comes, while what tells one forecast from another stays.
//!
//! How often a class came, and how often it was said to, are shares that forget exponentially (exponential smoothing, Brown
//! 1956). Their ratio brings a forecast from the one to the other, as a classifier is brought to the frequencies of another
//! population (Saerens, Latinne & Decaestecker 2002, eq. 4), so that odds between two forecasts stay what they were.

/// A class is brought to at most so many times as often as it is said, and to no less than one part in as many: where it is hardly
/// ever said, a single outcome would else be all there is.
const RATIO_MAX: f64 = 8.0;

/// How often each of `N` classes came of late, and how often it was said to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frequencies<const N: usize> {
    rate: f64,
    came: [f64; N],
    said: [f64; N],
}

impl<const N: usize> Frequencies<N> {
    /// Before any outcome: as often as it is said. `rate`, 0 to 1, is how much one outcome counts: 1 / `rate` of them are
    /// remembered, and at 0 nothing ever moves.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { rate, came: [1.0 / N as f64; N], said: [1.0 / N as f64; N] }
    }

    /// A class came of which these probabilities had been said.
    pub fn learn(&mut self, probabilities: [f32; N], class: usize) {
        let kept = 1.0 - self.rate;
        for (index, probability) in probabilities.into_iter().enumerate() {
            let came = f64::from(u8::from(index == class));
            self.came[index] = kept * self.came[index] + self.rate * came;
            self.said[index] = kept * self.said[index] + self.rate * f64::from(probability);
        }
    }

    /// Probabilities with each class as often as it came of late. They add up to what they did; as long as nothing moved they
    /// are the same to the bit. They also stay where nothing can be said: a class that has not been said, or none that came,
    /// for longer than a number remembers.
    #[must_use]
    pub fn corrected(&self, probabilities: [f32; N]) -> [f32; N] {
        // The ratio first: it is exactly 1 where both shares are equal.
        let ratio = |class: usize| (self.came[class] / self.said[class]).clamp(1.0 / RATIO_MAX, RATIO_MAX);
        let part = |class: usize| f64::from(probabilities[class]) * ratio(class);
        let parts: [f64; N] = std::array::from_fn(part);
        let (before, after) = (probabilities.map(f64::from).iter().sum::<f64>(), parts.iter().sum::<f64>());
        if !after.is_finite() || after <= 0.0 {
            return probabilities;
        }
        parts.map(|part| (part * (before / after)) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: [f32; 3] = [0.2, 0.3, 0.5];

    fn near(ours: [f32; 3], theirs: [f64; 3], tolerance: f64) -> bool {
        ours.iter().zip(theirs).all(|(ours, theirs)| (f64::from(*ours) - theirs).abs() < tolerance)
    }

    #[test]
    fn one_outcome_moves_both_shares_by_the_rate() {
        let mut shares = Frequencies::new(0.5);
        assert_eq!(shares.corrected(SAID), SAID, "nothing moved");
        shares.learn(SAID, 2);
        // Came: 1/6, 1/6, 2/3. Said: 4/15, 19/60, 5/12. Their ratios: 5/8, 10/19, 8/5.
        let parts = [0.125, 3.0 / 19.0, 0.8];
        let sum: f64 = parts.iter().sum();
        let found = shares.corrected(SAID);
        assert!(near(found, parts.map(|part| part / sum), 1e-6), "{found:?}");
    }

    #[test]
    fn a_rate_of_zero_never_moves_a_bit() {
        let mut shares = Frequencies::new(0.0);
        for said in [SAID, [0.1, 0.2, 0.7], [0.0, 1.0, 0.0], [1.0 / 3.0; 3]] {
            shares.learn(said, 0);
            assert_eq!(shares.corrected(said), said);
        }
    }

    /// Six of ten are of the last class.
    const DRIFTED: [usize; 10] = [2, 0, 2, 1, 2, 2, 0, 2, 1, 2];

    #[test]
    fn frequencies_that_drift_are_followed() {
        let mut shares = Frequencies::new(0.01);
        let said = [0.3, 0.3, 0.4];
        DRIFTED.iter().cycle().take(1_000).for_each(|class| shares.learn(said, *class));
        let found = shares.corrected(said);
        assert!(near(found, [0.2, 0.2, 0.6], 0.02), "{found:?}");
    }

    #[test]
    fn what_tells_one_forecast_from_another_stays() {
        let mut shares = Frequencies::new(0.01);
        DRIFTED.iter().cycle().take(300).for_each(|class| shares.learn(SAID, *class));
        let [one, other] = [SAID, [0.5, 0.3, 0.2]].map(|said| shares.corrected(said));
        let odds = |said: [f32; 3]| said[0] / said[2];
        // 0.2 to 0.5 against 0.5 to 0.2.
        assert!((odds(one) / odds(other) - 0.16).abs() < 1e-5, "{one:?} {other:?}");
        for said in [one, other] {
            assert!((said.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{said:?}");
        }
    }

    #[test]
    fn a_class_that_is_hardly_ever_said_does_not_take_all_when_it_comes_once() {
        let mut shares = Frequencies::new(0.01);
        let said = [1e-6, 0.5, 0.5];
        (0..2_000).for_each(|row| shares.learn(said, 1 + row % 2));
        shares.learn(said, 0);
        let found = shares.corrected(said);
        assert!(found[0] > said[0] && found[0] < 9.0 * said[0], "{found:?}");
    }

    #[test]
    fn what_was_forgotten_wholly_corrects_nothing() {
        let mut shares = Frequencies::new(0.5);
        let said = [0.0, 0.5, 0.5];
        // Halved so often that nothing is left: 0 / 0 of the first class.
        (0..2_000).for_each(|_| shares.learn(said, 1));
        assert_eq!(shares.corrected(said), said);
        // Only one class has come, and it is the one thought impossible now.
        let mut shares = Frequencies::new(0.5);
        (0..2_000).for_each(|_| shares.learn(SAID, 1));
        assert_eq!(shares.corrected([0.5, 0.0, 0.5]), [0.5, 0.0, 0.5]);
    }
}
