//! Acrobot-v1: swing a two-link arm above a line with a motor at the joint between the links (Sutton 1996).
//!
//! State: angle of the first link from hanging, angle of the second against the first, and their velocities. Observation:
//! cosine and sine of both angles, both velocities. Equations of Sutton and Barto's book; one Runge-Kutta step of order 4.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use super::dynamics::{Moved, Rules};
use super::trigonometry::sin_cos;

/// Masses, lengths and moments of inertia of the links are all 1; their centres of mass lie at one half.
const CENTRE: f64 = 0.5;
const GRAVITY: f64 = 9.8;
const SECONDS: f64 = 0.2;
const SPEED_MAX: [f64; 2] = [4.0 * PI, 9.0 * PI];
const START_MAX: f64 = 0.1;

pub(super) struct Acrobot;

impl Rules<4, 6> for Acrobot {
    #[inline(always)]
    fn advance(state: [f64; 4], action: f64) -> Moved<4> {
        let torque = action - 1.0;
        let first = derivative(state, torque);
        let second = derivative(along(state, first, SECONDS / 2.0), torque);
        let third = derivative(along(state, second, SECONDS / 2.0), torque);
        let fourth = derivative(along(state, third, SECONDS), torque);
        let slope = |at: usize| first[at] + 2.0 * second[at] + 2.0 * third[at] + fourth[at];
        let [one, two, speed_one, speed_two] = std::array::from_fn(|at| state[at] + SECONDS / 6.0 * slope(at));
        let (one, two) = (wrapped(one), wrapped(two));
        let terminated = -sin_cos(one).1 - sin_cos(two + one).1 > 1.0;
        let speed_one = speed_one.clamp(-SPEED_MAX[0], SPEED_MAX[0]);
        let speed_two = speed_two.clamp(-SPEED_MAX[1], SPEED_MAX[1]);
        let reward = if terminated { 0.0 } else { -1.0 };
        Moved { state: [one, two, speed_one, speed_two], reward, terminated }
    }

    #[inline(always)]
    fn observe([one, two, speed_one, speed_two]: [f64; 4]) -> [f32; 6] {
        let ((sine_one, cosine_one), (sine_two, cosine_two)) = (sin_cos(one), sin_cos(two));
        [cosine_one, sine_one, cosine_two, sine_two, speed_one, speed_two].map(|value| value as f32)
    }

    fn start(draws: [f64; 4]) -> [f64; 4] {
        // Gymnasium draws the start in 32 bits.
        draws.map(|draw| f64::from((START_MAX * (2.0 * draw - 1.0)) as f32))
    }
}

#[inline(always)]
fn along(state: [f64; 4], slope: [f64; 4], seconds: f64) -> [f64; 4] {
    std::array::from_fn(|at| state[at] + seconds * slope[at])
}

#[inline(always)]
fn derivative([one, two, speed_one, speed_two]: [f64; 4], torque: f64) -> [f64; 4] {
    let (sine, cosine) = sin_cos(two);
    let inertia = CENTRE * CENTRE + (1.0 + CENTRE * CENTRE + 2.0 * CENTRE * cosine) + 1.0 + 1.0;
    let coupling = (CENTRE * CENTRE + CENTRE * cosine) + 1.0;
    let pull_two = CENTRE * GRAVITY * sin_cos(one + two - FRAC_PI_2).1;
    let pull_one = -CENTRE * (speed_two * speed_two) * sine - 2.0 * CENTRE * speed_two * speed_one * sine
        + (CENTRE + 1.0) * GRAVITY * sin_cos(one - FRAC_PI_2).1
        + pull_two;
    let turning_two = (torque + coupling / inertia * pull_one - CENTRE * (speed_one * speed_one) * sine - pull_two)
        / (CENTRE * CENTRE + 1.0 - coupling * coupling / inertia);
    let turning_one = -(coupling * turning_two + pull_one) / inertia;
    [speed_one, speed_two, turning_one, turning_two]
}

/// An angle brought to [−π, π] by whole turns.
#[inline(always)]
fn wrapped(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round_ties_even()
}
