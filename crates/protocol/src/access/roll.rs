//! The members of a cluster: who was invited, who joined, and until when. Pure: `now` and keys are arguments.

use std::collections::{BTreeMap, HashMap};

use market::Timestamp;
use serde::{Deserialize, Serialize};
use spec::{Digest, Owner, Span};
use subtle::ConstantTimeEq as _;

use crate::access::{Role, Token};
use crate::refusals::Refusal;

/// Longest membership: a year and a day.
const LIFE_MAX: Span = Span::from_secs(366 * 86_400);

/// Shortest membership.
const LIFE_MIN: Span = Span::from_secs(60);

/// Members kept, those that were revoked included: far above any cluster, so that the file stays small.
const MEMBERS_MAX: usize = 10_000;

/// Longest name: with the drawn end of a worker's id it is still an id.
const NAME_MAX: usize = 48;

/// A public key of Ed25519: what a caller is known by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PublicKey(#[serde(with = "hex::serde")] [u8; 32]);

impl PublicKey {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One invitation and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    role: Role,
    /// The token itself is nowhere.
    token: Digest,
    granted: Timestamp,
    expires: Timestamp,
    key: Option<PublicKey>,
    revoked: Option<Timestamp>,
}

/// A member, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its name.
    pub name: Owner,
    /// What it may do.
    pub role: Role,
    /// Where it stands.
    pub state: MemberState,
    /// When it was invited.
    pub granted: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Its token was not used yet.
    Invited,
    /// It has joined.
    Joined,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl MemberState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Joined => "joined",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Who joins: what its certificate is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) name: Owner,
    pub(crate) role: Role,
    pub(crate) expires: Timestamp,
}

/// The members by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Roll {
    grants: BTreeMap<Owner, Grant>,
    #[serde(skip)]
    names: HashMap<PublicKey, Owner>,
}

impl Grant {
    fn state(&self, now: Timestamp) -> MemberState {
        match self {
            Self { revoked: Some(_), .. } => MemberState::Revoked,
            Self { expires, .. } if *expires <= now => MemberState::Expired,
            Self { key: Some(_), .. } => MemberState::Joined,
            Self { key: None, .. } => MemberState::Invited,
        }
    }

    fn live(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.state(now) {
            MemberState::Invited | MemberState::Joined => Ok(()),
            MemberState::Expired => Err(Refusal::Expired),
            MemberState::Revoked => Err(Refusal::Revoked),
        }
    }
}

impl Roll {
    /// The roll that a file tells.
    pub(crate) fn read(json: &str) -> Result<Self, serde_json::Error> {
        let mut roll: Self = serde_json::from_str(json)?;
        let key = |(name, grant): (&Owner, &Grant)| grant.key.map(|key| (key, name.clone()));
        roll.names = roll.grants.iter().filter_map(key).collect();
        Ok(roll)
    }

    /// Its file.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(&self.grants).expect("names are text")
    }

    /// Invites `name`, whose token has the digest `token`.
    pub(crate) fn invite(
        &mut self,
        now: Timestamp,
        (name, role): (&Owner, Role),
        token: Digest,
        life: Span,
    ) -> Result<MemberView, Refusal> {
        if life < LIFE_MIN || life > LIFE_MAX {
            return Err(Refusal::Invalid(format!("a membership of {life} is not within {LIFE_MIN} to {LIFE_MAX}")));
        }
        if name.as_str().len() > NAME_MAX {
            return Err(Refusal::Invalid(format!(
                "name {name} has more than {NAME_MAX} letters: choose a shorter one"
            )));
        }
        let live = |(other, grant): &(&Owner, &Grant)| grant.live(now).is_ok() && clash(name, other);
        if let Some((other, _)) = self.grants.iter().find(live) {
            let why = if other == name { "is a member already" } else { "could not be told from the member" };
            let other = if other == name { String::new() } else { format!(" {other}") };
            return Err(Refusal::Conflict(format!("{name} {why}{other}: revoke that first, or choose another name")));
        }
        if self.grants.len() >= MEMBERS_MAX && !self.grants.contains_key(name) {
            self.grants.retain(|_, grant| grant.live(now).is_ok());
            if self.grants.len() >= MEMBERS_MAX {
                return Err(Refusal::Invalid(format!("there are {MEMBERS_MAX} members: revoke some first")));
            }
        }
        let micros = i64::try_from(life.millis()).unwrap_or(i64::MAX).saturating_mul(1_000);
        let expires = Timestamp::from_micros(now.micros().saturating_add(micros));
        let grant = Grant { role, token, granted: now, expires, key: None, revoked: None };
        self.names.retain(|_, member| member != name);
        let view = view(name, &grant, now);
        self.grants.insert(name.clone(), grant);
        Ok(view)
    }

    /// Who was invited with `token`.
    pub(crate) fn invited(&self, token: &Token) -> Result<Owner, Refusal> {
        let digest = Digest::of(token.expose().as_bytes());
        // All are compared, each in constant time: how long it takes tells nothing of any.
        let holder = self.grants.iter().fold(None, |found, (name, grant)| {
            let same: bool = grant.token.as_bytes().ct_eq(digest.as_bytes()).into();
            if same { Some(name) } else { found }
        });
        holder.cloned().ok_or(Refusal::Unauthenticated)
    }

    /// Takes in whoever holds `token` as the holder of `key`. Repeating it with the same key is harmless.
    pub(crate) fn join(&mut self, now: Timestamp, token: &Token, key: PublicKey) -> Result<Joined, Refusal> {
        let name = self.invited(token)?;
        let grant = self.grants.get_mut(&name).ok_or(Refusal::Unauthenticated)?;
        grant.live(now)?;
        match grant.key {
            Some(joined) if joined != key => return Err(Refusal::Spent),
            Some(_) | None => grant.key = Some(key),
        }
        self.names.insert(key, name.clone());
        Ok(Joined { name, role: grant.role, expires: grant.expires })
    }

    /// Whether `name` is a member with `role`.
    pub(crate) fn has(&self, now: Timestamp, name: &Owner, role: Role) -> bool {
        let grant = self.grants.get(name).filter(|grant| grant.role == role);
        grant.is_some_and(|grant| grant.state(now) == MemberState::Joined)
    }

    /// Who holds `key`.
    pub(crate) fn member(&self, now: Timestamp, key: &PublicKey) -> Result<(Owner, Role), Refusal> {
        let known = self.names.get(key).and_then(|name| Some((name, self.grants.get(name)?)));
        let (name, grant) = known.ok_or(Refusal::Stranger)?;
        grant.live(now)?;
        Ok((name.clone(), grant.role))
    }

    /// Takes a membership back. Repeating it is harmless.
    pub(crate) fn revoke(&mut self, now: Timestamp, name: &Owner) -> Result<MemberView, Refusal> {
        let grant = self
            .grants
            .get_mut(name)
            .ok_or_else(|| Refusal::NotFound(format!("{name} is not a member: `tradewind token list` lists them")))?;
        grant.revoked.get_or_insert(now);
        Ok(view(name, grant, now))
    }

    /// All members by name.
    pub(crate) fn views(&self, now: Timestamp) -> Vec<MemberView> {
        self.grants.iter().map(|(name, grant)| view(name, grant, now)).collect()
    }
}

fn view(name: &Owner, grant: &Grant, now: Timestamp) -> MemberView {
    let Grant { role, granted, expires, .. } = *grant;
    MemberView { name: name.clone(), role, state: grant.state(now), granted, expires }
}

/// Whether a worker's id could be of either: a member's workers are named after it.
fn clash(one: &Owner, other: &Owner) -> bool {
    one == other || is_of(one.as_str(), other) || is_of(other.as_str(), one)
}

/// Whether the worker `id` is named after the member `name`: `NAME` or `NAME-…`.
pub(crate) fn is_of(id: &str, name: &Owner) -> bool {
    id.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests;
