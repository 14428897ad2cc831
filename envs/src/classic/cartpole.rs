//! Balance a pole on a cart (Barto, Sutton and Anderson 1983), explicit Euler as in Gymnasium's `CartPole-v1`.

use pulp::Arch;

use super::angle::sin_cos;

const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = 1.0 + POLE_MASS;
/// Half the pole's length.
const LENGTH: f64 = 0.5;
const POLE_MOMENT: f64 = POLE_MASS * LENGTH;
const FORCE: f64 = 10.0;
/// Seconds of a step.
const TAU: f64 = 0.02;
const X_MAX: f64 = 2.4;
/// 12°.
const THETA_MAX: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;

/// Position, velocity, angle, angular velocity; pushes are 0 (left) or 1.
pub(super) fn step(state: [&mut [f64]; 4], pushes: &[f64], ended: &mut [bool]) {
    let [x, speed, theta, spin] = state;
    let count = pushes.len();
    let (x, speed, theta, spin) = (&mut x[..count], &mut speed[..count], &mut theta[..count], &mut spin[..count]);
    let ended = &mut ended[..count];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for i in 0..count {
                let force = FORCE * (2.0 * pushes[i] - 1.0);
                let (sin, cos) = sin_cos(theta[i]);
                let temp = (force + POLE_MOMENT * (spin[i] * spin[i]) * sin) / TOTAL_MASS;
                let turn = (GRAVITY * sin - cos * temp) / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS));
                let pull = temp - POLE_MOMENT * turn * cos / TOTAL_MASS;
                x[i] += TAU * speed[i];
                speed[i] += TAU * pull;
                theta[i] += TAU * spin[i];
                spin[i] += TAU * turn;
            }
            for i in 0..count {
                ended[i] = (x[i].abs() > X_MAX) | (theta[i].abs() > THETA_MAX);
            }
        },
    );
}

/// Components side by side, row by row.
pub(super) fn show(state: [&[f64]; 4], observations: &mut [f32]) {
    let count = observations.len() / 4;
    let [a, b, c, d] = state.map(|column| &column[..count]);
    for (i, row) in observations.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *row = [a[i] as f32, b[i] as f32, c[i] as f32, d[i] as f32];
    }
}
