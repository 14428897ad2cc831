//! How the program ends: one documented code per outcome, and which errors are the user's to mend.

use std::process::ExitCode;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Something failed.
    Failed,
    /// Usage or bad input: the command line, a spec, or data.
    BadInput,
    /// Interrupted; `resume` continues.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::BadInput => 2,
            Exit::Interrupted => 130,
        })
    }
}

/// Marks an error as bad input, so that the program exits with 2.
#[derive(Debug)]
pub(crate) struct BadInput(pub(crate) String);

impl std::fmt::Display for BadInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// Wraps any error as bad input.
pub(crate) fn bad_input<E: std::fmt::Display>(error: E) -> anyhow::Error {
    BadInput(error.to_string()).into()
}
