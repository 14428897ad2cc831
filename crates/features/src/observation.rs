//! What a policy sees: the feature window and its own position. One writer for environment, backtest, serving and live.

/// Values a position adds to an observation.
pub const POSITION_WIDTH: usize = 2;

/// The trader's state, in units a network can take.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Position {
    /// Position value over equity, negative when short.
    pub exposure: f32,
    /// ln(mark / entry) times the side; 0 when flat.
    pub unrealised: f32,
}

/// Writes `window` then `position`.
///
/// # Shapes
/// `window`: `[window × width]`; `out`: `[window × width + POSITION_WIDTH]`.
///
/// # Panics
/// When `out` has another length: a caller's bug.
pub fn write(window: &[f32], position: &Position, out: &mut [f32]) {
    let (features, state) = out.split_at_mut(window.len());
    features.copy_from_slice(window);
    state.copy_from_slice(&[position.exposure, position.unrealised]);
}
