//! CartPole-v1: keep a pole upright by pushing its cart left or right (Barto, Sutton and Anderson 1983).
//!
//! State and observation: position, velocity, angle, angular velocity. Euler's method with the old velocities.

use super::dynamics::{Moved, Rules};
use super::trigonometry::sin_cos;

const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = 1.1;
/// Half the pole, metres.
const LENGTH: f64 = 0.5;
const POLE_MOMENT: f64 = POLE_MASS * LENGTH;
const FORCE: f64 = 10.0;
const SECONDS: f64 = 0.02;
const POSITION_MAX: f64 = 2.4;
/// 12 degrees.
const ANGLE_MAX: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;
const START_MAX: f64 = 0.05;

pub(super) struct CartPole;

impl Rules<4, 4> for CartPole {
    #[inline(always)]
    fn advance([x, speed, angle, spin]: [f64; 4], action: f64) -> Moved<4> {
        let force = (2.0 * action - 1.0) * FORCE;
        let (sine, cosine) = sin_cos(angle);
        let pushed = (force + POLE_MOMENT * (spin * spin) * sine) / TOTAL_MASS;
        let turning =
            (GRAVITY * sine - cosine * pushed) / (LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS));
        let moving = pushed - POLE_MOMENT * turning * cosine / TOTAL_MASS;
        let (x, angle) = (x + SECONDS * speed, angle + SECONDS * spin);
        let terminated = (x.abs() > POSITION_MAX) | (angle.abs() > ANGLE_MAX);
        Moved { state: [x, speed + SECONDS * moving, angle, spin + SECONDS * turning], reward: 1.0, terminated }
    }

    #[inline(always)]
    fn observe(state: [f64; 4]) -> [f32; 4] {
        state.map(|value| value as f32)
    }

    fn start(draws: [f64; 4]) -> [f64; 4] {
        draws.map(|draw| START_MAX * (2.0 * draw - 1.0))
    }
}
