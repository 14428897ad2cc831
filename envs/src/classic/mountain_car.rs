//! MountainCar-v0 and MountainCarContinuous-v0: a weak car rocks itself out of a valley (Moore 1990).
//!
//! State and observation: position, velocity. The continuous car keeps its state in 32 bits, as Gymnasium's does.

use super::dynamics::{Moved, Rules};
use super::trigonometry::sin_cos;

const LEFT: f64 = -1.2;
const RIGHT: f64 = 0.6;
const SPEED_MAX: f64 = 0.07;
const GRAVITY: f64 = 0.0025;
const START: [f64; 2] = [-0.6, -0.4];

/// Three pushes, −1 a step.
pub(super) struct MountainCar;

impl Rules<2, 2> for MountainCar {
    #[inline(always)]
    fn advance([position, velocity]: [f64; 2], action: f64) -> Moved<2> {
        const FORCE: f64 = 0.001;
        const GOAL: f64 = 0.5;
        let pull = sin_cos(3.0 * position).1 * -GRAVITY;
        let state = moved(position, velocity + ((action - 1.0) * FORCE + pull));
        Moved { state, reward: -1.0, terminated: (state[0] >= GOAL) & (state[1] >= 0.0) }
    }

    #[inline(always)]
    fn observe(state: [f64; 2]) -> [f32; 2] {
        state.map(|value| value as f32)
    }

    fn start([position, _]: [f64; 2]) -> [f64; 2] {
        [START[0] + (START[1] - START[0]) * position, 0.0]
    }
}

/// A push of any strength, which costs its square; 100 at the goal.
pub(super) struct MountainCarContinuous;

impl Rules<2, 2> for MountainCarContinuous {
    #[inline(always)]
    fn advance([position, velocity]: [f64; 2], action: f64) -> Moved<2> {
        const POWER: f64 = 0.0015;
        const GOAL: f64 = 0.45;
        // The position is a 32-bit number, and so is three times it.
        let slope = sin_cos(f64::from((3.0 * position) as f32)).1;
        let [position, velocity] = moved(position, velocity + (action.clamp(-1.0, 1.0) * POWER - GRAVITY * slope));
        let terminated = (position >= GOAL) & (velocity >= 0.0);
        let prize = if terminated { 100.0 } else { 0.0 };
        // Gymnasium charges for the action as it was asked for, not as it was clipped.
        let reward = (prize - action * action * 0.1).max(f64::from(f32::MIN));
        Moved { state: [f64::from(position as f32), f64::from(velocity as f32)], reward, terminated }
    }

    #[inline(always)]
    fn observe(state: [f64; 2]) -> [f32; 2] {
        state.map(|value| value as f32)
    }

    fn start([position, _]: [f64; 2]) -> [f64; 2] {
        [f64::from((START[0] + (START[1] - START[0]) * position) as f32), 0.0]
    }
}

/// Moves by `velocity` once it is clipped; the left wall stops a car dead.
#[inline(always)]
fn moved(position: f64, velocity: f64) -> [f64; 2] {
    let velocity = velocity.clamp(-SPEED_MAX, SPEED_MAX);
    let position = (position + velocity).clamp(LEFT, RIGHT);
    let stopped = (position == LEFT) & (velocity < 0.0);
    [position, if stopped { 0.0 } else { velocity }]
}
