//! Get an underpowered car up a hill (Moore 1990), as Gymnasium's `MountainCar-v0` and `MountainCarContinuous-v0`.

const SPEED_MAX: f64 = 0.07;
const LEFT: f64 = -1.2;
const RIGHT: f64 = 0.6;
const GRAVITY: f64 = 0.0025;

/// Position and velocity; pushes 0, 1, 2 are left, none, right.
pub(super) fn step(state: [&mut [f64]; 2], pushes: &[f64], ended: &mut [bool]) {
    let [x, speed] = state;
    for (((x, speed), push), ended) in x.iter_mut().zip(speed).zip(pushes).zip(ended) {
        let faster = *speed + ((push - 1.0) * 0.001 + (3.0 * *x).cos() * -GRAVITY);
        (*x, *speed) = moved(*x, faster);
        *ended = *x >= 0.5 && *speed >= 0.0;
    }
}

/// The same with forces within ±1. Gymnasium keeps this state in f32, so it is rounded after each step.
pub(super) fn step_continuous(state: [&mut [f64]; 2], forces: &[f64], ended: &mut [bool]) {
    let [x, speed] = state;
    for (((x, speed), force), ended) in x.iter_mut().zip(speed).zip(forces).zip(ended) {
        let faster = *speed + (force * 0.0015 - GRAVITY * (3.0 * *x).cos());
        let (to, at) = moved(*x, faster);
        *ended = to >= 0.45 && at >= 0.0;
        (*x, *speed) = (f64::from(to as f32), f64::from(at as f32));
    }
}

/// Where the car goes at a speed; the left wall stops it.
fn moved(x: f64, speed: f64) -> (f64, f64) {
    let speed = speed.clamp(-SPEED_MAX, SPEED_MAX);
    let x = (x + speed).clamp(LEFT, RIGHT);
    (x, if x == LEFT && speed < 0.0 { 0.0 } else { speed })
}
