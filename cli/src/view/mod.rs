//! What people see: tables, progress bars and one-line summaries. Machines get JSON instead.

pub(crate) mod progress;
pub(crate) mod table;

use std::fmt::Display;
use std::io::Write as _;

/// Prints a line to stdout. A reader that went away, such as `head`, is no reason to stop what the command does.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
