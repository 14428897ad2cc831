//! CPU and wall time of this process, seconds.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// A moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    wall: Instant,
    cpu_s: f64,
}

/// Time between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Elapsed {
    /// As a clock on the wall has it.
    pub wall_s: f64,
    /// That this process computed for, all threads.
    pub cpu_s: f64,
}

impl Moment {
    /// Now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "measuring time is what this crate is for")]
    pub fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self { wall: Instant::now(), cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 * 1e-9 }
    }

    /// Time since then.
    #[must_use]
    pub fn elapsed(&self) -> Elapsed {
        let now = Self::now();
        Elapsed { wall_s: now.wall.duration_since(self.wall).as_secs_f64(), cpu_s: now.cpu_s - self.cpu_s }
    }
}
