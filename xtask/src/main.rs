//! Repository checks that need logic: `cargo xtask tidy`.

#![allow(clippy::print_stdout, reason = "its findings are its output")]

mod dependencies;
mod text;
mod tidy;

use std::process::ExitCode;

use anyhow::Context as _;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments != ["tidy"] {
        println!("usage: cargo xtask tidy");
        return Ok(ExitCode::from(2));
    }
    let findings = tidy::findings().context("cannot check the repository")?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(ExitCode::SUCCESS),
        count => {
            println!("tidy: {count} to put right");
            Ok(ExitCode::FAILURE)
        }
    }
}
