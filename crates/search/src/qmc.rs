//! The Sobol sequence (Joe and Kuo 2008) under a nested uniform scramble by hashing (Burley 2020, "Practical
//! hash-based Owen scrambling"): even coverage of the space from the first points on, another one for each key.
//!
//! Each axis of the space has a dimension of its own; what an inactive axis would have got is dropped. Axes after the
//! 128th are drawn independently.

mod directions;

use directions::JOE_KUO;

use crate::draws::{Draws, Use};
use crate::{Point, Space, random};

/// Bits of a coordinate.
const BITS: usize = 32;

/// The sequence over the unit cube, scrambled.
#[derive(Debug)]
pub(crate) struct Sobol {
    directions: Vec<[u32; BITS]>,
    seeds: Vec<u32>,
}

impl Sobol {
    /// The sequence in as many dimensions as it has, at most `dimensions`.
    pub(crate) fn new(dimensions: usize, key: &[u8; 32]) -> Self {
        Self::scrambled(dimensions, &mut Draws::new(key, Use::Scramble, 0))
    }

    /// As [`Sobol::new`], scrambled by these draws.
    pub(crate) fn scrambled(dimensions: usize, draws: &mut Draws) -> Self {
        let dimensions = dimensions.min(JOE_KUO.len() + 1);
        let seeds = (0..dimensions).map(|_| draws.word() as u32).collect();
        Self { directions: (0..dimensions).map(directions).collect(), seeds }
    }

    /// How many dimensions it covers.
    pub(crate) fn dimensions(&self) -> usize {
        self.directions.len()
    }

    /// Coordinate `dimension` of point `index`, in (0, 1).
    pub(crate) fn coordinate(&self, dimension: usize, index: u32) -> f64 {
        let scrambled = scramble(digits(&self.directions[dimension], index), self.seeds[dimension]);
        (f64::from(scrambled) + 0.5) / (1_u64 << BITS) as f64
    }
}

/// Point `index` of the run `key`.
#[must_use]
pub(crate) fn point(space: &Space, key: &[u8; 32], index: u32) -> Point {
    points(space, key, index, 1).pop().expect("one point was asked for")
}

/// Points `first` to `first + count` of the run `key`.
pub(crate) fn points(space: &Space, key: &[u8; 32], first: u32, count: u32) -> Vec<Point> {
    let sobol = Sobol::new(space.axes().len(), key);
    let point = |index: u32| {
        let mut draws = Draws::new(key, Use::Point, index);
        space.walk(|place| {
            if place < sobol.dimensions() {
                space.domain(place).at(sobol.coordinate(place, index))
            } else {
                random::value(space.domain(place), &mut draws)
            }
        })
    };
    (first..first.saturating_add(count)).map(point).collect()
}

/// The direction numbers of one dimension as binary fractions, by the recurrence over its polynomial.
fn directions(dimension: usize) -> [u32; BITS] {
    let mut numbers = [0_u32; BITS];
    let Some((polynomial, first)) = dimension.checked_sub(1).map(|row| JOE_KUO[row]) else {
        // The first dimension reverses the bits of the index (van der Corput).
        for (bit, number) in numbers.iter_mut().enumerate() {
            *number = 1 << (BITS - 1 - bit);
        }
        return numbers;
    };
    let degree = first.len();
    for bit in 0..BITS {
        numbers[bit] = if bit < degree {
            u32::from(first[bit]) << (BITS - 1 - bit)
        } else {
            let mut number = numbers[bit - degree] ^ (numbers[bit - degree] >> degree);
            for back in 1..degree {
                if polynomial >> (degree - back) & 1 == 1 {
                    number ^= numbers[bit - back];
                }
            }
            number
        };
    }
    numbers
}

/// A coordinate before scrambling.
fn digits(directions: &[u32; BITS], index: u32) -> u32 {
    (0..BITS).filter(|bit| index >> bit & 1 == 1).fold(0, |digits, bit| digits ^ directions[bit])
}

/// Flips each digit by a hash of the seed and the digits before it.
fn scramble(digits: u32, seed: u32) -> u32 {
    let mut word = digits.reverse_bits().wrapping_add(seed);
    for factor in [0x6c50_b47c_u32, 0xb82f_1e52, 0xc7af_e638, 0x8d22_f6e6] {
        word ^= word.wrapping_mul(factor);
    }
    word.reverse_bits()
}

#[cfg(test)]
mod tests;
