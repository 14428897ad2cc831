//! Elementary functions over slices, several values an instruction.
//!
//! libm computes one value a call, some 10 ns each; a batch of hidden units is 10^5 of them. These are branch-free, so the
//! compiler turns the loops into whatever vectors the CPU has (`pulp` picks the instruction set at run time). No crate that
//! was found offers tanh over slices on stable Rust.

use pulp::Arch;

/// Runs a loop with the CPU's widest vectors.
#[inline]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Beyond this, tanh is ±1 in f32.
const TANH_END: f32 = 7.905_311;

/// A rational approximation of tanh, odd over even, within 4e-7 of it everywhere; the coefficients are those of Eigen's
/// fast tanh (a minimax fit over ± [`TANH_END`]).
#[inline(always)]
fn tanh_of(x: f32) -> f32 {
    let x = x.clamp(-TANH_END, TANH_END);
    let s = x * x;
    let p = -2.760_768_5e-16;
    let p = p * s + 2.000_188e-13;
    let p = p * s + -8.604_672e-11;
    let p = p * s + 5.122_297e-8;
    let p = p * s + 1.485_722_4e-5;
    let p = p * s + 6.372_619_3e-4;
    let p = p * s + 4.893_524_6e-3;
    let q = 1.198_258_4e-6;
    let q = q * s + 1.185_347_1e-4;
    let q = q * s + 2.268_434_6e-3;
    let q = q * s + 4.893_525e-3;
    x * p / q
}

/// exp by 2^n times a polynomial on ± ln 2 / 2 (Cephes' expf); at most 2 ulp off, 0 and infinity at the ends of f32's range.
#[inline(always)]
fn exp_of(x: f32) -> f32 {
    let x = x.clamp(-87.336_54, 88.0);
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    // ln 2 in two parts: n times the first is exact.
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let scale = f32::from_bits((((n as i32) + 127) << 23) as u32);
    (p * r * r + r + 1.0) * scale
}

/// tanh of each value, in place.
pub fn tanh(values: &mut [f32]) {
    vectorised(|| values.iter_mut().for_each(|value| *value = tanh_of(*value)));
}

/// 1 / (1 + exp(−x)) of each value, in place.
pub fn sigmoid(values: &mut [f32]) {
    vectorised(|| values.iter_mut().for_each(|value| *value = 1.0 / (1.0 + exp_of(-*value))));
}

/// exp of each value, in place. Inputs beyond −87.3 and 88 are taken as these.
pub fn exp(values: &mut [f32]) {
    vectorised(|| values.iter_mut().for_each(|value| *value = exp_of(*value)));
}

/// max(x, 0) of each value, in place.
pub fn relu(values: &mut [f32]) {
    vectorised(|| values.iter_mut().for_each(|value| *value = value.max(0.0)));
}

/// Adds each row of `rows` to `sums`. Shapes: `[any × n]`, `[n]`.
pub fn add_rows(rows: &[f32], sums: &mut [f32]) {
    vectorised(|| {
        for row in rows.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    });
}

/// Sum of squares, in f64 by lanes of 8: the order is fixed, whatever the CPU.
#[must_use]
pub fn sum_of_squares(values: &[f32]) -> f64 {
    vectorised(|| {
        let (chunks, rest) = values.as_chunks::<8>();
        let mut lanes = [0.0_f64; 8];
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(*value) * f64::from(*value);
            }
        }
        let tail: f64 = rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
        lanes.iter().sum::<f64>() + tail
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest difference from `exact`, absolute where |exact| < 1 and relative elsewhere.
    fn worst(of: fn(&mut [f32]), exact: fn(f64) -> f64, range: (f32, f32)) -> f64 {
        let count = 200_001;
        let x: Vec<f32> = (0..count).map(|i| range.0 + (range.1 - range.0) * i as f32 / (count - 1) as f32).collect();
        let mut y = x.clone();
        of(&mut y);
        let off = |(x, y): (&f32, &f32)| {
            let wanted = exact(f64::from(*x));
            (f64::from(*y) - wanted).abs() / wanted.abs().max(1.0)
        };
        x.iter().zip(&y).map(off).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_within_a_few_ulp_of_libm() {
        let off = worst(tanh, f64::tanh, (-12.0, 12.0));
        assert!(off < 4e-7, "{off}");
        assert!(worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), (-40.0, 40.0)) < 3e-7);
        assert!(worst(exp, f64::exp, (-80.0, 80.0)) < 3e-7);
    }

    #[test]
    fn small_arguments_keep_their_relative_precision() {
        let mut y = [1e-6_f32, -1e-3, 1e-20];
        tanh(&mut y);
        assert!(
            (y[0] / 1e-6 - 1.0).abs() < 1e-6 && (y[1] / -1e-3 - 1.0).abs() < 1e-6 && (y[2] / 1e-20 - 1.0).abs() < 1e-6
        );
    }

    #[test]
    fn extremes_stay_finite() {
        let mut y = [f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY];
        sigmoid(&mut y);
        assert_eq!((y[0], y[2]), (1.0, 1.0));
        assert!(y[1] < 1e-37 && y[3] < 1e-37);
        let mut y = [f32::INFINITY, f32::NEG_INFINITY];
        tanh(&mut y);
        assert!((y[0] - 1.0).abs() < 1e-6 && (y[1] + 1.0).abs() < 1e-6);
    }

    #[test]
    fn sums_are_those_of_the_rows() {
        let mut sums = [1.0, 2.0];
        add_rows(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0], &mut sums);
        assert_eq!(sums, [7.0, 62.0]);
        let values: Vec<f32> = (0..21).map(|i| i as f32).collect();
        assert_eq!(sum_of_squares(&values), 2870.0);
    }
}
