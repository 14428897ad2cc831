//! The wire between scheduler, workers and clients.
//!
//! Public are the domain types, [`Client`], the [`Service`] that a scheduler implements, and [`serve`]. The generated
//! types stay in here. Knows no policy beyond who may say what ([`Access`]): it carries what was said, and refuses what is not
//! well-formed.

mod access;
mod client;
mod door;
mod gate;
mod job;
mod nodes;
mod refusals;
mod resources;
mod server;
mod view;
mod wire;

pub use access::{
    Access, AccessError, Caller, Credentials, Identity, Invitation, MemberState, MemberView, Members, Now, Role,
    RoleError, Rpc, Token, TokenError, identity_path, write_private,
};
pub use client::{Client, ClientError, Updates};
pub use door::join;
pub use job::{Assignment, Directive, End, Ending, Policy, Registration, Report, StopCause, Submission, Terms};
pub use nodes::{Cordon, GpuView, NodeView, Target, WorkerView};
pub use refusals::{Refusal, Refusals};
pub use resources::{Demand, Gpu, Offer, Shortage};
pub use server::{PROTOCOL, ServeError, Service, UpdateStream, serve};
pub use view::{
    Cause, Descent, ExperimentDetail, ExperimentState, ExperimentView, Explanation, TrialCounts, TrialState, TrialView,
    Update,
};

/// The generated half of the wire.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::too_many_lines, reason = "generated")]
mod generated {
    tonic::include_proto!("tradewind.v1");
}
