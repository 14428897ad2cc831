//! How many threads libtorch computes with. OpenMP's threads spin: on shared cores one is faster than two.

use std::sync::Once;

static INTEROP: Once = Once::new();

/// Computes on the calling thread alone.
pub fn single_threaded() {
    set_threads(1);
}

/// Computes an operation with `threads` threads, at least one, and one operation at a time.
pub fn set_threads(threads: u32) {
    // libtorch refuses to change the number of its inter-op threads once they have worked.
    INTEROP.call_once(|| tch::set_num_interop_threads(1));
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}
