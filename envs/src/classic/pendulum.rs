//! Pendulum-v1: swing a pendulum up with a weak motor, and hold it. Never terminates.
//!
//! State: angle from upright, angular velocity. Observation: cosine, sine, angular velocity. The reward is for the state
//! before the step.

use std::f64::consts::{PI, TAU};

use super::dynamics::{Moved, Rules};
use super::trigonometry::sin_cos;

const SPEED_MAX: f64 = 8.0;
/// Largest torque either way.
pub(super) const TORQUE_MAX: f32 = 2.0;
const SECONDS: f64 = 0.05;
/// 3g / 2l and 3 / ml² with g = 10, m = l = 1.
const PULL: f64 = 15.0;
const PUSH: f64 = 3.0;

pub(super) struct Pendulum;

impl Rules<2, 3> for Pendulum {
    #[inline(always)]
    fn advance([angle, speed]: [f64; 2], action: f64) -> Moved<2> {
        let torque = action.clamp(-f64::from(TORQUE_MAX), f64::from(TORQUE_MAX));
        let turned = angle + PI;
        let off = turned - TAU * (turned / TAU).floor() - PI;
        let cost = off * off + 0.1 * (speed * speed) + 0.001 * (torque * torque);
        let speed = speed + (PULL * sin_cos(angle).0 + PUSH * torque) * SECONDS;
        let speed = speed.clamp(-SPEED_MAX, SPEED_MAX);
        Moved { state: [angle + speed * SECONDS, speed], reward: -cost, terminated: false }
    }

    #[inline(always)]
    fn observe([angle, speed]: [f64; 2]) -> [f32; 3] {
        let (sine, cosine) = sin_cos(angle);
        [cosine as f32, sine as f32, speed as f32]
    }

    fn start([angle, speed]: [f64; 2]) -> [f64; 2] {
        [PI * (2.0 * angle - 1.0), 2.0 * speed - 1.0]
    }
}
