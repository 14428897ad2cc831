//! The journal in PostgreSQL, for several schedulers of which one leads.
//!
//! Whoever holds the advisory lock leads, and only through the connection that holds it is anything appended: a leader
//! that lost its connection has lost the lock and can append nothing more. Sequence numbers are the primary key, so
//! even two that both believed they lead could not both append. A standby waits for the lock.
//!
//! The client blocks, and has a thread of its own because the core's thread runs a runtime already. Nobody waits longer
//! than [`ANSWER_MAX`] for that thread's next word, but a standby, which has nothing else to do: a database that does
//! not answer ends its scheduler, it does not hold it. What is done on that thread stands in [`connection`].

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use postgres::Config;
use postgres::config::Host;

use crate::event::Record;
use crate::journal::{Journal, JournalError};
use crate::ledger::IllegalEvent;

mod connection;

use connection::{Answer, Opened, Page, Purpose, Request, Word};

/// Wait of a standby between two tries.
const STANDBY: Duration = Duration::from_millis(500);

/// Longest time for a connection's socket.
const CONNECT: Duration = Duration::from_secs(3);

/// Longest time the database works at one statement. Each is bounded in what it writes or reads; the wait of a commit
/// for its disk does not count, so nothing that is committed is reported as cancelled.
const STATEMENT_MAX: Duration = Duration::from_secs(5);

/// Longest wait for a lock on a table: only a person who changes the tables holds one that is in the way. Shorter than
/// [`STATEMENT_MAX`], so that the error names the lock.
const TABLE_LOCK_MAX: Duration = Duration::from_secs(3);

/// Longest wait for the connection's next word, whatever the database does. Above [`STATEMENT_MAX`], because the
/// database's own words say more; below the ten seconds that a client of the scheduler waits, so that it is told that
/// its call failed.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// Longest time that sent bytes stay unacknowledged before a connection over TCP counts as broken.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(8);

/// Silence after which a connection over TCP is probed, by either end, so that none stays open for hours, and its lock
/// with it.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);

/// Between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// Probes without an answer before a connection counts as broken.
const KEEPALIVE_RETRIES: u32 = 3;

/// Pages on their way from the reading thread.
const PAGES_AHEAD: usize = 1;

/// Connections that this process reads through, or waits for: each that was given up keeps its thread until the
/// database says something, and one that is silent for an hour must not take all threads there are.
const READERS_MAX: usize = 16;

static READERS: AtomicUsize = AtomicUsize::new(0);

/// A place among the readers of this process, until it is dropped.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let before = READERS.fetch_add(1, Ordering::Relaxed);
        // Dropped where none is left, it is given back.
        Some(Self).filter(|_| before < READERS_MAX)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A journal in a database: held by the leader, or read beside it.
pub struct PostgresJournal {
    name: String,
    requests: Sender<Request>,
    /// Why nothing can be appended any more: whether the last append is in the journal is not known.
    broken: Option<String>,
}

impl PostgresJournal {
    /// Waits until this process leads, then opens the journal, making its tables if there are none.
    ///
    /// `url` is `postgres://USER:PASSWORD@HOST/DATABASE`; the password stays out of every message. `None` once it is no
    /// longer `wanted`.
    ///
    /// # Errors
    /// [`JournalError`] when the address is none, is not of this machine, or the database refuses for good. One that
    /// does not answer, is busy or locked is waited for.
    pub fn lead(url: &str, wanted: impl Fn() -> bool) -> Result<Option<Self>, JournalError> {
        let (config, name) = address(url)?;
        let mut said = None;
        while wanted() {
            let (journal, opens) = Self::begin(&config, &name, Purpose::Lead, None)?;
            // A database that is silent has one connection waiting for it, not one more at each try.
            let Some(opened) = journal.outcome(&opens, &wanted, &mut said) else { return Ok(None) };
            match opened {
                Ok(Opened::Ready) => {
                    tracing::info!(journal = name, "this scheduler leads");
                    return Ok(Some(journal));
                }
                Ok(Opened::AnotherLeads) => said = None,
                Err(error) if error.passes() => say_once(&error, &mut said),
                Err(error) => return Err(error),
            }
            stand_by();
        }
        Ok(None)
    }

    /// Opens the journal for reading only, beside whoever leads.
    ///
    /// # Errors
    /// [`JournalError`], also where the database does not answer.
    pub fn open_read_only(url: &str) -> Result<Self, JournalError> {
        let (config, name) = address(url)?;
        let why = || format!("{READERS_MAX} connections already wait for its answer");
        let place = Place::take().ok_or_else(|| JournalError::Away { path: name.clone(), why: why() })?;
        let (journal, opens) = Self::begin(&config, &name, Purpose::Read, Some(place))?;
        match opens.recv_timeout(ANSWER_MAX) {
            // Whoever leads is in no reader's way.
            Ok(opened) => opened.map(|_| journal),
            Err(RecvTimeoutError::Timeout) => Err(journal.silent()),
            Err(RecvTimeoutError::Disconnected) => Err(journal.gone()),
        }
    }

    /// Begins to open the journal. Where what comes back is dropped before it is opened, the connection ends as soon as
    /// it is made, and its lock with it. `place`: a reader's, free again once the thread ends.
    fn begin(
        config: &Config,
        name: &str,
        purpose: Purpose,
        place: Option<Place>,
    ) -> Result<(Self, Opening), JournalError> {
        let (requests, received) = channel();
        let (opened, opens) = channel();
        let (config, of) = (config.clone(), name.to_owned());
        let serve = move || {
            connection::serve(&config, &of, purpose, &opened, &received);
            drop(place);
        };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(serve)
            .map_err(|error| JournalError::Failed { path: name.to_owned(), why: error.to_string() })?;
        Ok((Self { name: name.to_owned(), requests, broken: None }, opens))
    }

    /// What opening came to; `None` once it is no longer `wanted`.
    fn outcome(
        &self,
        opens: &Opening,
        wanted: &impl Fn() -> bool,
        said: &mut Option<String>,
    ) -> Option<Result<Opened, JournalError>> {
        let mut waited = Duration::ZERO;
        loop {
            match opens.recv_timeout(STANDBY) {
                Ok(opened) => return Some(opened),
                Err(RecvTimeoutError::Disconnected) => return Some(Err(self.gone())),
                Err(RecvTimeoutError::Timeout) if wanted() => waited += STANDBY,
                Err(RecvTimeoutError::Timeout) => return None,
            }
            if waited >= ANSWER_MAX {
                say_once(&self.silent(), said);
            }
        }
    }

    /// Sends what `request` makes of a sender, lets `part` take what comes back piece by piece, and waits for the end.
    /// Up to `ahead` pieces wait to be taken.
    fn ask<P, E>(
        &self,
        ahead: usize,
        request: impl FnOnce(SyncSender<Answer<P, E>>) -> Request,
        mut part: impl FnMut(P) -> Result<(), JournalError>,
    ) -> Result<E, JournalError> {
        let (answer, answered) = sync_channel(ahead);
        self.requests.send(request(answer)).map_err(|_| self.gone())?;
        loop {
            match answered.recv_timeout(ANSWER_MAX) {
                Ok(word) => match word? {
                    Word::Part(piece) => part(piece)?,
                    Word::End(end) => return Ok(end),
                },
                Err(RecvTimeoutError::Timeout) => return Err(self.silent()),
                // An end is said: without one the thread broke off.
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
            }
        }
    }

    fn gone(&self) -> JournalError {
        JournalError::Failed { path: self.name.clone(), why: "its thread ended".to_owned() }
    }

    fn silent(&self) -> JournalError {
        let why = format!("the database did not answer within {} s", ANSWER_MAX.as_secs());
        JournalError::Away { path: self.name.clone(), why }
    }
}

/// Where the connection's thread says what opening came to.
type Opening = Receiver<Result<Opened, JournalError>>;

/// Warns, unless the same was said last.
fn say_once(error: &JournalError, said: &mut Option<String>) {
    let why = error.to_string();
    if said.as_ref() != Some(&why) {
        tracing::warn!(why, "this scheduler cannot lead yet");
        *said = Some(why);
    }
}

#[allow(clippy::disallowed_methods, reason = "a standby waits")]
fn stand_by() {
    std::thread::sleep(STANDBY);
}

/// The database, and its name without the password. Only this machine's: nothing here encrypts.
fn address(url: &str) -> Result<(Config, String), JournalError> {
    let failed = |why: &str| JournalError::Failed { path: "postgres".to_owned(), why: why.to_owned() };
    let mut config: Config =
        url.parse().map_err(|_| failed("its address is none: write postgres://USER:PASSWORD@HOST/DATABASE"))?;
    config.connect_timeout(CONNECT).application_name("tradewind");
    config.tcp_user_timeout(UNACKNOWLEDGED_MAX);
    config.keepalives_idle(KEEPALIVE_IDLE).keepalives_interval(KEEPALIVE_INTERVAL);
    config.keepalives_retries(KEEPALIVE_RETRIES);
    let local = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
        Host::Unix(_) => true,
    });
    if !local {
        return Err(failed("its host is another machine: reach it through an encrypted tunnel to this one"));
    }
    let database = config.get_dbname().or(config.get_user()).unwrap_or("postgres").to_owned();
    Ok((config, format!("postgres database {database}")))
}

impl fmt::Display for PostgresJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Journal for PostgresJournal {
    fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        if records.is_empty() {
            return Ok(());
        }
        if let Some(why) = &self.broken {
            return Err(JournalError::Failed { path: self.name.clone(), why: why.clone() });
        }
        let appended = self.ask(1, |answer| Request::Append(records.to_vec(), answer), |()| Ok(()));
        self.broken = appended.as_ref().err().map(|error| format!("this scheduler no longer leads: {error}"));
        appended
    }

    fn records(&self) -> Result<u64, JournalError> {
        self.ask(1, Request::Count, |()| Ok(())).map(i64::unsigned_abs)
    }

    fn replay_after(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Record) -> Result<(), IllegalEvent>,
    ) -> Result<(), JournalError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let path = &self.name;
        let tell = |page: Page| {
            page.into_iter().try_for_each(|(sequence, record)| {
                let damaged = |error: IllegalEvent| JournalError::Damaged {
                    path: path.clone(),
                    sequence,
                    why: error.to_string(),
                };
                visit(record).map_err(damaged)
            })
        };
        self.ask(PAGES_AHEAD, |answer| Request::Read(after, answer), tell)
    }
}
