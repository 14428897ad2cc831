//! Dying with the parent: a worker of the local engine must not outlive its scheduler.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The parent has gone already, or the system refuses to watch it.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// It ended before it could be watched.
    #[error("parent process {expected} has ended: this worker has nobody to work for")]
    Gone {
        /// Its process id.
        expected: u32,
    },
    /// The system refused.
    #[error("system does not watch the parent process: {0}")]
    Refused(#[source] rustix::io::Errno),
}

/// Makes the kernel kill this process when its parent `expected` ends, however that ends. Call it first, from the main
/// thread: the wish is the calling thread's.
///
/// # Errors
/// [`ParentError`]: the process should end by itself.
pub fn die_with_parent(expected: u32) -> Result<(), ParentError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(ParentError::Refused)?;
    // The parent may have ended before the call; then somebody else is the parent now.
    let parent = getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    if u32::try_from(parent) == Ok(expected) { Ok(()) } else { Err(ParentError::Gone { expected }) }
}
