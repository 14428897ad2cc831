//! How much trades.

use serde::{Deserialize, Serialize};

use super::Window;

/// z-score of ln(1 + volume) within its window; 0 where the volume does not vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolumeZ {
    logs: Window,
}

impl VolumeZ {
    /// Over `bars` bars, the present one included.
    #[must_use]
    pub fn new(bars: usize) -> Self {
        Self { logs: Window::new(bars) }
    }

    /// `None` for the first `bars` − 1 bars.
    pub fn push(&mut self, volume: f64) -> Option<f64> {
        let log = volume.ln_1p();
        self.logs.push(log);
        if !self.logs.is_full() {
            return None;
        }
        let deviation = self.logs.deviation_sample();
        Some(if deviation > 0.0 { (log - self.logs.mean()) / deviation } else { 0.0 })
    }
}
