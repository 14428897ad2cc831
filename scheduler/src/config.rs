//! How this scheduler runs, and where in its home things lie.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use market::Timestamp;
use protocol::{Access, AccessError, Credentials, Identity, Token};
use spec::Span;
use telemetry::Tracer;

use crate::clock::Clock;
use crate::cluster::Options;
use crate::journal::JournalError;

/// How a scheduler is run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of its state; made when missing.
    pub home: PathBuf,
    /// Where it listens. Default: a free port on 127.0.0.1.
    pub listen: SocketAddr,
    /// How it is spoken to. Default: in plain text, which only loopback addresses serve.
    pub transport: Transport,
    /// Where its journal lies. Default: a file of the home.
    pub journal: JournalAt,
    /// How its cluster is run.
    pub options: Options,
    /// How long running attempts get to store a checkpoint when it stops. Default: 20s.
    pub grace: Span,
    /// Where traces go. Default: nowhere.
    pub tracer: Tracer,
}

impl Config {
    /// The defaults on `home`.
    #[must_use]
    pub fn new(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            transport: Transport::Plain,
            journal: JournalAt::Home,
            options: Options::default(),
            grace: Span::from_secs(20),
            tracer: Tracer::default(),
        }
    }
}

/// How a scheduler is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In plain text, with the token of its home: on its own machine alone.
    Plain,
    /// By TLS both ways: callers are the home itself and the members it invited.
    Tls,
}

impl Transport {
    /// The first word of an address.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }
}

/// Where a journal lies.
#[derive(Clone, PartialEq, Eq)]
pub enum JournalAt {
    /// In a file of the home: one scheduler.
    Home,
    /// In a PostgreSQL database, `postgres://USER:PASSWORD@HOST/DATABASE`: several schedulers, of which one leads.
    Postgres(String),
}

/// The address holds a password.
impl std::fmt::Debug for JournalAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Home => "Home",
            Self::Postgres(_) => "Postgres",
        })
    }
}

/// The scheduler cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The address is open to others.
    #[error("scheduler does not listen on {0} in plain text: use TLS (--tls), or 127.0.0.1")]
    NotLoopback(SocketAddr),
    /// The port cannot be had.
    #[error("port {address} cannot be listened on: {why}; choose another, or port 0 for a free one")]
    Port {
        /// Which.
        address: SocketAddr,
        /// As the system said.
        why: std::io::Error,
    },
    /// A file of the home cannot be written or read.
    #[error("home file {path} cannot be used: {why}")]
    Home {
        /// Which.
        path: PathBuf,
        /// As the system said.
        why: std::io::Error,
    },
    /// The token file is damaged.
    #[error(transparent)]
    Token(#[from] protocol::TokenError),
    /// Keys or members cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal cannot be continued.
    #[error(transparent)]
    Recovery(#[from] crate::cluster::RecoveryError),
    /// The transport failed.
    #[error(transparent)]
    Serve(#[from] protocol::ServeError),
    /// The engine gave up.
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    /// A thread of the scheduler ended by a panic: a defect.
    #[error("scheduler ended by a defect: its log has the panic")]
    Defect,
}

/// The journal of a home.
#[must_use]
pub fn journal_path(home: &Path) -> PathBuf {
    home.join("journal.db")
}

/// Whether the scheduler that last began on a home keeps its journal in a database.
///
/// # Errors
/// [`SchedulerError::Home`].
pub fn journals_elsewhere(home: &Path) -> Result<bool, SchedulerError> {
    let path = elsewhere_path(home);
    path.try_exists().map_err(|why| SchedulerError::Home { path, why })
}

/// Leaves word on a home of where its journal is, for whoever asks while no scheduler is at work.
///
/// # Errors
/// [`SchedulerError::Home`].
pub fn tell_journal(home: &Path, journal: &JournalAt) -> Result<(), SchedulerError> {
    let path = elsewhere_path(home);
    match journal {
        // Not where: the address may hold a password.
        JournalAt::Postgres(_) => write(&path, "the journal of this home is in a database\n"),
        JournalAt::Home => match std::fs::remove_file(&path) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(SchedulerError::Home { path, why }),
            Ok(()) | Err(_) => Ok(()),
        },
    }
}

fn elsewhere_path(home: &Path) -> PathBuf {
    home.join("journal.elsewhere")
}

/// Where a scheduler keeps what its journal came to: each home of several on one database for itself.
pub(crate) fn snapshot_path(config: &Config) -> PathBuf {
    match config.journal {
        JournalAt::Home => crate::snapshot::beside(&journal_path(&config.home)),
        JournalAt::Postgres(_) => config.home.join("postgres.snapshot"),
    }
}

/// The token file of a home.
#[must_use]
pub fn token_path(home: &Path) -> PathBuf {
    keys(home).join("scheduler.token")
}

/// Where a home keeps who it is in a cluster.
#[must_use]
pub fn identity_path(home: &Path) -> PathBuf {
    protocol::identity_path(&keys(home))
}

fn keys(home: &Path) -> PathBuf {
    home.join("keys")
}

/// What `home` shows to the scheduler at `url`: its token in plain text, its certificate over TLS.
///
/// # Errors
/// [`SchedulerError`] when the home has none.
pub fn credentials(home: &Path, url: &str) -> Result<Credentials, SchedulerError> {
    if url.starts_with("https:") {
        return Ok(Identity::read(&identity_path(home))?.into());
    }
    Ok(Token::read(&token_path(home))?.into())
}

/// The address of the scheduler that `home` joined; `None` when it joined none.
#[must_use]
pub fn joined(home: &Path) -> Option<String> {
    Identity::read(&identity_path(home)).ok()?.scheduler().map(str::to_owned)
}

/// Who may come in.
pub(crate) fn access(config: &Config, token: &Token, clock: Clock) -> Result<Access, SchedulerError> {
    match config.transport {
        Transport::Plain => Ok(Access::Loopback(token.clone())),
        Transport::Tls => {
            let now = move || -> Timestamp { clock.now() };
            Ok(Access::members(&keys(&config.home), Box::new(now))?)
        }
    }
}

/// The address file of a home: there while a scheduler runs on it.
fn address_path(home: &Path) -> PathBuf {
    home.join("scheduler.url")
}

/// The address of the scheduler that runs on `home`; `None` when none was left running. After a crash the address may
/// be of one that is gone: connecting tells.
#[must_use]
pub fn address(home: &Path) -> Option<String> {
    std::fs::read_to_string(address_path(home)).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

pub(crate) fn write_address(home: &Path, url: &str) -> Result<(), SchedulerError> {
    write(&address_path(home), url)
}

pub(crate) fn forget_address(home: &Path) {
    // A leftover only costs the next client a failed connection.
    let _ = std::fs::remove_file(address_path(home));
}

/// The token of a home, made when there is none. Readable by its owner alone.
pub(crate) fn token(home: &Path) -> Result<Token, SchedulerError> {
    let path = token_path(home);
    let failed = |why| SchedulerError::Home { path: path.clone(), why };
    if path.try_exists().map_err(failed)? {
        return Ok(Token::read(&path)?);
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error.to_string())))?;
    let token = Token::from_random(random);
    write(&path, token.expose())?;
    Ok(token)
}

/// Writes a file whole or not at all, readable by its owner alone. It is on the disk, name and all, when this returns.
fn write(path: &Path, text: &str) -> Result<(), SchedulerError> {
    make_folder(path.parent().unwrap_or(path))?;
    protocol::write_private(path, text).map_err(|why| SchedulerError::Home { path: path.to_owned(), why })
}

/// Makes a folder where it is missing, and those above it; their names are on the disk when this returns.
pub(crate) fn make_folder(path: &Path) -> Result<(), SchedulerError> {
    let failed = |why| SchedulerError::Home { path: path.to_owned(), why };
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.is_dir()).collect();
    std::fs::create_dir_all(path).map_err(failed)?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_folder).map_err(failed)
}

/// Puts the names in a folder on the disk.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::File::open(here)?.sync_all()
}
