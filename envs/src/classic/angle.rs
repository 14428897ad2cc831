//! Sine and cosine without branches, so that a loop over copies becomes vector instructions.
//!
//! libm's pair takes some 20 ns, which is what a whole step of a cart-pole may take. This reduces by multiples of π/2 in three
//! parts (Cody and Waite 1980) and evaluates the two polynomials of fdlibm (Sun 1993): within 1 ulp up to |x| = 10^5.

use std::f64::consts::FRAC_2_PI;

/// π/2 in three parts; multiples up to 2^20 of the first two are exact.
const HALF_PI: [f64; 3] = [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_6e-21];

/// (sin x, cos x).
#[inline(always)]
pub(super) fn sin_cos(x: f64) -> (f64, f64) {
    let turns = (x * FRAC_2_PI).round_ties_even();
    let r = ((x - turns * HALF_PI[0]) - turns * HALF_PI[1]) - turns * HALF_PI[2];
    let z = r * r;
    let sin = 1.589_690_995_211_55e-10;
    let sin = sin * z - 2.505_076_025_340_686_3e-8;
    let sin = sin * z + 2.755_731_370_707_006_8e-6;
    let sin = sin * z - 1.984_126_982_985_795e-4;
    let sin = sin * z + 8.333_333_333_322_49e-3;
    let sin = sin * z - 1.666_666_666_666_663_2e-1;
    let sin = r + r * z * sin;
    let cos = -1.135_964_755_778_819_5e-11;
    let cos = cos * z + 2.087_572_321_298_175e-9;
    let cos = cos * z - 2.755_731_435_139_066_3e-7;
    let cos = cos * z + 2.480_158_728_947_673e-5;
    let cos = cos * z - 1.388_888_888_887_411e-3;
    let cos = cos * z + 4.166_666_666_666_66e-2;
    let half = 0.5 * z;
    let rest = 1.0 - half;
    let cos = rest + (((1.0 - rest) - half) + z * z * cos);
    // The quarter turn, 0 to 3, in floats: no integer conversion of vectors is needed.
    let quarter = turns - 4.0 * (turns * 0.25).floor();
    let odd = quarter == 1.0 || quarter == 3.0;
    let (s, c) = if odd { (cos, sin) } else { (sin, cos) };
    let s = if quarter >= 2.0 { -s } else { s };
    let c = if quarter == 1.0 || quarter == 2.0 { -c } else { c };
    (s, c)
}

#[cfg(test)]
mod tests {
    use super::sin_cos;

    #[test]
    fn both_are_within_a_unit_or_so_of_libm() {
        let count = 400_001;
        for range in [0.5, 10.0, 1e4] {
            for index in 0..count {
                let x = range * (2.0 * f64::from(index) / f64::from(count - 1) - 1.0);
                let (sin, cos) = sin_cos(x);
                assert!((sin - x.sin()).abs() <= 1.2e-16 * 2.0 && (cos - x.cos()).abs() <= 1.2e-16 * 2.0, "{x}");
            }
        }
    }
}
