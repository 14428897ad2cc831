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

/// The same with forces within ±1, each operation rounded to f32: so does NumPy 2 with Gymnasium's f32 state.
pub(super) fn step_continuous(state: [&mut [f64]; 2], forces: &[f64], ended: &mut [bool]) {
    let [x, speed] = state;
    for (((x, speed), force), ended) in x.iter_mut().zip(speed).zip(forces).zip(ended) {
        let (at, force) = (*x as f32, *force as f32);
        let slope = (GRAVITY * f64::from(3.0 * at).cos()) as f32;
        let faster = *speed as f32 + (force * 0.0015 - slope);
        let faster = faster.clamp(-SPEED_MAX as f32, SPEED_MAX as f32);
        let to = (at + faster).clamp(LEFT as f32, RIGHT as f32);
        let faster = if to == LEFT as f32 && faster < 0.0 { 0.0 } else { faster };
        *ended = to >= 0.45 && faster >= 0.0;
        (*x, *speed) = (f64::from(to), f64::from(faster));
    }
}

/// Where the car goes at a speed; the left wall stops it.
fn moved(x: f64, speed: f64) -> (f64, f64) {
    let speed = speed.clamp(-SPEED_MAX, SPEED_MAX);
    let x = (x + speed).clamp(LEFT, RIGHT);
    (x, if x == LEFT && speed < 0.0 { 0.0 } else { speed })
}
