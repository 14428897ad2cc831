//! One connection and its thread: opens the journal, then does what it is asked to, in statements of bounded size.
//! Waits for the database as long as that takes; who asked waits no longer than it wants to.

use std::sync::mpsc::{Receiver, Sender, SyncSender};

use market::Timestamp;
use postgres::error::SqlState;
use postgres::{Client, Config, GenericClient, NoTls, Row};

use super::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_RETRIES, STATEMENT_MAX, TABLE_LOCK_MAX, UNACKNOWLEDGED_MAX};
use crate::event::{Event, Record};
use crate::journal::JournalError;

/// Format of the journal, as of [`crate::journal::SqliteJournal`].
const FORMAT: i64 = 1;

/// Of the lock that the leader holds: `tradewind` in the digits of a phone.
const LOCK: i64 = 872_339_463;

/// Records read by one statement.
const PAGE_ROWS: i64 = 1_024;

/// Bytes of records, and one record more, that one statement reads: done within [`STATEMENT_MAX`] on a slow disk,
/// however large the records are.
const PAGE_BYTES: i64 = 8 << 20;

/// The same of one statement that writes.
const PART_BYTES: usize = 8 << 20;

/// Bytes that a row takes beside its content, so that many small records are a bounded part too.
const ROW_BYTES: usize = 64;

/// Classes of what a server says that is over by itself: no connection, a conflict with another session, no room,
/// something in use or locked, cancelled or shut down by an operator, and a system that fails.
const PASSING: [&str; 6] = ["08", "40", "53", "55", "57", "58"];

/// Runs as one transaction: the format is there when all is.
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

const INSERT: &str = "INSERT INTO tradewind_events (sequence, at, body, bytes)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[])";

/// The lengths are known without reading what is long. The first record comes whatever its length.
const SELECT: &str = "SELECT sequence, at, body, bytes FROM (
        SELECT sequence, at, body, bytes, sum(octet_length(body) + coalesce(octet_length(bytes), 0))
            OVER (ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ahead
        FROM (
            SELECT sequence, at, body, bytes FROM tradewind_events
            WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3
        ) AS found
    ) AS page WHERE coalesce(ahead, 0) < $4 ORDER BY sequence";

/// What a connection is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Lead,
    Read,
}

/// What opening came to.
pub(super) enum Opened {
    Ready,
    AnotherLeads,
}

/// One word of an answer: a statement of several is done, or all is.
pub(super) enum Word<P, E> {
    Part(P),
    End(E),
}

pub(super) type Answer<P, E> = Result<Word<P, E>, JournalError>;

/// Records in a row, with their sequence numbers.
pub(super) type Page = Vec<(i64, Record)>;

pub(super) enum Request {
    Append(Vec<Record>, SyncSender<Answer<(), ()>>),
    Count(SyncSender<Answer<(), i64>>),
    /// What is behind the first so many.
    Read(i64, SyncSender<Answer<Page, ()>>),
}

/// The life of a connection: it is opened, and serves as long as somebody may ask.
pub(super) fn serve(
    config: &Config,
    name: &str,
    purpose: Purpose,
    opened: &Sender<Result<Opened, JournalError>>,
    requests: &Receiver<Request>,
) {
    // Each errs only when nobody waits any more.
    match Connection::open(config, name, purpose) {
        Ok(Some(connection)) => {
            if opened.send(Ok(Opened::Ready)).is_ok() {
                connection.serve(requests);
            }
        }
        Ok(None) => drop(opened.send(Ok(Opened::AnotherLeads))),
        Err(error) => drop(opened.send(Err(error))),
    }
}

struct Connection {
    client: Client,
    name: String,
    /// The last sequence number.
    last: i64,
}

impl Connection {
    /// `None` while another leads.
    fn open(config: &Config, name: &str, purpose: Purpose) -> Result<Option<Self>, JournalError> {
        let failed = |error: postgres::Error| explain(name, &error);
        let mut client = config.connect(NoTls).map_err(failed)?;
        client.batch_execute(&bounds()).map_err(failed)?;
        match purpose {
            Purpose::Lead => {
                client.batch_execute("SET synchronous_commit TO on").map_err(failed)?;
                if !leads(&mut client).map_err(failed)? {
                    return Ok(None);
                }
                if !is_made(&mut client).map_err(failed)? {
                    client.batch_execute(SCHEMA).map_err(failed)?;
                }
            }
            Purpose::Read => client.batch_execute("SET default_transaction_read_only TO on").map_err(failed)?,
        }
        let found: Option<i64> =
            client.query_one("SELECT max(format) FROM tradewind_format", &[]).map_err(failed)?.get(0);
        let found = found.unwrap_or_default();
        if found != FORMAT {
            return Err(JournalError::Format { path: name.to_owned(), found, wanted: FORMAT });
        }
        let last = count(&mut client).map_err(failed)?;
        Ok(Some(Self { client, name: name.to_owned(), last }))
    }

    fn serve(mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            // Sending errs only when the caller is gone.
            match request {
                Request::Append(records, answer) => {
                    let appended = self.append(&records, &answer).map_err(|error| explain(&self.name, &error));
                    drop(answer.send(appended.map(Word::End)));
                }
                Request::Count(answer) => {
                    let counted = count(&mut self.client).map_err(|error| explain(&self.name, &error));
                    drop(answer.send(counted.map(Word::End)));
                }
                Request::Read(after, answer) => {
                    let read = self.read(after, &answer);
                    drop(answer.send(read.map(Word::End)));
                }
            }
        }
    }

    /// One transaction, of one statement where one holds all. Each that is done is told, because each has its own time.
    fn append(&mut self, records: &[Record], answer: &SyncSender<Answer<(), ()>>) -> Result<(), postgres::Error> {
        let mut rows = Rows::behind(self.last, records);
        if rows.bodies.len() == records.len() {
            rows.insert(&mut self.client)?;
        } else {
            let mut whole = self.client.transaction()?;
            let mut written = 0;
            loop {
                rows.insert(&mut whole)?;
                written += rows.bodies.len();
                if answer.send(Ok(Word::Part(()))).is_err() {
                    // Nobody waits for it any more: dropped, the transaction is taken back.
                    return Ok(());
                }
                if written == records.len() {
                    break;
                }
                rows = Rows::behind(rows.last, &records[written..]);
            }
            whole.commit()?;
        }
        self.last = rows.last;
        Ok(())
    }

    /// Up to the record that is the last as it begins: beside a busy leader it would not end otherwise.
    fn read(&mut self, after: i64, answer: &SyncSender<Answer<Page, ()>>) -> Result<(), JournalError> {
        let until = count(&mut self.client).map_err(|error| explain(&self.name, &error))?;
        let mut last = after;
        while last < until {
            let rows = self.client.query(SELECT, &[&last, &until, &PAGE_ROWS, &PAGE_BYTES]);
            let rows = rows.map_err(|error| explain(&self.name, &error))?;
            let mut page = Page::with_capacity(rows.len());
            let read = take(&self.name, &mut last, &rows, &mut page);
            if answer.send(Ok(Word::Part(page))).is_err() {
                // The reader has heard enough.
                return Ok(());
            }
            read?;
        }
        Ok(())
    }
}

/// Takes `rows` behind the record `last` into `page`, up to the first that is not the next record.
fn take(name: &str, last: &mut i64, rows: &[Row], page: &mut Page) -> Result<(), JournalError> {
    let damaged = |sequence, why| JournalError::Damaged { path: name.to_owned(), sequence, why };
    if rows.is_empty() {
        return Err(damaged(*last + 1, "it is missing".to_owned()));
    }
    for row in rows {
        let (expected, sequence): (i64, i64) = (*last + 1, row.get(0));
        if sequence != expected {
            return Err(damaged(expected, format!("it is missing, {sequence} follows")));
        }
        let blob: Option<Vec<u8>> = row.get(3);
        let event = Event::from_parts(row.get(2), blob.unwrap_or_default());
        let event = event.map_err(|error| damaged(sequence, error.to_string()))?;
        page.push((sequence, Record { at: Timestamp::from_micros(row.get(1)), event }));
        *last = sequence;
    }
    Ok(())
}

/// The columns of what one statement appends.
struct Rows<'a> {
    /// The last sequence number.
    last: i64,
    sequences: Vec<i64>,
    times: Vec<i64>,
    bodies: Vec<String>,
    blobs: Vec<Option<&'a [u8]>>,
}

impl<'a> Rows<'a> {
    /// As many of `records` as one statement takes, at least one, numbered from behind `last`.
    fn behind(last: i64, records: &'a [Record]) -> Self {
        let mut rows = Self { last, sequences: Vec::new(), times: Vec::new(), bodies: Vec::new(), blobs: Vec::new() };
        let mut bytes = 0;
        for record in records {
            let (body, blob) = (record.event.to_json(), record.event.blob());
            bytes += ROW_BYTES + body.len() + blob.len();
            rows.last += 1;
            rows.sequences.push(rows.last);
            rows.times.push(record.at.micros());
            rows.bodies.push(body);
            rows.blobs.push(Some(blob).filter(|blob| !blob.is_empty()));
            if bytes >= PART_BYTES {
                break;
            }
        }
        rows
    }

    fn insert(&self, into: &mut impl GenericClient) -> Result<(), postgres::Error> {
        into.execute(INSERT, &[&self.sequences, &self.times, &self.bodies, &self.blobs]).map(drop)
    }
}

/// What bounds a session on the server's side. What is said of TCP counts for nothing on a socket of this machine.
fn bounds() -> String {
    let (statement, lock) = (STATEMENT_MAX.as_millis(), TABLE_LOCK_MAX.as_millis());
    let (idle, interval) = (KEEPALIVE_IDLE.as_secs(), KEEPALIVE_INTERVAL.as_secs());
    let unacknowledged = UNACKNOWLEDGED_MAX.as_millis();
    format!(
        "SET statement_timeout TO {statement}; SET lock_timeout TO {lock}; SET tcp_keepalives_idle TO {idle}; \
         SET tcp_keepalives_interval TO {interval}; SET tcp_keepalives_count TO {KEEPALIVE_RETRIES}; \
         SET tcp_user_timeout TO {unacknowledged}"
    )
}

/// Whether this connection holds the lock now.
fn leads(client: &mut Client) -> Result<bool, postgres::Error> {
    Ok(client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK])?.get(0))
}

/// Whether the tables are there. To make what is there would wait for locks that nobody needs.
fn is_made(client: &mut Client) -> Result<bool, postgres::Error> {
    let there: bool = client.query_one("SELECT to_regclass('tradewind_format') IS NOT NULL", &[])?.get(0);
    Ok(there && client.query_opt("SELECT format FROM tradewind_format LIMIT 1", &[])?.is_some())
}

fn count(client: &mut Client) -> Result<i64, postgres::Error> {
    Ok(client.query_one("SELECT coalesce(max(sequence), 0) FROM tradewind_events", &[])?.get(0))
}

/// In the database's words, which hold no password.
fn explain(name: &str, error: &postgres::Error) -> JournalError {
    let path = name.to_owned();
    match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => JournalError::Full { path },
        Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => JournalError::ReadOnly { path },
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => JournalError::InUse { path },
        Some(code) if !PASSING.iter().any(|class| code.code().starts_with(*class)) => {
            JournalError::Failed { path, why: chain(error) }
        }
        // Without a code nothing was heard: no connection, or one that broke.
        Some(_) | None => JournalError::Away { path, why: chain(error) },
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use protocol::{Cordon, Target};

    use super::*;

    /// Small ones.
    fn records(count: usize) -> Vec<Record> {
        let target = Target::Worker("w".parse().unwrap());
        let event = Event::Cordoned { target, cordon: Cordon::Finish };
        (0..count).map(|_| Record { at: Timestamp::default(), event: event.clone() }).collect()
    }

    #[test]
    fn what_is_appended_is_split_into_bounded_parts_without_a_gap() {
        let records = records(100_000);
        let (mut last, mut written, mut parts) = (7, 0, 0);
        while written < records.len() {
            let rows = Rows::behind(last, &records[written..]);
            let bytes: usize = rows.bodies.iter().map(String::len).sum();
            assert!(bytes < PART_BYTES, "{bytes} in one part");
            assert_eq!(rows.sequences.first(), Some(&(last + 1)));
            assert_eq!(rows.sequences.last(), Some(&rows.last));
            (last, written, parts) = (rows.last, written + rows.bodies.len(), parts + 1);
        }
        assert_eq!((last, written), (100_007, records.len()));
        assert!(parts > 1, "all went into one");
    }
}
