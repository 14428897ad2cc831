//! What travels between the processes of a world.

use protocol::{Assignment, Cordon, ExperimentDetail, Refusal, Registration, Report, Submission, Target};
use spec::{AttemptId, CheckpointRef, ExperimentId, TrialId, WorkerId};

use crate::cluster::Reply;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A worker's process; its next life is another.
    Worker {
        worker: usize,
        life: u32,
    },
    Client(usize),
    /// Somebody with a token that is not its own.
    Forger,
    /// Somebody who only looks.
    Onlooker,
    /// Somebody who opens and closes machines.
    Operator,
}

/// A call on its way to the scheduler.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) from: Peer,
    pub(super) call: u64,
    pub(super) body: Body,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Register(Registration),
    Lease(WorkerId),
    Heartbeat(WorkerId, AttemptId),
    Checkpoint(WorkerId, AttemptId, CheckpointRef),
    Finish(WorkerId, AttemptId, Report),
    Exchange(WorkerId, AttemptId, Report),
    Submit(Submission),
    Cancel(ExperimentId),
    Requeue(TrialId),
    Cordon(Target, Cordon),
    Uncordon(Target),
    Show(ExperimentId),
    /// From the engine, on the scheduler's own machine.
    WorkerGone(WorkerId),
}

impl Body {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Lease(_) => "lease",
            Self::Heartbeat(..) => "heartbeat",
            Self::Checkpoint(..) => "checkpoint",
            Self::Finish(..) => "finish",
            Self::Exchange(..) => "exchange",
            Self::Submit(_) => "submit",
            Self::Cancel(_) => "cancel",
            Self::Requeue(_) => "requeue",
            Self::Cordon(..) => "cordon",
            Self::Uncordon(_) => "uncordon",
            Self::Show(_) => "show",
            Self::WorkerGone(_) => "worker gone",
        }
    }
}

/// What comes back.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Reply(Result<Reply, Refusal>),
    Leased(Result<Option<Assignment>, Refusal>),
    Shown(Result<Box<ExperimentDetail>, Refusal>),
}
