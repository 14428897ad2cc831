//! How many threads libtorch computes with. OpenMP's threads spin: on shared cores one is faster than two.

use std::sync::Once;

static INTEROP: Once = Once::new();

/// Computes on the calling thread alone.
pub fn single_threaded() {
    // libtorch refuses to change the number of its inter-op threads once they have worked.
    INTEROP.call_once(|| tch::set_num_interop_threads(1));
    tch::set_num_threads(1);
}
