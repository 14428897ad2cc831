//! The program `tradewind`: parses and calls. Every decision lies in the libraries.

#![allow(clippy::print_stdout, reason = "printing is what a command line is for")]

mod args;
mod commands;
mod exit;
mod home;
mod view;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, LogFormat};
use crate::exit::{BadInput, Exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    match commands::dispatch(&cli) {
        Ok(exit) => exit.into(),
        Err(error) => match error.downcast_ref::<BadInput>() {
            // Without a prefix, so that `file:line:column:` opens the line and editors can jump there.
            Some(bad_input) => {
                eprintln!("{bad_input}");
                Exit::BadInput.into()
            }
            None => {
                eprintln!("tradewind: {error:#}");
                Exit::Failed.into()
            }
        },
    }
}
