//! One number that makes classifiers as sure as they are right (Guo et al. 2017), with what is known of it before.

/// Temperatures tried: beyond, all classes are as likely as ever, or one is certain, to within what 32-bit numbers hold.
const RANGE: (f64, f64) = (0.05, 20.0);

/// Steps of Newton's method, or halvings of the range, at most: 60 halvings find any point of it to the last bit.
const STEPS_MAX: usize = 60;

/// What is known of a temperature before its rows are seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior<const CLASSES: usize> {
    /// How often each class comes whatever is said; above 0, only ratios matter.
    pub base: [f64; CLASSES],
    /// So many rows, none of which shares its outcome with another, in which nothing that was said made a difference. With
    /// 0 the rows speak alone.
    pub rows: f64,
}

/// The temperature T in 0.05 to 20 for which softmax(ln base + evidence / T) goes best with `classes` and the prior.
///
/// In b = 1/T the forecast goes from the base rates (b = 0) to base rates times all the evidence (b = 1), so a Gaussian
/// around b = 0 says that evidence is worth nothing until shown. Its precision is that of `prior.rows` rows like those given,
/// at b = 0 (Zellner's g-prior, 1986): so n rows that would have it at b leave about n/(n + rows) of that, on any scale of
/// evidence. A row whose outcome reaches over `overlap` bars tells little that its neighbours do not, and counts as
/// 1/`overlap`. Without a prior and with even base rates this is the maximum of the likelihood, Guo's temperature.
///
/// What is minimised, mean negative log-likelihood and half the prior's precision a row times b², is convex in b, with slope
/// mean(E[e] − e of the class that came) + precision · b and curvature mean(Var[e]) + precision, expectations under the
/// softmax. So its slope has one root: Newton's method finds it, and where a step would leave the range that is known to hold
/// it, the range is halved instead. Where it only falls or only rises within the range, its end is returned; where evidence
/// does not tell classes apart at all, 1. NaN for no rows, a class that is not there or a number that is none.
///
/// # Shapes
/// `evidence`: a row each, constants of a row do not matter (ln p − ln base will do, or logits where base rates are even);
/// `classes`: as many.
#[must_use]
pub fn temperature<const CLASSES: usize>(
    evidence: &[[f64; CLASSES]],
    classes: &[u8],
    overlap: u32,
    prior: &Prior<CLASSES>,
) -> f64 {
    let sound =
        |(row, class): (&[f64; CLASSES], &u8)| usize::from(*class) < CLASSES && row.iter().all(|e| e.is_finite());
    let known = prior.base.iter().all(|share| share.is_finite() && *share > 0.0) && prior.rows >= 0.0;
    if !known || evidence.is_empty() || evidence.len() != classes.len() || !evidence.iter().zip(classes).all(sound) {
        return f64::NAN;
    }
    let (_, told_apart) = slope(evidence, classes, &prior.base, 0.0);
    let precision = prior.rows * f64::from(overlap) / evidence.len() as f64 * told_apart;
    let at = |inverse: f64| {
        let (slope, curvature) = slope(evidence, classes, &prior.base, inverse);
        (slope + precision * inverse, curvature + precision)
    };
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
fn slope<const CLASSES: usize>(
    evidence: &[[f64; CLASSES]],
    classes: &[u8],
    base: &[f64; CLASSES],
    inverse: f64,
) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (row, class) in evidence.iter().zip(classes) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: [f64; CLASSES] = std::array::from_fn(|place| base[place] * ((row[place] - most) * inverse).exp());
        let sum: f64 = weights.iter().sum();
        // Around the largest, so that nothing large is subtracted from something large.
        let moment = |order: i32| -> f64 {
            row.iter().zip(&weights).map(|(e, weight)| weight / sum * (e - most).powi(order)).sum()
        };
        let mean = moment(1);
        slope += mean - (row[usize::from(*class)] - most);
        curvature += moment(2) - mean * mean;
    }
    (slope / evidence.len() as f64, curvature / evidence.len() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rows speak alone.
    const fn nothing<const CLASSES: usize>() -> Prior<CLASSES> {
        Prior { base: [1.0; CLASSES], rows: 0.0 }
    }

    /// Of `rows` rows that all say the first of two classes by z = 4, seven in ten come out right.
    fn often_right(rows: usize) -> (Vec<[f64; 2]>, Vec<u8>) {
        (vec![[4.0, 0.0]; rows], (0..rows).map(|row| u8::from(row % 10 >= 7)).collect())
    }

    #[test]
    fn sure_and_wrong_is_cooled_to_the_range_and_sure_and_right_heated() {
        let rows = [[3.0, 0.0], [0.0, 2.0]];
        assert_eq!(temperature(&rows, &[0, 1], 1, &nothing()), 0.05);
        assert_eq!(temperature(&rows, &[1, 0], 1, &nothing()), 20.0);
        assert_eq!(temperature(&[[1.0, 1.0], [0.0, 0.0]], &[0, 1], 1, &nothing()), 1.0, "nothing is told apart");
    }

    /// Of two classes that are always told apart by z, a share s comes out right: sigmoid(z / T) = s.
    #[test]
    fn the_temperature_of_two_classes_has_a_closed_form() {
        for (z, right) in [(4.0, 7), (0.5, 7), (40.0, 6)] {
            let classes: Vec<u8> = (0..10).map(|row| u8::from(row >= right)).collect();
            let share = f64::from(right) / 10.0;
            let expected = z / (share / (1.0 - share)).ln();
            let found = temperature(&[[z, 0.0]; 10], &classes, 1, &nothing());
            let expected = expected.clamp(0.05, 20.0);
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        }
    }

    /// The same with a prior: z (sigmoid(z / T) − s) + r/n · z²/4 / T = 0, since two even classes have the variance z²/4.
    #[test]
    fn a_prior_pulls_as_its_rows_over_those_that_are_there() {
        for (rows, prior) in [(400, 100.0), (400, 400.0), (4_000, 250.0)] {
            let (said, came) = often_right(rows);
            let found = temperature(&said, &came, 1, &Prior { base: [0.5; 2], rows: prior });
            let pull = prior / rows as f64 * 4.0 / found;
            let left = 4.0 * (1.0 / (1.0 + (-4.0 / found).exp()) - 0.7) + pull;
            assert!(left.abs() < 1e-9 && found > 4.8 && found < 20.0, "{found} leaves {left}");
        }
    }

    #[test]
    fn few_rows_stay_at_the_base_rates_and_many_reach_the_likeliest_temperature() {
        let prior = Prior { base: [0.5; 2], rows: 250.0 };
        let fitted = |rows: usize| {
            let (said, came) = often_right(rows);
            (temperature(&said, &came, 1, &prior), temperature(&said, &came, 1, &nothing()))
        };
        assert_eq!(fitted(10).0, 20.0, "as far from what is said as the range goes");
        let (some, alone) = fitted(1_000);
        assert!(some > 1.1 * alone && some < 1.6 * alone, "{some} {alone}");
        let (many, alone) = fitted(100_000);
        assert!(many > alone && many < 1.01 * alone, "{many} {alone}");
    }

    #[test]
    fn rows_that_share_their_outcomes_count_as_one() {
        let prior = Prior { base: [0.5; 2], rows: 250.0 };
        let (said, came) = often_right(400);
        let apart = temperature(&said, &came, 1, &prior);
        let overlapping = temperature(&said, &came, 5, &prior);
        assert!(overlapping > 1.5 * apart, "{overlapping} {apart}");
        let five_each: Vec<u8> = came.iter().flat_map(|class| [*class; 5]).collect();
        let repeated = temperature(&often_right(2_000).0, &five_each, 5, &prior);
        assert!((repeated / apart - 1.0).abs() < 1e-9, "five rows of one outcome are one row: {repeated} {apart}");
    }

    /// With p of the network as it is, evidence is ln p − ln base, and T = 1 gives p back.
    #[test]
    fn a_network_that_is_right_about_uneven_classes_is_left_as_it_is() {
        let base: [f64; 3] = [0.2, 0.5, 0.3];
        let forecasts: [[f64; 3]; 2] = [[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]];
        let (mut said, mut came) = (Vec::new(), Vec::new());
        for forecast in forecasts {
            let evidence: [f64; 3] = std::array::from_fn(|class| (forecast[class] / base[class]).ln());
            for (class, share) in (0_u8..).zip(forecast) {
                let rows = (1_000.0 * share).round() as usize;
                said.extend(vec![evidence; rows]);
                came.extend(vec![class; rows]);
            }
        }
        let found = temperature(&said, &came, 1, &Prior { base, rows: 0.0 });
        assert!((found - 1.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn constants_of_a_row_do_not_matter_and_twice_the_logits_want_twice_the_temperature() {
        let rows = [[1.0, 0.2, -0.4], [0.1, 0.9, 0.3], [-0.3, 0.2, 0.6], [0.8, 0.1, 0.0]];
        let classes = [0, 1, 0, 2];
        // A prior is of no scale of its own either.
        for prior in [nothing(), Prior { base: [0.2, 0.3, 0.5], rows: 1.0 }] {
            let plain = temperature(&rows, &classes, 1, &prior);
            let moved = temperature(&rows.map(|row| row.map(|z| z + 500.0)), &classes, 1, &prior);
            let doubled = temperature(&rows.map(|row| row.map(|z| 2.0 * z)), &classes, 1, &prior);
            assert!(plain > 0.05 && plain < 20.0, "{plain}");
            assert!(
                (moved / plain - 1.0).abs() < 1e-9 && (doubled / plain - 2.0).abs() < 1e-9,
                "{plain} {moved} {doubled}"
            );
        }
    }

    #[test]
    fn what_has_no_likelihood_has_no_temperature() {
        let none = nothing();
        assert!(temperature::<2>(&[], &[], 1, &none).is_nan());
        assert!(temperature(&[[0.0, f64::NAN]], &[0], 1, &none).is_nan());
        assert!(temperature(&[[0.0, 1.0]], &[2], 1, &none).is_nan());
        assert!(temperature(&[[0.0, 1.0]], &[0, 1], 1, &none).is_nan());
        assert!(temperature(&[[0.0, 1.0]], &[0], 1, &Prior { base: [0.0, 1.0], rows: 0.0 }).is_nan());
    }

    proptest! {
        #[test]
        fn the_more_a_prior_weighs_the_less_of_the_evidence_is_believed(
            rows in prop::collection::vec((prop::array::uniform3(-3.0..3.0_f64), 0..3_u8), 1..60),
            weights in (0.0..50.0_f64, 0.0..50.0_f64),
        ) {
            let (said, came): (Vec<[f64; 3]>, Vec<u8>) = rows.into_iter().unzip();
            let at = |rows: f64| temperature(&said, &came, 1, &Prior { base: [0.3, 0.4, 0.3], rows });
            let (less, more) = (at(weights.0.min(weights.1)), at(weights.0.max(weights.1)));
            prop_assert!((0.05..=20.0).contains(&less) && (0.05..=20.0).contains(&more));
            prop_assert!(more >= less * (1.0 - 1e-9), "{} {}", less, more);
        }
    }
}
