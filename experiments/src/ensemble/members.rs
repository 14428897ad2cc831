//! The trials of an experiment as members of an ensemble: a deep ensemble is one point of a space with several seeds.

use std::path::Path;

use spec::BundleId;

use crate::trials;

/// Why an experiment's trials are no members.
#[derive(Debug, thiserror::Error)]
pub enum SweepMembersError {
    /// Nothing of that name ended well here.
    #[error("sweep: no experiment {0} succeeded on this home: run it first, `tradewind ls` lists what there is")]
    Unknown(String),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] scheduler::SchedulerError),
    /// Its trials are of another build.
    #[error(transparent)]
    Trials(#[from] trials::TrialError),
}

impl SweepMembersError {
    /// Whether the file is at fault.
    pub(super) const fn is_bad_input(&self) -> bool {
        match self {
            Self::Unknown(_) => true,
            Self::Journal(_) | Self::Trials(_) => false,
        }
    }
}

/// The bundles of all succeeded trials of `sweep`, in the order of the trials. An experiment's id means that one; a name, the
/// one of that name that was submitted last among those that succeeded.
pub(super) fn members_of(home: &Path, sweep: &str) -> Result<Vec<(String, BundleId)>, SweepMembersError> {
    let ledger = scheduler::history(home)?;
    let succeeded = ledger.list().into_iter().filter(|view| view.state == protocol::ExperimentState::Succeeded);
    let newest = succeeded
        .filter(|view| view.experiment.as_str() == sweep || view.name.as_str() == sweep)
        .max_by_key(|view| view.submitted);
    let unknown = || SweepMembersError::Unknown(sweep.to_owned());
    let detail = newest.and_then(|view| ledger.detail(&view.experiment)).ok_or_else(unknown)?;
    let member = |trial: trials::Trial| Some((trial.view.trial.to_string(), trial.outcome?.bundle));
    Ok(trials::read(detail.trials)?.into_iter().filter_map(member).collect())
}
