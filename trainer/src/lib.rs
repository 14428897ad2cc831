//! Learning algorithms: dataset in, checkpoints and weights out.
