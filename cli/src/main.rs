//! The program `tradewind`: parses and calls.

fn main() {}
