//! The journal in PostgreSQL, for several schedulers of which one leads.
//!
//! Whoever holds the advisory lock leads, and only through the connection that holds it is anything appended: a leader that
//! lost its connection has lost the lock and can append nothing more. Sequence numbers are the primary key, so even two
//! that both believed they lead could not both append. A standby waits for the lock.
//!
//! The client blocks, and has a thread of its own because the core's thread runs a runtime already. Nobody waits for that
//! thread longer than [`ANSWER_MAX`]: a database that does not answer ends its scheduler, it does not hold it.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use market::Timestamp;
use postgres::config::Host;
use postgres::{Client, Config, NoTls};

use crate::event::{Event, Record};
use crate::journal::{Journal, JournalError};
use crate::ledger::IllegalEvent;

/// Format of the journal, as of [`super::SqliteJournal`].
const FORMAT: i64 = 1;

/// Of the lock that the leader holds: `tradewind` in the digits of a phone.
const LOCK: i64 = 872_339_463;

/// Wait of a standby between two tries.
const STANDBY: Duration = Duration::from_millis(500);

/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// Longest time the database works at one statement. Each is short, an append of a round or a page of records; the wait of a
/// commit for its disk does not count, so nothing that is committed is reported as cancelled.
const STATEMENT_MAX: Duration = Duration::from_secs(5);

/// Longest wait for a lock on a table: only a person who changes the tables holds one that is in the way. Shorter than
/// [`STATEMENT_MAX`], so that the error names the lock.
const TABLE_LOCK_MAX: Duration = Duration::from_secs(3);

/// Longest wait for an answer, whatever the database does. Above [`STATEMENT_MAX`], because the database's own words say more;
/// below the ten seconds that a client of the scheduler waits, so that it is told that its call failed.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// Longest time that sent bytes stay unacknowledged before a connection over TCP counts as broken.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(8);

/// Silence after which a connection over TCP is probed, so that a standby's or a reader's does not stay open for hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);

/// Between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// Probes without an answer before a connection counts as broken.
const KEEPALIVE_RETRIES: u32 = 3;

/// Records read by one statement: a page is read within [`STATEMENT_MAX`] however long the journal is and whatever is done with
/// the page before.
const PAGE: i64 = 1_024;

/// Records on their way from the reading thread.
const READ_AHEAD: usize = 1_024;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS tradewind_format (format BIGINT PRIMARY KEY);
    INSERT INTO tradewind_format SELECT 1 WHERE NOT EXISTS (SELECT FROM tradewind_format);
    CREATE TABLE IF NOT EXISTS tradewind_events (
        sequence BIGINT PRIMARY KEY,
        at BIGINT NOT NULL,
        body TEXT NOT NULL,
        bytes BYTEA
    );
    CREATE OR REPLACE FUNCTION tradewind_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$;
    CREATE OR REPLACE TRIGGER tradewind_events_stay BEFORE UPDATE OR DELETE ON tradewind_events
        FOR EACH ROW EXECUTE FUNCTION tradewind_append_only();
";

enum Request {
    Append(Vec<Record>, Sender<Result<(), JournalError>>),
    Count(Sender<Result<i64, JournalError>>),
    /// What is behind the first so many.
    Read(i64, SyncSender<Result<(i64, Record), JournalError>>),
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
    /// [`JournalError`] when the address is none, is not of this machine, or the database refuses. A database that does
    /// not answer is waited for.
    pub fn lead(url: &str, wanted: impl Fn() -> bool) -> Result<Option<Self>, JournalError> {
        let (config, name) = address(url)?;
        while wanted() {
            if let Some(client) = connect(&config, &name)? {
                tracing::info!(journal = name, "this scheduler leads");
                return Self::start(client, name).map(Some);
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
        let failed = |error: postgres::Error| explain(&name, &error);
        let mut client = session(&config).map_err(failed)?;
        client.batch_execute("SET default_transaction_read_only TO on").map_err(failed)?;
        Self::checked(client, name)
    }

    fn start(mut client: Client, name: String) -> Result<Self, JournalError> {
        client.batch_execute(SCHEMA).map_err(|error| explain(&name, &error))?;
        Self::checked(client, name)
    }

    fn checked(mut client: Client, name: String) -> Result<Self, JournalError> {
        let failed = |error: postgres::Error| explain(&name, &error);
        let found: i64 = client.query_one("SELECT max(format) FROM tradewind_format", &[]).map_err(failed)?.get(0);
        if found != FORMAT {
            return Err(JournalError::Format { path: name, found, wanted: FORMAT });
        }
        let last = count(&mut client).map_err(failed)?;
        let (requests, received) = channel();
        let writer = Writer { client, name: name.clone(), last };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.serve(&received))
            .map_err(|error| JournalError::Failed { path: name.clone(), why: error.to_string() })?;
        Ok(Self { name, requests, broken: None })
    }

    /// Sends what `request` makes of a sender, and waits for the answer.
    fn ask<T>(&self, request: impl FnOnce(Sender<Result<T, JournalError>>) -> Request) -> Result<T, JournalError> {
        let (answer, answered) = channel();
        self.requests.send(request(answer)).map_err(|_| self.gone())?;
        match answered.recv_timeout(ANSWER_MAX) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(self.silent()),
            Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
        }
    }

    fn gone(&self) -> JournalError {
        JournalError::Failed { path: self.name.clone(), why: "its thread ended".to_owned() }
    }

    fn silent(&self) -> JournalError {
        let why = format!("the database did not answer within {} s: see to it and start again", ANSWER_MAX.as_secs());
        JournalError::Failed { path: self.name.clone(), why }
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

/// A connection on which no statement takes for ever.
fn session(config: &Config) -> Result<Client, postgres::Error> {
    let mut client = config.connect(NoTls)?;
    let (statement, lock) = (STATEMENT_MAX.as_millis(), TABLE_LOCK_MAX.as_millis());
    client.batch_execute(&format!("SET statement_timeout TO {statement}; SET lock_timeout TO {lock}"))?;
    Ok(client)
}

/// A connection that holds the lock; `None` while another has it or nobody answers.
fn connect(config: &Config, name: &str) -> Result<Option<Client>, JournalError> {
    let mut client = match session(config) {
        Ok(client) => client,
        // Refused by the database itself: waiting will not help.
        Err(error) if error.code().is_some_and(|code| !is_starting(code)) => return Err(explain(name, &error)),
        Err(error) => {
            tracing::debug!(%error, journal = name, "no connection");
            return Ok(None);
        }
    };
    let leads = client
        .batch_execute("SET synchronous_commit TO on")
        .and_then(|()| client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]));
    Ok(leads.ok().filter(|row| row.get(0)).map(|_| client))
}

/// The server starts or stops.
fn is_starting(code: &postgres::error::SqlState) -> bool {
    use postgres::error::SqlState;
    [SqlState::CANNOT_CONNECT_NOW, SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code)
}

struct Writer {
    client: Client,
    name: String,
    /// The last sequence number.
    last: i64,
}

impl Writer {
    fn serve(mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            match request {
                // Errs only when the caller is gone.
                Request::Append(records, answer) => {
                    drop(answer.send(self.append(&records).map_err(|error| explain(&self.name, &error))));
                }
                Request::Count(answer) => {
                    drop(answer.send(count(&mut self.client).map_err(|error| explain(&self.name, &error))));
                }
                Request::Read(after, answer) => {
                    if let Err(error) = self.read(after, &answer) {
                        drop(answer.send(Err(error)));
                    }
                }
            }
        }
    }

    /// One statement, whatever the number of records.
    fn append(&mut self, records: &[Record]) -> Result<(), postgres::Error> {
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        let sequences: Vec<i64> = (self.last + 1..=self.last + count).collect();
        let times: Vec<i64> = records.iter().map(|record| record.at.micros()).collect();
        let bodies: Vec<String> = records.iter().map(|record| record.event.to_json()).collect();
        let blobs: Vec<Option<&[u8]>> =
            records.iter().map(|record| Some(record.event.blob()).filter(|blob| !blob.is_empty())).collect();
        let insert = "INSERT INTO tradewind_events (sequence, at, body, bytes)
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[])";
        self.client.execute(insert, &[&sequences, &times, &bodies, &blobs])?;
        self.last += count;
        Ok(())
    }

    fn read(
        &mut self,
        after: i64,
        answer: &SyncSender<Result<(i64, Record), JournalError>>,
    ) -> Result<(), JournalError> {
        let name = self.name.clone();
        let failed = |error: postgres::Error| explain(&name, &error);
        let damaged = |sequence, why| JournalError::Damaged { path: name.clone(), sequence, why };
        let select = "SELECT sequence, at, body, bytes FROM tradewind_events
            WHERE sequence > $1 ORDER BY sequence LIMIT $2";
        let mut last = after;
        loop {
            let page = self.client.query(select, &[&last, &PAGE]).map_err(failed)?;
            if page.is_empty() {
                return Ok(());
            }
            for row in page {
                let (expected, sequence): (i64, i64) = (last.saturating_add(1), row.get(0));
                if sequence != expected {
                    return Err(damaged(expected, format!("it is missing, {sequence} follows")));
                }
                last = sequence;
                let blob: Option<Vec<u8>> = row.get(3);
                let event = Event::from_parts(row.get(2), blob.unwrap_or_default())
                    .map_err(|error| damaged(sequence, error.to_string()))?;
                if answer.send(Ok((sequence, Record { at: Timestamp::from_micros(row.get(1)), event }))).is_err() {
                    // The reader has heard enough.
                    return Ok(());
                }
            }
        }
    }
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
        let appended = self.ask(|answer| Request::Append(records.to_vec(), answer));
        self.broken = appended.as_ref().err().map(|error| format!("this scheduler no longer leads: {error}"));
        appended
    }

    fn records(&self) -> Result<u64, JournalError> {
        self.ask(Request::Count).map(i64::unsigned_abs)
    }

    fn replay_after(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Record) -> Result<(), IllegalEvent>,
    ) -> Result<(), JournalError> {
        let (answer, answered) = sync_channel(READ_AHEAD);
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.requests.send(Request::Read(after, answer)).map_err(|_| self.gone())?;
        loop {
            let (sequence, record) = match answered.recv_timeout(ANSWER_MAX) {
                Ok(read) => read?,
                Err(RecvTimeoutError::Timeout) => return Err(self.silent()),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            visit(record).map_err(|error| JournalError::Damaged {
                path: self.name.clone(),
                sequence,
                why: error.to_string(),
            })?;
        }
    }
}

fn count(client: &mut Client) -> Result<i64, postgres::Error> {
    Ok(client.query_one("SELECT coalesce(max(sequence), 0) FROM tradewind_events", &[])?.get(0))
}

/// In the database's words, which hold no password.
fn explain(name: &str, error: &postgres::Error) -> JournalError {
    use postgres::error::SqlState;
    let path = name.to_owned();
    match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => JournalError::Full { path },
        Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => JournalError::ReadOnly { path },
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => JournalError::InUse { path },
        Some(_) | None => JournalError::Failed { path, why: chain(error) },
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
