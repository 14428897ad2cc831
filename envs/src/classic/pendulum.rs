//! Swing a pendulum up and hold it, as Gymnasium's `Pendulum-v1`. Never ends by itself.

use std::f64::consts::PI;

const SPEED_MAX: f64 = 8.0;
/// Seconds of a step.
const DT: f64 = 0.05;
const GRAVITY: f64 = 10.0;

/// Angle from upright and angular velocity; torques within ±2. The cost is that of the state before the step.
pub(super) fn step(state: [&mut [f64]; 2], torques: &[f64], rewards: &mut [f32]) {
    let [theta, spin] = state;
    for (((theta, spin), torque), reward) in theta.iter_mut().zip(spin).zip(torques).zip(rewards) {
        let off = wrapped(*theta);
        *reward = -(off * off + 0.1 * (*spin * *spin) + 0.001 * (torque * torque)) as f32;
        let faster = *spin + (3.0 * GRAVITY / 2.0 * theta.sin() + 3.0 * torque) * DT;
        *spin = faster.clamp(-SPEED_MAX, SPEED_MAX);
        *theta += *spin * DT;
    }
}

/// An angle within −π to π.
fn wrapped(angle: f64) -> f64 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}

pub(super) fn show([theta, spin, ..]: [f64; 4], out: &mut [f32]) {
    out.copy_from_slice(&[theta.cos() as f32, theta.sin() as f32, spin as f32]);
}
