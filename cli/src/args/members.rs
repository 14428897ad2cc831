//! What is said of a cluster's members.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use protocol::Role;
use spec::{Owner, Span};

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Writes an invitation: a token for one machine, once.
    Create(Create),
    /// Lists members and what became of invitations.
    List {
        /// A running scheduler. Default: the one at work on this home, or that it joined.
        #[arg(long)]
        scheduler: Option<String>,
    },
    /// Takes a membership or an unused invitation back, at once.
    Revoke {
        name: Owner,
        /// A running scheduler. Default: the one at work on this home, or that it joined.
        #[arg(long)]
        scheduler: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// worker, read, submit or admin.
    #[arg(long)]
    pub(crate) role: Role,
    /// Who it is for. A worker's processes are named after it; what a submitter submits is its own by it.
    #[arg(long)]
    pub(crate) name: Owner,
    /// How long it is a member.
    #[arg(long, default_value = "720h")]
    pub(crate) expires: Span,
    /// The invitation's file, which must not exist. Default: NAME.join.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// How the member reaches the scheduler, https://HOST:PORT. Default: as this command does.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// A running scheduler. Default: the one at work on this home, or that it joined.
    #[arg(long)]
    pub(crate) scheduler: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Join {
    /// The invitation that `tradewind token create` wrote.
    pub(crate) invitation: PathBuf,
    /// Where the scheduler is. Default: as the invitation says.
    #[arg(long)]
    pub(crate) scheduler: Option<String>,
}
