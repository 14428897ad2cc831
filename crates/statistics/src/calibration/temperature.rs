//! One number that makes classifiers as sure as they are right (Guo et al. 2017).

/// Temperatures tried: beyond, all classes are as likely, or one is certain, to within what 32-bit numbers hold.
const RANGE: (f64, f64) = (0.05, 20.0);

/// Steps of Newton's method, or halvings of the range, at most: 60 halvings find any point of it to the last bit.
const STEPS_MAX: usize = 60;

/// The temperature T in 0.05 to 20 for which softmax(logits / T) makes `classes` most likely.
///
/// The mean negative log-likelihood is convex in 1/T, with slope mean(E[z] − z of the class that came) and curvature
/// mean(Var[z]), expectations under the softmax. So its slope has one root: Newton's method finds it, and where a step would
/// leave the range that is known to hold it, the range is halved instead. Where the likelihood only falls or only rises
/// within the range, its end is returned; where logits do not tell classes apart at all, 1. NaN for no rows, a class that is
/// not there or a logit that is no number.
///
/// # Shapes
/// `logits`: a row each, constants of a row do not matter (ln p will do); `classes`: as many.
#[must_use]
pub fn temperature<const CLASSES: usize>(logits: &[[f64; CLASSES]], classes: &[u8]) -> f64 {
    let sound =
        |(row, class): (&[f64; CLASSES], &u8)| usize::from(*class) < CLASSES && row.iter().all(|z| z.is_finite());
    if logits.is_empty() || logits.len() != classes.len() || !logits.iter().zip(classes).all(sound) {
        return f64::NAN;
    }
    let at = |inverse: f64| slope(logits, classes, inverse);
    let (mut low, mut high) = (1.0 / RANGE.1, 1.0 / RANGE.0);
    let (start, end) = (at(low).0, at(high).0);
    if start == 0.0 && end == 0.0 {
        return 1.0;
    }
    if start >= 0.0 {
        return RANGE.1;
    }
    if end <= 0.0 {
        return RANGE.0;
    }
    let mut inverse = 1.0;
    for _ in 0..STEPS_MAX {
        let (slope, curvature) = at(inverse);
        if slope == 0.0 {
            break;
        }
        if slope < 0.0 {
            low = inverse
        } else {
            high = inverse
        }
        let newton = inverse - slope / curvature;
        let next = if newton > low && newton < high { newton } else { (low + high) / 2.0 };
        if (next - inverse).abs() <= f64::EPSILON * inverse {
            break;
        }
        inverse = next;
    }
    1.0 / inverse
}

/// Slope and curvature of the mean negative log-likelihood by the inverse temperature.
fn slope<const CLASSES: usize>(logits: &[[f64; CLASSES]], classes: &[u8], inverse: f64) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (row, class) in logits.iter().zip(classes) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights = row.map(|z| ((z - most) * inverse).exp());
        let sum: f64 = weights.iter().sum();
        // Around the largest logit, so that nothing large is subtracted from something large.
        let moment = |order: i32| -> f64 {
            row.iter().zip(&weights).map(|(z, weight)| weight / sum * (z - most).powi(order)).sum()
        };
        let mean = moment(1);
        slope += mean - (row[usize::from(*class)] - most);
        curvature += moment(2) - mean * mean;
    }
    (slope / logits.len() as f64, curvature / logits.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sure_and_wrong_is_cooled_to_the_range_and_sure_and_right_heated() {
        let rows = [[3.0, 0.0], [0.0, 2.0]];
        assert_eq!(temperature(&rows, &[0, 1]), 0.05);
        assert_eq!(temperature(&rows, &[1, 0]), 20.0);
        assert_eq!(temperature(&[[1.0, 1.0], [0.0, 0.0]], &[0, 1]), 1.0, "nothing is told apart");
    }

    /// Of two classes that are always told apart by z, a share s comes out right: sigmoid(z / T) = s.
    #[test]
    fn the_temperature_of_two_classes_has_a_closed_form() {
        for (z, right) in [(4.0, 7), (0.5, 7), (40.0, 6)] {
            let classes: Vec<u8> = (0..10).map(|row| u8::from(row >= right)).collect();
            let share = f64::from(right) / 10.0;
            let expected = z / (share / (1.0 - share)).ln();
            let found = temperature(&[[z, 0.0]; 10], &classes);
            let expected = expected.clamp(0.05, 20.0);
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn constants_of_a_row_do_not_matter_and_twice_the_logits_want_twice_the_temperature() {
        let rows = [[1.0, 0.2, -0.4], [0.1, 0.9, 0.3], [-0.3, 0.2, 0.6], [0.8, 0.1, 0.0]];
        let classes = [0, 1, 0, 2];
        let plain = temperature(&rows, &classes);
        let moved = temperature(&rows.map(|row| row.map(|z| z + 500.0)), &classes);
        let doubled = temperature(&rows.map(|row| row.map(|z| 2.0 * z)), &classes);
        assert!(plain > 0.05 && plain < 20.0);
        assert!(
            (moved / plain - 1.0).abs() < 1e-9 && (doubled / plain - 2.0).abs() < 1e-9,
            "{plain} {moved} {doubled}"
        );
    }

    #[test]
    fn what_has_no_likelihood_has_no_temperature() {
        assert!(temperature::<2>(&[], &[]).is_nan());
        assert!(temperature(&[[0.0, f64::NAN]], &[0]).is_nan() && temperature(&[[0.0, 1.0]], &[2]).is_nan());
        assert!(temperature(&[[0.0, 1.0]], &[0, 1]).is_nan());
    }
}
