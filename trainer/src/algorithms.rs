//! One algorithm, one file.

pub(crate) mod dqn;
pub(crate) mod ppo;
pub(crate) mod sac;
pub(crate) mod supervised;
pub(crate) mod td3;
