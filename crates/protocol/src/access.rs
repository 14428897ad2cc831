//! Who may ask a scheduler for what. On its own machine, whoever holds the token of its home may ask for everything; beyond
//! it, callers are members: known by a certificate, held to a role.

mod authority;
mod identity;
mod private;
mod role;
mod roll;
mod token;

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use market::Timestamp;
use spec::{Digest, ExperimentId, Owner, Span, WorkerId};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::job::Submission;
use crate::refusals::Refusal;
use authority::Authority;
use roll::Roll;

pub use identity::{Credentials, Identity, Invitation};
pub use private::write_private;
pub use role::{Role, RoleError, Rpc};
pub(crate) use roll::PublicKey;
pub use roll::{MemberState, MemberView};
pub use token::{Token, TokenError};

/// Reads the wall clock.
pub type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Keys or members cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read or written.
    #[error("key file {path} cannot be used: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// As the system said.
        why: std::io::Error,
    },
    /// A file holds something else.
    #[error("key file {path} is damaged: {why}; restore it, or delete it and let every member join again")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong; never its content.
        why: String,
    },
    /// There is no identity.
    #[error("this home is no member of that scheduler ({path} is missing): get an invitation and `tradewind join` it")]
    NoIdentity {
        /// Where it would lie.
        path: PathBuf,
    },
    /// The home is a member of another scheduler.
    #[error("this home is a member of the scheduler at {scheduler}: use another --home for one of its own")]
    Elsewhere {
        /// Of which.
        scheduler: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> AccessError {
    move |why| AccessError::File { path: path.to_owned(), why }
}

fn damaged(path: &Path, why: impl std::fmt::Display) -> AccessError {
    AccessError::Damaged { path: path.to_owned(), why: why.to_string() }
}

/// Who a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The scheduler's own home: may ask for everything.
    Home,
    /// A member.
    Member {
        /// Its name.
        name: Owner,
        /// What it may do.
        role: Role,
    },
}

impl Caller {
    /// Whether it may ask for `rpc`.
    pub(crate) fn may(&self, rpc: Rpc) -> Result<(), Refusal> {
        match self {
            Self::Home => Ok(()),
            Self::Member { role, .. } if role.may(rpc) => Ok(()),
            Self::Member { name, role } => {
                Err(Refusal::Forbidden(format!("{name} has the role {role}, which may not ask for {}", rpc.name())))
            }
        }
    }

    /// Whether it may speak for `worker`.
    pub(crate) fn speaks_for(&self, worker: &WorkerId) -> Result<(), Refusal> {
        match self {
            Self::Home => Ok(()),
            Self::Member { name, .. } if roll::is_of(worker.as_str(), name) => Ok(()),
            Self::Member { name, .. } => Err(Refusal::Forbidden(format!(
                "{name} does not speak for worker {worker}: ids of its workers are {name} or begin with {name}-"
            ))),
        }
    }

    /// What it submits is its own: says so in `submission`.
    pub(crate) fn signs(&self, submission: &mut Submission) -> Result<(), Refusal> {
        let Self::Member { name, role: Role::Submit } = self else { return Ok(()) };
        match &submission.policy.owner {
            Some(owner) if owner != name => {
                Err(Refusal::Forbidden(format!("{name} submits for itself: owner {owner} is someone else")))
            }
            Some(_) => Ok(()),
            None => {
                submission.policy.owner = Some(name.clone());
                Ok(())
            }
        }
    }

    /// Whether it may end `experiment`, which runs for `owner`.
    pub(crate) fn owns(&self, experiment: &ExperimentId, owner: Option<&Owner>) -> Result<(), Refusal> {
        match self {
            Self::Member { name, role: Role::Submit } if owner != Some(name) => {
                Err(Refusal::Forbidden(format!("experiment {experiment} is not {name}'s: ask an administrator")))
            }
            Self::Home | Self::Member { .. } => Ok(()),
        }
    }
}

/// Decides who may come in.
pub enum Access {
    /// Plain text, and the token of the home. For loopback addresses.
    Loopback(Token),
    /// TLS both ways, and the members.
    Members(Box<Members>),
}

/// The members of a scheduler and the authority that signs for them.
pub struct Members {
    authority: Authority,
    /// The key of the scheduler's own home.
    home: PublicKey,
    /// Guards what the file tells: it is written before the roll changes.
    roll: RwLock<Roll>,
    file: PathBuf,
    now: Now,
}

/// Files of a scheduler's keys, below its folder.
const AUTHORITY: &str = "authority.key";
const ROLL: &str = "members.json";
const IDENTITY: &str = "identity.json";

/// Where a home keeps who it is, below its folder of keys.
#[must_use]
pub fn identity_path(keys: &Path) -> PathBuf {
    keys.join(IDENTITY)
}

impl Access {
    /// Members of the scheduler whose keys lie in the folder `keys`; what is missing is made.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn members(keys: &Path, now: Now) -> Result<Self, AccessError> {
        let authority = Authority::open(&keys.join(AUTHORITY))?;
        let file = keys.join(ROLL);
        let roll = match std::fs::read_to_string(&file) {
            Ok(json) => Roll::read(&json).map_err(|error| damaged(&file, error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Roll::default(),
            Err(error) => return Err(file_error(&file)(error)),
        };
        let home = home_identity(&authority, keys, now())?;
        Ok(Self::Members(Box::new(Members { authority, home, roll: RwLock::new(roll), file, now })))
    }

    /// Who shows this token header and this certificate.
    pub(crate) fn admit(
        &self,
        header: Option<&[u8]>,
        certificate: Option<&CertificateDer<'_>>,
    ) -> Result<Caller, Refusal> {
        match self {
            Self::Loopback(token) => match header {
                Some(header) if token.admits(header) => Ok(Caller::Home),
                Some(_) | None => Err(Refusal::Unauthenticated),
            },
            Self::Members(members) => {
                let key = certificate.and_then(PublicKey::of).ok_or(Refusal::Stranger)?;
                if key == members.home {
                    return Ok(Caller::Home);
                }
                let roll = members.roll.read().unwrap_or_else(PoisonError::into_inner);
                let (name, role) = roll.member((members.now)(), &key)?;
                Ok(Caller::Member { name, role })
            }
        }
    }

    /// Whether `caller`, who came in before, still would.
    pub(crate) fn still_admits(&self, caller: &Caller) -> bool {
        match (self, caller) {
            (Self::Loopback(_), _) | (Self::Members(_), Caller::Home) => true,
            (Self::Members(members), Caller::Member { name, role }) => {
                let now = (members.now)();
                let roll = members.roll.read().unwrap_or_else(PoisonError::into_inner);
                roll.has(now, name, *role)
            }
        }
    }

    /// What meets callers before they speak; `None`: nothing does.
    pub(crate) fn acceptor(&self) -> Result<Option<TlsAcceptor>, AccessError> {
        match self {
            Self::Loopback(_) => Ok(None),
            Self::Members(members) => members.authority.acceptor((members.now)()).map(Some),
        }
    }

    fn guarded(&self) -> Result<&Members, Refusal> {
        match self {
            Self::Members(members) => Ok(members),
            Self::Loopback(_) => {
                let why = "this scheduler serves its own machine and has no members: start it with --tls";
                Err(Refusal::Invalid(why.to_owned()))
            }
        }
    }

    /// Invites `name`; answers with the token, which is kept nowhere, and the authority to trust.
    pub(crate) fn invite(&self, name: &Owner, role: Role, life: Span) -> Result<(MemberView, Token, &str), Refusal> {
        let members = self.guarded()?;
        let random = authority::random().map_err(|error| Refusal::Invalid(error.to_string()))?;
        let token = Token::from_random(random);
        let digest = Digest::of(token.expose().as_bytes());
        let view = members.change(|roll| roll.invite((members.now)(), (name, role), digest, life))?;
        Ok((view, token, members.authority.pem()))
    }

    /// Takes in the holder of `token`; answers with its certificate.
    pub(crate) fn join(&self, token: &Token, key: PublicKey) -> Result<(Owner, Role, String), Refusal> {
        let members = self.guarded()?;
        // A stranger's guess costs no lock that callers wait for.
        members.roll.read().unwrap_or_else(PoisonError::into_inner).invited(token)?;
        let now = (members.now)();
        let joined = members.change(|roll| roll.join(now, token, key))?;
        let certificate = members.authority.sign(joined.name.as_str(), &key, (now, joined.expires));
        let certificate = certificate.map_err(|error| Refusal::Invalid(error.to_string()))?;
        Ok((joined.name, joined.role, certificate))
    }

    /// Takes a membership back.
    pub(crate) fn revoke(&self, name: &Owner) -> Result<MemberView, Refusal> {
        let members = self.guarded()?;
        members.change(|roll| roll.revoke((members.now)(), name))
    }

    /// All members.
    pub(crate) fn list(&self) -> Result<Vec<MemberView>, Refusal> {
        let members = self.guarded()?;
        let roll = members.roll.read().unwrap_or_else(PoisonError::into_inner);
        Ok(roll.views((members.now)()))
    }
}

impl Members {
    /// Changes the roll, on the disk first.
    fn change<T>(&self, change: impl FnOnce(&mut Roll) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut roll = self.roll.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = roll.clone();
        let said = change(&mut changed)?;
        write_private(&self.file, &changed.json())
            .map_err(|why| Refusal::Invalid(format!("members cannot be written to {}: {why}", self.file.display())))?;
        *roll = changed;
        Ok(said)
    }
}

/// The identity of the scheduler's own home, signed anew.
fn home_identity(authority: &Authority, keys: &Path, now: Timestamp) -> Result<PublicKey, AccessError> {
    const YEARS: i64 = 10 * 366 * 86_400 * 1_000_000;
    let path = identity_path(keys);
    let (pair, key) = match Identity::read(&path) {
        Ok(identity) => {
            if let Some(scheduler) = identity.scheduler() {
                return Err(AccessError::Elsewhere { scheduler: scheduler.to_owned() });
            }
            let pair = identity.pair(&path)?;
            let key = PublicKey::of_pair(&pair).ok_or_else(|| damaged(&path, "its key is of another kind"))?;
            (pair, key)
        }
        Err(AccessError::NoIdentity { .. }) => Identity::draw()?,
        Err(error) => return Err(error),
    };
    let until = Timestamp::from_micros(now.micros().saturating_add(YEARS));
    let certificate = authority.sign("tradewind home", &key, (now, until))?;
    Identity::home(&pair, authority.pem(), certificate).write(&path)?;
    Ok(key)
}
