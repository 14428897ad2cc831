//! Swing a two-link robot up (Sutton 1996), the equations of Sutton and Barto's book, one Runge-Kutta step, as Gymnasium's
//! `Acrobot-v1`.

use std::f64::consts::PI;

/// Lengths, masses and moments of both links are 1; their centres lie half way.
const CENTRE: f64 = 0.5;
const GRAVITY: f64 = 9.8;
/// Seconds of a step.
const DT: f64 = 0.2;
const SPEED_MAX: [f64; 2] = [4.0 * PI, 9.0 * PI];

/// Angles of both links and their velocities; pushes 0, 1, 2 are torques −1, 0, 1 on the joint.
pub(super) fn step(state: [&mut [f64]; 4], pushes: &[f64], ended: &mut [bool]) {
    let [first, second, first_spin, second_spin] = state;
    for (i, ended) in ended.iter_mut().enumerate() {
        let [a, b, c, d] = runge_kutta([first[i], second[i], first_spin[i], second_spin[i]], pushes[i] - 1.0);
        (first[i], second[i]) = (wrapped(a), wrapped(b));
        first_spin[i] = c.clamp(-SPEED_MAX[0], SPEED_MAX[0]);
        second_spin[i] = d.clamp(-SPEED_MAX[1], SPEED_MAX[1]);
        *ended = -first[i].cos() - (second[i] + first[i]).cos() > 1.0;
    }
}

fn runge_kutta(s: [f64; 4], torque: f64) -> [f64; 4] {
    let along = |k: [f64; 4], by: f64| -> [f64; 4] { std::array::from_fn(|i| s[i] + by * k[i]) };
    let k1 = slope(s, torque);
    let k2 = slope(along(k1, DT / 2.0), torque);
    let k3 = slope(along(k2, DT / 2.0), torque);
    let k4 = slope(along(k3, DT), torque);
    std::array::from_fn(|i| s[i] + DT / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
}

fn slope([theta1, theta2, spin1, spin2]: [f64; 4], torque: f64) -> [f64; 4] {
    let (sin2, cos2) = (theta2.sin(), theta2.cos());
    let d1 = CENTRE * CENTRE + (1.0 + CENTRE * CENTRE + 2.0 * CENTRE * cos2) + 1.0 + 1.0;
    let d2 = CENTRE * CENTRE + CENTRE * cos2 + 1.0;
    let phi2 = CENTRE * GRAVITY * (theta1 + theta2 - PI / 2.0).cos();
    let phi1 = -CENTRE * (spin2 * spin2) * sin2 - 2.0 * CENTRE * spin2 * spin1 * sin2
        + (CENTRE + 1.0) * GRAVITY * (theta1 - PI / 2.0).cos()
        + phi2;
    let turn2 =
        (torque + d2 / d1 * phi1 - CENTRE * (spin1 * spin1) * sin2 - phi2) / (CENTRE * CENTRE + 1.0 - d2 * d2 / d1);
    let turn1 = -(d2 * turn2 + phi1) / d1;
    [spin1, spin2, turn1, turn2]
}

/// An angle within −π to π.
fn wrapped(mut angle: f64) -> f64 {
    while angle > PI {
        angle -= 2.0 * PI;
    }
    while angle < -PI {
        angle += 2.0 * PI;
    }
    angle
}

pub(super) fn show([theta1, theta2, spin1, spin2]: [f64; 4], out: &mut [f32]) {
    let values = [theta1.cos(), theta1.sin(), theta2.cos(), theta2.sin(), spin1, spin2];
    out.iter_mut().zip(values).for_each(|(out, value)| *out = value as f32);
}
