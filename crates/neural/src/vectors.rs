//! The CPU's vectors, and elementary functions over them that give the same bits at any width.
//!
//! Every operation here is one that IEEE 754 rounds in one way: sums, products, quotients and fused multiply-adds, in an
//! order that is written down. So AVX2 and AVX-512 agree to the bit.

use pulp::{Arch, Simd, WithSimd};

use crate::amx::Tiles;

/// The CPU's vectors that kernels run on.
#[derive(Clone, Copy, Debug)]
pub struct Vectors(Arch);

impl Default for Vectors {
    /// The widest.
    fn default() -> Self {
        Self(Arch::new())
    }
}

impl Vectors {
    /// Those of AVX2 (x86-64-v3), also where wider ones are; `None` without AVX2.
    #[must_use]
    #[cfg(target_arch = "x86_64")]
    pub fn avx2() -> Option<Self> {
        pulp::x86::V3::try_new().map(|simd| Self(Arch::V3(simd)))
    }

    /// What they are called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Arch::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => "AVX-512",
            #[allow(unreachable_patterns, reason = "other machines have other vectors")]
            _ => "other vectors",
        }
    }

    /// Tiles, beside the widest vectors.
    pub(crate) fn tiles(self) -> Option<Tiles> {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => Tiles::find(),
            #[allow(unreachable_patterns, reason = "other machines have other vectors")]
            _ => None,
        }
    }

    /// Runs a kernel, or a loop that the compiler vectorises.
    #[inline]
    pub(crate) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        self.0.dispatch(op)
    }
}

/// One register of a slice, zeros behind its end.
#[inline(always)]
pub(crate) fn load<S: Simd>(simd: S, values: &[f32], from: usize, count: usize) -> S::f32s {
    let values = &values[from..from + count];
    if count == S::F32_LANES { S::as_simd_f32s(values).0[0] } else { simd.partial_load_f32s(values) }
}

/// One register into a slice, as far as `count` says.
#[inline(always)]
pub(crate) fn store<S: Simd>(simd: S, value: S::f32s, values: &mut [f32], from: usize, count: usize) {
    let values = &mut values[from..from + count];
    if count == S::F32_LANES {
        S::as_mut_simd_f32s(values).0[0] = value;
    } else {
        simd.partial_store_f32s(values, value);
    }
}

/// Beyond this, tanh is ±1 in f32.
const TANH_END: f32 = 7.905_311;
/// Odd numerator and even denominator of tanh, highest power first; Eigen's fast tanh, a minimax fit over ± [`TANH_END`]
/// that is within 4e-7.
const TANH_ABOVE: [f32; 7] =
    [-2.760_768_5e-16, 2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3];
const TANH_BELOW: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];

/// tanh as a quotient that is not yet divided.
#[inline(always)]
fn tanh_parts<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    // In this order a NaN stays one.
    let x = simd.min_f32s(simd.splat_f32s(TANH_END), simd.max_f32s(simd.splat_f32s(-TANH_END), x));
    let square = simd.mul_f32s(x, x);
    let horner = |coefficients: &[f32]| {
        let (first, rest) = coefficients.split_first().expect("a polynomial has coefficients");
        let add = |sum, coefficient: &f32| simd.mul_add_f32s(sum, square, simd.splat_f32s(*coefficient));
        rest.iter().fold(simd.splat_f32s(*first), add)
    };
    (simd.mul_f32s(x, horner(&TANH_ABOVE)), horner(&TANH_BELOW))
}

/// tanh of each lane.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (above, below) = tanh_parts(simd, x);
    simd.div_f32s(above, below)
}

/// 1 / (1 + exp(−x)) of each lane: (1 + tanh(x / 2)) / 2.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let half = simd.splat_f32s(0.5);
    let (above, below) = tanh_parts(simd, simd.mul_f32s(x, half));
    simd.mul_add_f32s(half, simd.div_f32s(above, below), half)
}

/// tanh of each value, in place.
#[derive(Debug)]
pub(crate) struct Tanh<'a>(pub(crate) &'a mut [f32]);

impl WithSimd for Tanh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (whole, rest) = S::as_mut_simd_f32s(self.0);
        for value in whole {
            *value = tanh(simd, *value);
        }
        let tail = tanh(simd, simd.partial_load_f32s(rest));
        simd.partial_store_f32s(rest, tail);
    }
}

/// Σ a·b by 16 lanes: the order is fixed, whatever the CPU. To be called inside [`Vectors::run`].
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut lanes = [0.0_f32; 16];
    for (a, b) in whole_a.iter().zip(whole_b) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    let tail: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sigmoid<'a>(&'a mut [f32]);

    impl WithSimd for Sigmoid<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let count = self.0.len();
            for from in (0..count).step_by(S::F32_LANES) {
                let here = S::F32_LANES.min(count - from);
                let value = sigmoid(simd, load(simd, self.0, from, here));
                store(simd, value, self.0, from, here);
            }
        }
    }

    fn points() -> Vec<f32> {
        (0..200_003).map(|index| -12.0 + 24.0 * index as f32 / 200_002.0).chain([1e30, -1e30, 0.0, 1e-20]).collect()
    }

    #[test]
    fn functions_are_within_a_few_ulp_of_libm_and_the_same_bits_at_every_width() {
        let widest = Vectors::default();
        let (mut tanhs, mut sigmoids) = (points(), points());
        widest.run(Tanh(&mut tanhs));
        widest.run(Sigmoid(&mut sigmoids));
        for ((x, tanh), sigmoid) in points().iter().zip(&tanhs).zip(&sigmoids) {
            let x = f64::from(*x);
            assert!((f64::from(*tanh) - x.tanh()).abs() < 5e-7, "tanh {x} is not {tanh}");
            assert!((f64::from(*sigmoid) - 1.0 / (1.0 + (-x).exp())).abs() < 3e-7, "sigmoid {x} is not {sigmoid}");
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(narrow) = Vectors::avx2() {
            let (mut other_tanhs, mut other_sigmoids) = (points(), points());
            narrow.run(Tanh(&mut other_tanhs));
            narrow.run(Sigmoid(&mut other_sigmoids));
            assert_eq!((tanhs, sigmoids), (other_tanhs, other_sigmoids));
        }
    }
}
