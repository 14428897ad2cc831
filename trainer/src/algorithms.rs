//! One algorithm, one file.

pub(crate) mod ppo;
pub(crate) mod supervised;
