//! Repository checks that need logic.

fn main() {}
