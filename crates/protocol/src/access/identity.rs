//! What a caller shows: the token of its home on this machine, or the certificate of a member beyond it.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use rcgen::{KeyPair, PKCS_ED25519};
use serde::{Deserialize, Serialize};
use spec::Owner;
use tonic::transport::{Certificate, ClientTlsConfig, Identity as Pair};
use zeroize::Zeroizing;

use crate::access::authority::SERVER_NAME;
use crate::access::private::write_private;
use crate::access::roll::PublicKey;
use crate::access::{AccessError, Role, Token, damaged, file_error};

/// Longest handshake of TLS.
const HANDSHAKE: std::time::Duration = std::time::Duration::from_secs(5);

/// What a caller shows.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The token of the scheduler's home: plain text, on this machine alone.
    Token(Token),
    /// A member's certificate: TLS.
    Member(Identity),
}

impl From<Token> for Credentials {
    fn from(token: Token) -> Self {
        Self::Token(token)
    }
}

impl From<&Token> for Credentials {
    fn from(token: &Token) -> Self {
        Self::Token(token.clone())
    }
}

impl From<Identity> for Credentials {
    fn from(identity: Identity) -> Self {
        Self::Member(identity)
    }
}

impl From<&Credentials> for Credentials {
    fn from(credentials: &Credentials) -> Self {
        credentials.clone()
    }
}

/// What `tradewind token create` hands out and `tradewind join` takes: good for one machine, once.
#[derive(Clone)]
pub struct Invitation {
    /// Where the scheduler listens, `https://HOST:PORT`.
    pub scheduler: String,
    pub(crate) authority: String,
    pub(crate) token: Token,
}

/// A member, as it lies in its home: key, certificate and the authority it trusts.
#[derive(Clone)]
pub struct Identity {
    scheduler: Option<String>,
    member: Option<(Owner, Role)>,
    authority: String,
    certificate: String,
    key: Zeroizing<String>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("scheduler", &self.scheduler).finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("member", &self.member).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InvitationFile<'a> {
    scheduler: String,
    authority: String,
    // Borrowed from what is wiped.
    #[serde(borrow)]
    token: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheduler: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<(Owner, Role)>,
    authority: String,
    certificate: String,
    #[serde(borrow)]
    key: Cow<'a, str>,
}

impl Invitation {
    pub(crate) fn new(scheduler: &str, authority: String, token: Token) -> Self {
        Self { scheduler: scheduler.to_owned(), authority, token }
    }

    /// Reads an invitation.
    ///
    /// # Errors
    /// [`AccessError`] when the file cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(file_error(path))?);
        // What serde says of a file may quote it, and it holds a secret.
        let file: InvitationFile<'_> = serde_json::from_str(&text).map_err(|_| damaged(path, "it is no invitation"))?;
        let token = Token::parse(&file.token).ok_or_else(|| damaged(path, "its token is not 64 hex digits"))?;
        Ok(Self { scheduler: file.scheduler, authority: file.authority, token })
    }

    /// Writes it to a file that must not be there yet, readable by its owner alone.
    ///
    /// # Errors
    /// [`AccessError::File`].
    pub fn write(&self, path: &Path) -> Result<(), AccessError> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = InvitationFile {
            scheduler: self.scheduler.clone(),
            authority: self.authority.clone(),
            token: Cow::Borrowed(self.token.expose()),
        };
        let text = Zeroizing::new(serde_json::to_string_pretty(&file).expect("a struct of text is JSON"));
        let mut file =
            std::fs::File::options().create_new(true).write(true).mode(0o600).open(path).map_err(file_error(path))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(file_error(path))
    }

    /// How to reach the scheduler before having a certificate.
    pub(crate) fn tls(&self) -> ClientTlsConfig {
        trusting(&self.authority)
    }
}

impl Identity {
    /// The key of a member that is about to join.
    pub(crate) fn draw() -> Result<(KeyPair, PublicKey), AccessError> {
        let failed = || AccessError::Tls("no key can be made".to_owned());
        let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(|_| failed())?;
        let key = PublicKey::of_pair(&pair).ok_or_else(failed)?;
        Ok((pair, key))
    }

    /// The scheduler's own home: it may ask for everything.
    pub(crate) fn home(pair: &KeyPair, authority: &str, certificate: String) -> Self {
        let key = Zeroizing::new(pair.serialize_pem());
        Self { scheduler: None, member: None, authority: authority.to_owned(), certificate, key }
    }

    /// What an invitation became.
    pub(crate) fn joined(invitation: &Invitation, pair: &KeyPair, member: (Owner, Role), certificate: String) -> Self {
        let home = Self::home(pair, &invitation.authority, certificate);
        Self { scheduler: Some(invitation.scheduler.clone()), member: Some(member), ..home }
    }

    /// Reads the identity of a home.
    ///
    /// # Errors
    /// [`AccessError`] when the file is missing or damaged.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        let text = match std::fs::read_to_string(path).map(Zeroizing::new) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(AccessError::NoIdentity { path: path.to_owned() });
            }
            read => read.map_err(file_error(path))?,
        };
        let file: IdentityFile<'_> = serde_json::from_str(&text).map_err(|_| damaged(path, "it is no identity"))?;
        let IdentityFile { scheduler, member, authority, certificate, key } = file;
        Ok(Self { scheduler, member, authority, certificate, key: Zeroizing::new(key.into_owned()) })
    }

    /// Writes it, readable by its owner alone.
    ///
    /// # Errors
    /// [`AccessError::File`].
    pub fn write(&self, path: &Path) -> Result<(), AccessError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(file_error(folder))?;
        }
        let file = IdentityFile {
            scheduler: self.scheduler.clone(),
            member: self.member.clone(),
            authority: self.authority.clone(),
            certificate: self.certificate.clone(),
            key: Cow::Borrowed(self.key.as_str()),
        };
        let text = Zeroizing::new(serde_json::to_string_pretty(&file).expect("a struct of text is JSON"));
        write_private(path, &text).map_err(file_error(path))
    }

    /// The scheduler it joined; `None`: it is that scheduler's own home.
    #[must_use]
    pub fn scheduler(&self) -> Option<&str> {
        self.scheduler.as_deref()
    }

    /// Who it is; `None`: the scheduler's own home.
    #[must_use]
    pub const fn member(&self) -> Option<&(Owner, Role)> {
        self.member.as_ref()
    }

    pub(crate) fn pair(&self, path: &Path) -> Result<KeyPair, AccessError> {
        KeyPair::from_pem(&self.key).map_err(|error| damaged(path, error))
    }

    pub(crate) fn tls(&self) -> ClientTlsConfig {
        trusting(&self.authority).identity(Pair::from_pem(&self.certificate, self.key.as_bytes()))
    }
}

fn trusting(authority: &str) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name(SERVER_NAME).timeout(HANDSHAKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_shows_in_debug_nor_in_the_error_of_a_damaged_file() {
        let (pair, _) = Identity::draw().unwrap();
        let identity = Identity::home(&pair, "authority", "certificate".to_owned());
        let invitation = Invitation {
            scheduler: "https://box:7070".to_owned(),
            authority: "authority".to_owned(),
            token: Token::from_random([7; 32]),
        };
        let shown = format!("{identity:?} {invitation:?} {:?}", Credentials::from(identity.clone()));
        assert!(!shown.contains("0707") && !shown.contains("PRIVATE"), "{shown}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged");
        std::fs::write(&path, r#"{"token": 5, "key": "-----BEGIN PRIVATE KEY"}"#).unwrap();
        let errors = [Invitation::read(&path).unwrap_err(), Identity::read(&path).unwrap_err()];
        let said = errors.map(|error| format!("{error} {error:?}")).join(" ");
        assert!(!said.contains("PRIVATE"), "{said}");
    }

    #[test]
    fn files_come_back_as_written_and_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (identity_at, invitation_at) = (folder.path().join("keys/identity.json"), folder.path().join("a.join"));
        let (pair, key) = Identity::draw().unwrap();
        let invitation = Invitation {
            scheduler: "https://box:7070".to_owned(),
            authority: "authority".to_owned(),
            token: Token::from_random([7; 32]),
        };
        invitation.write(&invitation_at).unwrap();
        assert_eq!(Invitation::read(&invitation_at).unwrap().token.expose(), "07".repeat(32));
        assert!(invitation.write(&invitation_at).is_err(), "an invitation is not written over");
        let member = ("box-1".parse().unwrap(), Role::Worker);
        let identity = Identity::joined(&invitation, &pair, member.clone(), "certificate".to_owned());
        identity.write(&identity_at).unwrap();
        let read = Identity::read(&identity_at).unwrap();
        assert_eq!((read.scheduler(), read.member()), (Some("https://box:7070"), Some(&member)));
        assert_eq!(PublicKey::of_pair(&read.pair(&identity_at).unwrap()), Some(key));
        for path in [identity_at, invitation_at] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }
}
