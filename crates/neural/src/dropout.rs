//! Dropout whose masks are a function of a key and a place, so that nothing has to be remembered (Srivastava et al. 2014).

use crate::vectors::Vectors;

/// Dropout of a forward pass.
#[derive(Clone, Copy, Debug)]
pub enum Dropout<'a> {
    /// None.
    Off,
    /// Each output row has a mask of its own, drawn by its key: more keys than input rows ask for as many passes over
    /// each, output row `i` over input row `i % rows`.
    On(&'a [u64]),
}

impl Dropout<'_> {
    /// Rows put out for `rows` put in.
    #[must_use]
    pub fn outputs(&self, rows: usize) -> usize {
        match self {
            Self::Off => rows,
            Self::On(keys) => keys.len(),
        }
    }
}

/// Sets each value to itself over (1 − probability), or to zero with `probability`; by the key, and by the places of the
/// values, which count on from `place`.
pub(crate) fn drop_out(vectors: Vectors, (key, place): (u64, u32), probability: f32, values: &mut [f32]) {
    let (low, high) = (key as u32, (key >> 32) as u32);
    // Of 2^24 equally likely draws, so many are below.
    let threshold = (f64::from(probability) * f64::from(1_u32 << 24)).round() as u32;
    let kept = 1.0 / (1.0 - probability);
    vectors.run(
        #[inline(always)]
        || {
            for (index, value) in values.iter_mut().enumerate() {
                let draw = mix(place.wrapping_add(index as u32), low, high) >> 8;
                *value *= if draw < threshold { 0.0 } else { kept };
            }
        },
    );
}

/// Two rounds of a bijection with low bias (Wellons' `lowbias32`), a half of the key into each.
#[inline(always)]
const fn mix(place: u32, low: u32, high: u32) -> u32 {
    let x = round(place.wrapping_mul(0x9e37_79b9) ^ low);
    round(x ^ high)
}

#[inline(always)]
const fn round(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(key: u64, place: u32, probability: f32) -> Vec<f32> {
        let mut values = vec![1.0; 100_000];
        drop_out(Vectors::default(), (key, place), probability, &mut values);
        values
    }

    #[test]
    fn the_share_that_falls_is_the_probability_and_the_mean_stays() {
        for (key, probability) in [(1, 0.2), (2, 0.5), (0xffff_0000_1234_5678, 0.05)] {
            let mask = mask(key, 7, probability);
            let fallen = mask.iter().filter(|value| **value == 0.0).count() as f64 / 1e5;
            let deviation = f64::from(probability * (1.0 - probability)).sqrt() / 1e5_f64.sqrt();
            assert!((fallen - f64::from(probability)).abs() < 4.0 * deviation, "{fallen} of {probability}");
            assert!(mask.iter().all(|value| *value == 0.0 || *value == 1.0 / (1.0 - probability)));
        }
    }

    #[test]
    fn masks_of_other_keys_and_next_places_have_nothing_in_common() {
        let first = mask(1, 0, 0.5);
        for other in [mask(2, 0, 0.5), mask(1 << 32, 0, 0.5), mask(1, 1, 0.5), mask(1, 100_000, 0.5)] {
            let same = first.iter().zip(&other).filter(|(a, b)| a == b).count() as f64 / 1e5;
            assert!((same - 0.5).abs() < 4.0 * 0.5 / 1e5_f64.sqrt(), "{same}");
        }
        let shifted = mask(1, 1, 0.5);
        assert_eq!(first[1..], shifted[..99_999], "a place has one draw, whoever asks");
    }
}
