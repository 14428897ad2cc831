//! Which call takes which role: the one table of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a member of a cluster may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Leases attempts, and speaks for its own workers alone.
    Worker,
    /// Looks at everything, changes nothing.
    Read,
    /// Looks, submits, and cancels what is its own.
    Submit,
    /// All but working: machines, trials of others, members.
    Admin,
}

/// What a call does, and so who may ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Work,
    Look,
    Submit,
    Rule,
}

/// The text names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: use worker, read, submit or admin")]
pub struct RoleError(String);

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Read, Self::Submit, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }

    /// Whether it may ask for `rpc`.
    #[must_use]
    pub const fn may(self, rpc: Rpc) -> bool {
        match self {
            Self::Worker => matches!(rpc.act(), Act::Work),
            Self::Read => matches!(rpc.act(), Act::Look),
            Self::Submit => matches!(rpc.act(), Act::Look | Act::Submit),
            Self::Admin => matches!(rpc.act(), Act::Look | Act::Submit | Act::Rule),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| RoleError(text.chars().take(32).collect()))
    }
}

/// The calls, each with what it does. A call that stands not here is refused to every member.
macro_rules! calls {
    ($($name:ident: $act:ident,)*) => {
        /// A call of the scheduler's service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names of the calls, documented in the service")]
        pub enum Rpc { $($name,)* }

        impl Rpc {
            /// Every call.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            const fn act(self) -> Act {
                match self { $(Self::$name => Act::$act,)* }
            }
        }
    };
}

calls! {
    Register: Work,
    Lease: Work,
    Heartbeat: Work,
    Checkpoint: Work,
    Finish: Work,
    Exchange: Work,
    List: Look,
    Show: Look,
    Explain: Look,
    Watch: Look,
    Nodes: Look,
    Submit: Submit,
    Record: Submit,
    Cancel: Submit,
    Cordon: Rule,
    Uncordon: Rule,
    Requeue: Rule,
    Shutdown: Rule,
    Invite: Rule,
    Members: Rule,
    Revoke: Rule,
}

impl Rpc {
    /// The call of a path, `/tradewind.v1.Scheduler/NAME`.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?;
        Self::ALL.iter().copied().find(|rpc| rpc.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calls of the service, as its file says them.
    fn declared() -> Vec<&'static str> {
        let file = include_str!("../../proto/tradewind.proto");
        let service = file.split("service Scheduler {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
        service.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next()).collect()
    }

    #[test]
    fn every_call_of_the_service_stands_in_the_table_and_no_other() {
        let mut declared = declared();
        let mut known: Vec<_> = Rpc::ALL.iter().map(|rpc| rpc.name()).collect();
        declared.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, declared);
    }

    #[test]
    fn each_role_may_what_it_is_for() {
        let may = |role: Role| {
            Rpc::ALL.iter().filter(|rpc| role.may(**rpc)).map(|rpc| rpc.name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(may(Role::Worker), "Register Lease Heartbeat Checkpoint Finish Exchange");
        assert_eq!(may(Role::Read), "List Show Explain Watch Nodes");
        assert_eq!(may(Role::Submit), "List Show Explain Watch Nodes Submit Record Cancel");
        assert_eq!(
            may(Role::Admin),
            "List Show Explain Watch Nodes Submit Record Cancel Cordon Uncordon Requeue Shutdown Invite Members Revoke"
        );
    }

    #[test]
    fn a_role_is_read_as_it_is_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
        }
        let error = "root".parse::<Role>().unwrap_err();
        assert_eq!(error.to_string(), "`root` is not a role: use worker, read, submit or admin");
    }
}
